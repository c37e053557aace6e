import { Secret } from '../crypto/secret.ts'
import { type FieldError, VaultError } from '../kernel/vault-error.ts'

/** The kinds of credential that can be stored and injected. */
export const CREDENTIAL_TYPES = ['bearer', 'api_key', 'basic', 'aws_sigv4', 'custom'] as const
export type CredentialType = (typeof CREDENTIAL_TYPES)[number]

/** An opened credential. Everything that could be used elsewhere is a `Secret`. */
export type CredentialValue =
  | { type: 'bearer'; token: Secret }
  | { type: 'api_key'; token: Secret }
  | { type: 'basic'; username: string; password: Secret; encoded: Secret }
  | {
      type: 'aws_sigv4'
      accessKeyId: string
      secretAccessKey: Secret
      sessionToken: Secret | undefined
      region: string | undefined
      service: string | undefined
    }
  | { type: 'custom'; token: Secret; fields: ReadonlyMap<string, Secret> }

/** The longest value a header can be trusted to carry. */
const MAX_CREDENTIAL_LENGTH = 8_192
const MAX_FIELDS = 10
const FIELD_NAME = /^[a-z][a-z0-9_]{0,49}$/
const VISIBLE_ASCII = /^[\u0021-\u007e](?:[\u0020-\u007e]*[\u0021-\u007e])?$/
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const CONTROL = /[\u0000-\u001f\u007f]/
const ACCESS_KEY_ID = /^[A-Z0-9]{16,128}$/
const AWS_LABEL = /^[a-z0-9-]{1,63}$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

const MEMBERS: Record<CredentialType, readonly string[]> = {
  bearer: ['token'],
  api_key: ['token'],
  basic: ['username', 'password', 'encoded'],
  aws_sigv4: ['access_key_id', 'secret_access_key', 'session_token', 'region', 'service'],
  custom: ['token', 'fields'],
}

/**
 * The value behind the JSON of a write or of an opened frame. Throws `validation_failed` that names each bad member below
 * `pointer`; no message repeats a value.
 */
export function parseCredentialValue(type: CredentialType, json: unknown, pointer = '/value'): CredentialValue {
  const errors: FieldError[] = []
  const fault = (member: string, code: string, message: string) => {
    errors.push({ pointer: member === '' ? pointer : `${pointer}/${member}`, code, message })
    return ''
  }
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    const message = `Expected an object with the members of a "${type}" credential.`
    throw new VaultError('validation_failed', { message, errors: [{ pointer, code: 'invalid_type', message }] })
  }
  const record = json as Record<string, unknown>
  for (const member of Object.keys(record)) {
    if (!MEMBERS[type].includes(member)) {
      const shown = member.replace(/[^ -~]/g, '?').slice(0, 60)
      fault(escapePointer(shown), 'unknown_field', `A "${type}" credential has no member "${shown}".`)
    }
  }

  /** Text that a header can carry unchanged. */
  function headerText(member: string, max = MAX_CREDENTIAL_LENGTH): string {
    const value = record[member]
    if (typeof value !== 'string' || value === '') return fault(member, 'required', `"${member}" is missing.`)
    if (value.length > max)
      return fault(member, 'too_long', `"${member}" has ${value.length} characters; at most ${max}.`)
    if (!VISIBLE_ASCII.test(value)) {
      return fault(
        member,
        'invalid_characters',
        `"${member}" may hold visible ASCII only, with no space at either end.`,
      )
    }
    return value
  }

  function optional(member: string, pattern: RegExp, expected: string): string | undefined {
    const value = record[member]
    if (value === undefined || value === null) return undefined
    if (typeof value === 'string' && pattern.test(value)) return value
    fault(member, 'invalid', `Expected "${member}" to be ${expected}.`)
    return undefined
  }

  const value = parse()
  if (errors.length > 0) throw new VaultError('validation_failed', { message: errors[0]!.message, errors })
  return value

  function parse(): CredentialValue {
    switch (type) {
      case 'bearer':
      case 'api_key':
        return { type, token: new Secret(headerText('token')) }
      case 'basic':
        return record.encoded === undefined || record.encoded === null ? plainBasic() : encodedBasic()
      case 'aws_sigv4':
        return awsKeys()
      case 'custom':
        return { type, token: new Secret(headerText('token')), fields: customFields() }
    }
  }

  function plainBasic(): CredentialValue {
    const { username, password } = record
    if (typeof username !== 'string') fault('username', 'required', '"username" is missing.')
    if (typeof password !== 'string') fault('password', 'required', '"password" is missing.')
    if (typeof username !== 'string' || typeof password !== 'string') return basic('', '')
    // RFC 7617, 2: the first colon ends the user name, and neither part holds control characters.
    if (username.includes(':')) fault('username', 'invalid_characters', '"username" may not hold a colon.')
    if (CONTROL.test(username)) fault('username', 'invalid_characters', '"username" holds a control character.')
    if (CONTROL.test(password)) fault('password', 'invalid_characters', '"password" holds a control character.')
    if (username === '' && password === '') fault('username', 'required', '"username" and "password" are both empty.')
    const value = basic(username, password)
    if (value.encoded.reveal().length > MAX_CREDENTIAL_LENGTH) {
      fault(
        '',
        'too_long',
        `"username" and "password" are longer than ${MAX_CREDENTIAL_LENGTH} characters when encoded.`,
      )
    }
    return value
  }

  function encodedBasic(): CredentialValue {
    if (record.username != null || record.password != null) {
      fault('encoded', 'conflict', 'Expected either "encoded" or "username" and "password".')
    }
    const encoded = headerText('encoded')
    if (encoded === '') return basic('', '')
    const decoded = BASE64.test(encoded) ? Buffer.from(encoded, 'base64').toString('utf8') : ''
    const colon = decoded.indexOf(':')
    if (colon === -1 || CONTROL.test(decoded)) {
      fault('encoded', 'invalid', 'Expected "encoded" to be the base64 of a user name, a colon and a password.')
      return basic('', '')
    }
    const username = decoded.slice(0, colon)
    return { type: 'basic', username, password: new Secret(decoded.slice(colon + 1)), encoded: new Secret(encoded) }
  }

  function awsKeys(): CredentialValue {
    const accessKeyId = headerText('access_key_id')
    if (accessKeyId !== '' && !ACCESS_KEY_ID.test(accessKeyId)) {
      fault('access_key_id', 'invalid', 'Expected "access_key_id" to be 16 to 128 capital letters and digits.')
    }
    const secretAccessKey = new Secret(headerText('secret_access_key'))
    const hasSession = record.session_token !== undefined && record.session_token !== null
    const sessionToken = hasSession ? new Secret(headerText('session_token')) : undefined
    const region = optional('region', AWS_LABEL, 'a region such as "eu-central-1"')
    const service = optional('service', AWS_LABEL, 'a signing name such as "s3"')
    return { type: 'aws_sigv4', accessKeyId, secretAccessKey, sessionToken, region, service }
  }

  function customFields(): ReadonlyMap<string, Secret> {
    const fields = new Map<string, Secret>()
    const given = record.fields ?? {}
    if (typeof given !== 'object' || Array.isArray(given)) {
      fault('fields', 'invalid_type', 'Expected "fields" to be an object of names and values.')
      return fields
    }
    const entries = Object.entries(given)
    if (entries.length > MAX_FIELDS) {
      fault('fields', 'too_many', `"fields" has ${entries.length} members; at most ${MAX_FIELDS}.`)
    }
    for (const [name, value] of entries) {
      const shown = name.replace(/[^ -~]/g, '?').slice(0, 60)
      const at = `fields/${escapePointer(shown)}`
      if (!FIELD_NAME.test(name)) {
        fault(
          at,
          'invalid_name',
          `"${shown}" is not a field name: expected a small letter, then small letters, digits or "_".`,
        )
      } else if (typeof value !== 'string' || value.trim() === '') {
        fault(at, 'required', `The field "${name}" has no text.`)
      } else if (value.length > MAX_CREDENTIAL_LENGTH) {
        fault(at, 'too_long', `The field "${name}" has ${value.length} characters; at most ${MAX_CREDENTIAL_LENGTH}.`)
      } else if (!VISIBLE_ASCII.test(value)) {
        fault(at, 'invalid_characters', `The field "${name}" may hold visible ASCII only, with no space at either end.`)
      } else {
        fields.set(name, new Secret(value))
      }
    }
    return fields
  }
}

