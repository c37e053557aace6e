import { Secret } from '../crypto/secret.ts'
import {
  type CredentialKind,
  type CredentialMembers,
  fault,
  headerText,
  isHeaderText,
  MAX_CREDENTIAL_LENGTH,
  pointerName,
  shownName,
  type ValueOf,
} from './credential-kind.ts'
import { openCarried, revealed, takenNames } from './inject.ts'

const MAX_FIELDS = 10
const FIELD_NAME = /^[a-z][a-z0-9_]{0,49}$/

const revealToken = (value: { token: Secret }) => value.token.reveal()

/** A kind whose value is one token. */
function tokenCredential(type: 'bearer' | 'api_key', standard: CredentialKind['standard']) {
  const kind: CredentialKind<ValueOf<typeof type>> = {
    type,
    members: ['token'],
    standard,
    signs: false,
    hasFields: false,
    querySpace: '+',
    parse: (read) => ({ type, token: new Secret(headerText(read, 'token')) }),
    toJson: (value) => ({ token: revealToken(value) }),
    secrets: (value) => [revealToken(value)],
    injectedNames: (injection) => takenNames(kind, injection),
    open: ({ token }, injection) => openCarried({ kind, injection, tokenType: 'Bearer', token }, [token.reveal()]),
  }
  return kind
}

/** A bearer token. */
export const bearerCredential = tokenCredential('bearer', { name: 'RFC 6750', format: 'Bearer {token}' })

/** A key that goes where its injection says. */
export const apiKeyCredential = tokenCredential('api_key', null)

/** A token with named fields, each of which its injection may send. */
export const customCredential: CredentialKind<ValueOf<'custom'>> = {
  type: 'custom',
  members: ['token', 'fields'],
  standard: null,
  signs: false,
  hasFields: true,
  querySpace: '+',
  parse: (read) => ({ type: 'custom', token: new Secret(headerText(read, 'token')), fields: fieldsOf(read) }),
  toJson: (value) => ({ token: revealToken(value), fields: revealed(value.fields) }),
  secrets: (value) => [revealToken(value), ...Object.values(revealed(value.fields))],
  injectedNames: (injection) => takenNames(customCredential, injection),
  open: (value, injection) =>
    openCarried({ ...value, kind: customCredential, injection, tokenType: 'Bearer' }, customCredential.secrets(value)),
}

function fieldsOf(read: CredentialMembers): ReadonlyMap<string, Secret> {
  const fields = new Map<string, Secret>()
  const given = read.record.fields ?? {}
  if (typeof given !== 'object' || Array.isArray(given)) {
    fault(read, 'fields', 'invalid_type', 'Expected "fields" to be an object of names and values.')
    return fields
  }
  const entries = Object.entries(given)
  if (entries.length > MAX_FIELDS) {
    fault(read, 'fields', 'too_many', `"fields" has ${entries.length} members; at most ${MAX_FIELDS}.`)
  }
  for (const [name, value] of entries) {
    const refusal = fieldFault(name, value)
    if (refusal === null) fields.set(name, new Secret(value))
    else fault(read, `fields/${pointerName(shownName(name))}`, ...refusal)
  }
  return fields
}

function fieldFault(name: string, value: unknown): [code: string, message: string] | null {
  if (!FIELD_NAME.test(name)) {
    const expected = 'expected a small letter, then small letters, digits or "_".'
    return ['invalid_name', `"${shownName(name)}" is not a field name: ${expected}`]
  }
  if (typeof value !== 'string' || value.trim() === '') return ['required', `The field "${name}" has no text.`]
  if (value.length > MAX_CREDENTIAL_LENGTH) {
    return ['too_long', `The field "${name}" has ${value.length} characters; at most ${MAX_CREDENTIAL_LENGTH}.`]
  }
  if (isHeaderText(value)) return null
  return ['invalid_characters', `The field "${name}" may hold visible ASCII only, with no space at either end.`]
}
