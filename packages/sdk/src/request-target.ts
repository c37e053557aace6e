/** The provider URL of a call: placeholders, checks, query. */
import { isLoopbackHost } from './base-url.ts'
import { AlterValueError } from './generated/errors.ts'
import { encodeStrictly } from './signing.ts'

export type QueryValue = string | number | boolean | null | readonly (string | number | boolean | null)[]
export type QueryParams = Readonly<Record<string, QueryValue>>
export type PathParams = Readonly<Record<string, string | number | boolean>>

const MAX_URL_LENGTH = 65_536

/**
 * Puts values into `{name}` placeholders, fully percent-encoded, so that a value stays one path segment.
 * @throws {AlterValueError} for a brace that is left over, an unused value, and values that would climb the path
 */
export function resolveUrl(template: string, pathParams: PathParams = {}): string {
  if (typeof template !== 'string' || template === '') throw new AlterValueError('The URL must be a non-empty string')
  const unused = new Set(Object.keys(pathParams))
  const url = template.replace(/\{([^{}]*)\}/g, (placeholder, name: string) => {
    if (!Object.hasOwn(pathParams, name)) return placeholder
    unused.delete(name)
    const text = String(pathParams[name])
    if (text === '' || text === '.' || text === '..') {
      throw new AlterValueError(`"${name}" of pathParams must not be empty, "." or ".."`)
    }
    return encodeStrictly(text)
  })
  if (/[{}]/.test(url)) throw new AlterValueError('The URL has a placeholder without a value in pathParams')
  const [name] = unused
  if (name !== undefined) throw new AlterValueError(`"${name}" of pathParams is no placeholder of the URL`)
  return url
}

/**
 * Checks a URL that this process itself will call.
 * @throws {AlterValueError} unless it is absolute https (http for loopback), names no user and is at most 65,536 long
 */
export function parseProviderUrl(resolved: string): URL {
  const url = URL.canParse(resolved) ? new URL(resolved) : undefined
  if (!url) throw new AlterValueError('The URL must be absolute and valid')
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopbackHost(url.hostname))) {
    throw new AlterValueError('The URL must be https, except on localhost, 127.0.0.1 and ::1')
  }
  if (url.username !== '' || url.password !== '') throw new AlterValueError('The URL must not name a user')
  url.hash = ''
  assertUrlLength(url)
  return url
}

/** @throws {AlterValueError} past 65,536 characters, encoded */
export function assertUrlLength(url: URL): void {
  if (url.href.length > MAX_URL_LENGTH) throw new AlterValueError(`The URL has at most ${MAX_URL_LENGTH} characters`)
}

/** Appends parameters to the URL's own query: lists repeat the name, null is empty. Percent-encoded, never `+`. */
export function appendQuery(url: URL, params: QueryParams): void {
  const pieces = url.search === '' ? [] : [url.search.slice(1)]
  for (const [name, value] of Object.entries(params)) {
    for (const item of Array.isArray(value) ? value : [value]) {
      pieces.push(`${encodeStrictly(name)}=${encodeStrictly(item === null ? '' : String(item))}`)
    }
  }
  url.search = pieces.join('&')
}

/** @throws {AlterValueError} for values that are neither scalars nor lists of them */
export function assertQueryParams(params: QueryParams): void {
  for (const [name, value] of Object.entries(params)) {
    const items: readonly unknown[] = Array.isArray(value) ? value : [value]
    const scalar = items.every(
      (item) =>
        item === null || typeof item === 'string' || typeof item === 'boolean' || Number.isFinite(item as number),
    )
    if (!scalar)
      throw new AlterValueError(`"${name}" of queryParams must be a string, number, boolean or a list of them`)
  }
}
