import { Secret } from '../crypto/secret.ts'
import {
  type CredentialKind,
  type CredentialMembers,
  fault,
  headerText,
  MAX_CREDENTIAL_LENGTH,
  type ValueOf,
} from './credential-kind.ts'
import { openCarried, takenNames } from './inject.ts'

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL = /[\u0000-\u001f\u007f]/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

type Basic = ValueOf<'basic'>

/** User name and password (RFC 7617), or their base64. */
export const basicCredential: CredentialKind<Basic> = {
  type: 'basic',
  members: ['username', 'password', 'encoded'],
  standard: { name: 'RFC 7617', format: 'Basic {token}' },
  signs: false,
  hasFields: false,
  querySpace: '+',
  parse: (read) => (read.record.encoded == null ? fromParts(read) : fromEncoded(read)),
  toJson: ({ encoded }) => ({ encoded: encoded.reveal() }),
  secrets: ({ password, encoded }) => [password.reveal(), encoded.reveal()],
  injectedNames: (injection) => takenNames(basicCredential, injection),
  open: ({ encoded: token, password }, injection) =>
    openCarried({ kind: basicCredential, injection, tokenType: 'Basic', token }, [password.reveal(), token.reveal()]),
}

function fromParts(read: CredentialMembers): Basic {
  const { username, password } = read.record
  if (typeof username !== 'string') fault(read, 'username', 'required', '"username" is missing.')
  if (typeof password !== 'string') fault(read, 'password', 'required', '"password" is missing.')
  if (typeof username !== 'string' || typeof password !== 'string') return basic('', '')
  // RFC 7617, 2: the first colon ends the user name, and neither part holds control characters.
  if (username.includes(':')) fault(read, 'username', 'invalid_characters', '"username" may not hold a colon.')
  if (CONTROL.test(username)) fault(read, 'username', 'invalid_characters', '"username" holds a control character.')
  if (CONTROL.test(password)) fault(read, 'password', 'invalid_characters', '"password" holds a control character.')
  if (username === '' && password === '') {
    fault(read, 'username', 'required', '"username" and "password" are both empty.')
  }
  const value = basic(username, password)
  if (value.encoded.reveal().length > MAX_CREDENTIAL_LENGTH) {
    const message = `"username" and "password" are longer than ${MAX_CREDENTIAL_LENGTH} characters when encoded.`
    fault(read, '', 'too_long', message)
  }
  return value
}

function fromEncoded(read: CredentialMembers): Basic {
  if (read.record.username != null || read.record.password != null) {
    fault(read, 'encoded', 'conflict', 'Expected either "encoded" or "username" and "password".')
  }
  const encoded = headerText(read, 'encoded')
  if (encoded === '') return basic('', '')
  const decoded = BASE64.test(encoded) ? Buffer.from(encoded, 'base64').toString('utf8') : ''
  const colon = decoded.indexOf(':')
  if (colon === -1 || CONTROL.test(decoded)) {
    const message = 'Expected "encoded" to be the base64 of a user name, a colon and a password.'
    fault(read, 'encoded', 'invalid', message)
    return basic('', '')
  }
  const username = decoded.slice(0, colon)
  return { type: 'basic', username, password: new Secret(decoded.slice(colon + 1)), encoded: new Secret(encoded) }
}

function basic(username: string, password: string): Basic {
  const encoded = Buffer.from(`${username}:${password}`).toString('base64')
  return { type: 'basic', username, password: new Secret(password), encoded: new Secret(encoded) }
}