/** What `parseCredentialValue` reads back: the JSON to seal, in one canonical shape. The answer is plaintext. */
export function credentialValueToJson(value: CredentialValue): Record<string, unknown> {
  switch (value.type) {
    case 'bearer':
    case 'api_key':
      return { token: value.token.reveal() }
    case 'basic':
      return { encoded: value.encoded.reveal() }
    case 'aws_sigv4':
      return {
        access_key_id: value.accessKeyId,
        secret_access_key: value.secretAccessKey.reveal(),
        ...(value.sessionToken === undefined ? {} : { session_token: value.sessionToken.reveal() }),
        ...(value.region === undefined ? {} : { region: value.region }),
        ...(value.service === undefined ? {} : { service: value.service }),
      }
    case 'custom':
      return {
        token: value.token.reveal(),
        fields: Object.fromEntries([...value.fields].map(([name, field]) => [name, field.reveal()])),
      }
  }
}

/** Every string of the credential that must never be seen: what is searched for in answers and audit rows. */
export function secretStrings(value: CredentialValue): string[] {
  switch (value.type) {
    case 'bearer':
    case 'api_key':
      return [value.token.reveal()]
    case 'basic':
      return [value.password.reveal(), value.encoded.reveal()]
    case 'aws_sigv4':
      return [
        value.secretAccessKey.reveal(),
        ...(value.sessionToken === undefined ? [] : [value.sessionToken.reveal()]),
      ]
    case 'custom':
      return [value.token.reveal(), ...[...value.fields.values()].map((field) => field.reveal())]
  }
}

/** The last four characters for lists, only of a value that stays unguessable without them: at least 20 characters. */
export function lastFour(value: CredentialValue): string | undefined {
  const text = mainSecret(value).reveal()
  return text.length >= 20 ? text.slice(-4) : undefined
}

function mainSecret(value: CredentialValue): Secret {
  switch (value.type) {
    case 'basic':
      return value.password
    case 'aws_sigv4':
      return value.secretAccessKey
    default:
      return value.token
  }
}

function basic(username: string, password: string): Extract<CredentialValue, { type: 'basic' }> {
  const encoded = Buffer.from(`${username}:${password}`).toString('base64')
  return { type: 'basic', username, password: new Secret(password), encoded: new Secret(encoded) }
}

function escapePointer(name: string): string {
  return name.replaceAll('~', '~0').replaceAll('/', '~1')
}
