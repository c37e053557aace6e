import { type FieldError, VaultError } from '../kernel/vault-error.ts'

/** Where a part of the credential goes beside the main header. */
export type AdditionalInjection = {
  target: 'header' | 'query_param'
  key: string
  /** `token`, or `additional_credentials.<field>` of a custom credential. */
  valueSource: string
}

/** How a credential is put on a request. */
export type Injection = { header: string; format: string; additional: AdditionalInjection[] }

export const DEFAULT_INJECTION: Injection = { header: 'Authorization', format: 'Bearer {token}', additional: [] }

/** What a kind of credential says of its injection. */
export type InjectionTraits = {
  /** The standard that fixes header and format; null: they are chosen. */
  standard: { name: string; format: string } | null
  /** It signs requests and has no token to place. */
  signs: boolean
  /** It has named fields that an injection may read. */
  hasFields: boolean
}

/** The format that says "sign with AWS Signature Version 4" instead of naming a place for a token. */
export const SIGV4_FORMAT = 'AWS4-HMAC-SHA256'

const MAX_HEADER = 60
const MAX_FORMAT = 200
const MAX_ADDITIONAL = 10
const MAX_KEY = 100
const HEADER = /^[A-Za-z][A-Za-z0-9-]*$/
const KEY = /^[A-Za-z][A-Za-z0-9_-]*$/
const VALUE_SOURCE = /^(?:token|additional_credentials\.([a-z][a-z0-9_]{0,49}))$/
const FORMAT_CHARACTERS = /^[\u0020-\u007e]*$/

/** Names that frame or route the message, or that only a response or a proxy sets. */
const NEVER_INJECTED = new Set([
  'connection',
  'content-length',
  'content-security-policy',
  'content-type',
  'cookie',
  'expect',
  'host',
  'keep-alive',
  'set-cookie',
  'strict-transport-security',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
  'x-http-method',
  'x-http-method-override',
  'x-method-override',
  'x-real-ip',
])
const NEVER_INJECTED_PREFIXES = ['proxy-', 'x-forwarded-', 'x-alter-']

type RawInjection = {
  header?: string | null
  format?: string | null
  additional?: { target: string; key: string; value_source: string }[] | null
}

/** True for a header that no credential may be put in (any case). */
function isNeverInjected(name: string): boolean {
  const lower = name.toLowerCase()
  return NEVER_INJECTED.has(lower) || NEVER_INJECTED_PREFIXES.some((prefix) => lower.startsWith(prefix))
}

/**
 * The injection rules of a write, with the defaults filled in. `fieldNames` are the fields the credential has, when that
 * is known; a rule that reads another field is refused. Throws `validation_failed` that names every fault below `pointer`.
 */
export function parseInjection(
  { signs, hasFields }: InjectionTraits,
  raw: RawInjection,
  { pointer = '/injection', fieldNames }: { pointer?: string; fieldNames?: ReadonlySet<string> } = {},
): Injection {
  const errors: FieldError[] = []
  const fault = (at: string, code: string, message: string) =>
    errors.push({ pointer: `${pointer}${at}`, code, message })

  const header = raw.header ?? DEFAULT_INJECTION.header
  checkHeaderName('/header', header, HEADER, MAX_HEADER)
  const format = raw.format ?? (signs ? SIGV4_FORMAT : DEFAULT_INJECTION.format)
  checkFormat()
  const additional = (raw.additional ?? []).map(({ target, key, value_source }, index) => {
    checkAdditional(`/additional/${index}`, target, key, value_source)
    return { target: target as AdditionalInjection['target'], key, valueSource: value_source }
  })
  if (additional.length > MAX_ADDITIONAL) {
    fault(
      '/additional',
      'too_many',
      `Expected at most ${MAX_ADDITIONAL} additional injections; ${additional.length} came.`,
    )
  }
  checkRepeats()
  if (errors.length > 0) throw new VaultError('validation_failed', { message: errors[0]!.message, errors })
  return { header, format, additional }

  function checkHeaderName(at: string, name: string, pattern: RegExp, max: number): void {
    if (name.length > max || !pattern.test(name)) {
      fault(at, 'invalid_name', `Expected a letter, then letters, digits or "-", at most ${max} characters.`)
    } else if (isNeverInjected(name)) {
      fault(at, 'forbidden_header', `A credential cannot be put in the header "${name}".`)
    }
  }

  function checkFormat(): void {
    if (signs) {
      if (format !== SIGV4_FORMAT)
        fault('/format', 'invalid', `Expected "format" to be "${SIGV4_FORMAT}" for AWS keys.`)
    } else if (format.length > MAX_FORMAT || !FORMAT_CHARACTERS.test(format)) {
      fault('/format', 'invalid', `Expected "format" to be at most ${MAX_FORMAT} characters of printable ASCII.`)
    } else if (format.split('{token}').length !== 2) {
      fault('/format', 'invalid', 'Expected "format" to contain {token} exactly once.')
    } else if (format.startsWith(SIGV4_FORMAT)) {
      // Clients take this prefix as the order to sign with AWS keys.
      fault('/format', 'invalid', `Only AWS keys use a "format" that begins with "${SIGV4_FORMAT}".`)
    }
  }

  function checkAdditional(at: string, target: string, key: string, source: string): void {
    if (target === 'header') checkHeaderName(`${at}/key`, key, HEADER, MAX_KEY)
    else if (target !== 'query_param')
      fault(`${at}/target`, 'invalid', 'Expected "target" to be "header" or "query_param".')
    else if (key.length > MAX_KEY || !KEY.test(key)) {
      fault(
        `${at}/key`,
        'invalid_name',
        `Expected a letter, then letters, digits, "_" or "-", at most ${MAX_KEY} characters.`,
      )
    }
    const match = VALUE_SOURCE.exec(source)
    if (match === null) {
      fault(`${at}/value_source`, 'invalid', 'Expected "token" or "additional_credentials.<field>".')
    } else if (match[1] !== undefined && !hasFields) {
      fault(`${at}/value_source`, 'invalid', 'Only a "custom" credential has fields.')
    } else if (match[1] !== undefined && fieldNames !== undefined && !fieldNames.has(match[1])) {
      fault(`${at}/value_source`, 'unknown_field', `The credential has no field "${match[1]}".`)
    }
  }

  function checkRepeats(): void {
    const seen = new Set([`header ${header.toLowerCase()}`])
    for (const [index, { target, key }] of additional.entries()) {
      const name = target === 'header' ? `header ${key.toLowerCase()}` : `query ${key}`
      if (seen.has(name)) fault(`/additional/${index}/key`, 'duplicate', `"${key}" is already used by this injection.`)
      seen.add(name)
    }
  }
}
