import { type FieldError, invalidField, VaultError } from '../kernel/vault-error.ts'
import { type CanonicalUrl, MAX_URL_LENGTH, tooLong, withQuery } from './canonical-url.ts'

type Options = {
  /** How a space is written. `+` is the form rule; AWS signs `+` as a plus sign, so its callers take `%20`. */
  space?: '+' | '%20'
}

/**
 * The URL with `query_params` of a proxied call appended to its own query, form-encoded in the order sent
 * (docs/spec/wire-protocol.md#proxied-calls): a list repeats the name, booleans are `true` and `false`, null is empty. Throws
 * `validation_failed` for objects, nested lists and numbers that JSON readers do not agree on, and `query_too_long`.
 */
export function appendQuery(
  url: CanonicalUrl,
  queryParams: Record<string, unknown> | undefined,
  { space = '+' }: Options = {},
): CanonicalUrl {
  if (queryParams === undefined) return url
  const errors: FieldError[] = []
  const pairs: string[] = []
  let length = 0
  assertFewPairs(queryParams)
  for (const [name, value] of Object.entries(queryParams)) {
    const pointer = `/query_params/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const values: unknown[] = Array.isArray(value) ? value : [value]
    for (const [index, one] of values.entries()) {
      const text = scalarText(one)
      length += name.length + (text?.length ?? 0)
      if (length > MAX_URL_LENGTH) throw tooLong(url.href.length + length)
      if (text !== undefined) pairs.push(`${formEncode(name, space)}=${formEncode(text, space)}`)
      else {
        const at = Array.isArray(value) ? `${pointer}/${index}` : pointer
        const message = 'Expected a query parameter to be text, a safe number, a boolean, null or a list of those.'
        errors.push({ pointer: at, code: 'invalid_type', message })
      }
    }
  }
  if (errors.length > 0) throw new VaultError('validation_failed', { message: errors[0]!.message, errors })
  return appendPairs(url, pairs)
}

/** No URL that may be sent holds more: each takes two characters, `a&`. */
const MAX_PAIRS = MAX_URL_LENGTH / 2

function assertFewPairs(queryParams: Record<string, unknown>): void {
  let pairs = 0
  for (const name of Object.keys(queryParams)) {
    const value = queryParams[name]
    pairs += Array.isArray(value) ? value.length : 1
    if (pairs > MAX_PAIRS) {
      throw invalidField('/query_params', `"query_params" holds more than ${MAX_PAIRS} values.`, 'too_many')
    }
  }
}

/** The URL with pairs that are already encoded at the end of its query. */
export function appendPairs(url: CanonicalUrl, pairs: readonly string[]): CanonicalUrl {
  if (pairs.length === 0) return url
  return withQuery(url, [...(url.query === '' ? [] : [url.query]), ...pairs].join('&'))
}

const SPACE = 0x20
const PLUS = 0x2b
const PERCENT = 0x25
const HEX = Buffer.from('0123456789ABCDEF')
const UNRESERVED = new Uint8Array(256)
for (const byte of Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~'))
  UNRESERVED[byte] = 1

/** The form encoding of one name or value: unreserved characters stay, the rest is UTF-8 in `%XX`. */
export function formEncode(text: string, space: '+' | '%20' = '+'): string {
  const bytes = Buffer.from(text)
  const out = Buffer.allocUnsafe(bytes.length * 3)
  let length = 0
  for (let i = 0; i < bytes.length; i++) {
    const byte = bytes[i]!
    if (UNRESERVED[byte] === 1) out[length++] = byte
    else if (byte === SPACE && space === '+') out[length++] = PLUS
    else {
      out[length++] = PERCENT
      out[length++] = HEX[byte >> 4]!
      out[length++] = HEX[byte & 15]!
    }
  }
  return out.toString('latin1', 0, length)
}

function scalarText(value: unknown): string | undefined {
  if (typeof value === 'string') return value.isWellFormed() ? value : undefined
  if (typeof value === 'boolean') return String(value)
  if (value === null) return ''
  // Beyond 2^53 the digits that arrived are already lost: an id would be sent that nobody asked for.
  if (
    typeof value === 'number' &&
    (Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value)))
  ) {
    return String(value)
  }
  return undefined
}
