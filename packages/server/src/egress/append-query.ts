import { type FieldError, invalidField, VaultError } from '../kernel/vault-error.ts'
import { type CanonicalUrl, withQuery } from './canonical-url.ts'

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
  assertFewPairs(queryParams)
  for (const [name, value] of Object.entries(queryParams)) {
    const pointer = `/query_params/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const values: unknown[] = Array.isArray(value) ? value : [value]
    for (const [index, one] of values.entries()) {
      const text = scalarText(one)
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
const MAX_PAIRS = 8_192

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

/** The form encoding of one name or value: unreserved characters stay, the rest is UTF-8 in `%XX`. */
export function formEncode(text: string, space: '+' | '%20' = '+'): string {
  const encoded = encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return space === '+' ? encoded.replaceAll('%20', '+') : encoded
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
