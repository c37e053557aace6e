import { type FieldError, invalidField, VaultError } from '../kernel/vault-error.ts'

/** Headers in order; names lower-case. */
export type HeaderList = [name: string, value: string][]

/** Headers together, as name and value bytes. */
const MAX_CALLER_HEADERS = 64
const MAX_CALLER_HEADER_BYTES = 16_384

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
// RFC 9110, 5.5: visible characters, space, tab and the bytes 80-FF (here as characters of Latin-1).
const FIELD_VALUE = /^[\t\u0020-\u007e\u0080-\u00ff]*$/

/** What every server keeps apart. Those of the tradition of CGI (PHP, WSGI, Rack) make `_` of `-`, some of any other character. */
const PLAIN_NAME = /^[0-9A-Za-z-]+$/

/** Names a caller never sets: they carry credentials or frame the message (docs/spec/wire-protocol.md#proxied-calls). */
const FORBIDDEN = new Set([
  'authentication',
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'host',
  'keep-alive',
  'proxy-authorization',
  'set-cookie',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
  'x-api-key',
  'x-auth-token',
  'x-goog-authorization',
  'x-goog-iam-authorization-token',
  'x-shopify-access-token',
  'x-stripe-account',
])
const FORBIDDEN_PREFIX = 'x-alter-'

/**
 * Names by which frameworks and proxies take a request for one with another method, path, host or sender than rules have seen:
 * `X-HTTP-Method-Override`, `X-Original-URL`, `X-Rewrite-URL`, `X-Forwarded-*`, `Forwarded`, `X-Real-IP` and their kin.
 */
const OVERRIDES =
  /override|rewrite|^forwarded$|^x-forwarded(?:-|$)|^x-original-|^x-http-(?:method|host|url|uri|path)|^x-(?:method|host|server|uri|url|path|scheme|proto|port|url-scheme|script-name|real-ip)$|^x-(?:accel|middleware|sendfile)-/

/** RFC 9110, 7.6.1, with the old names still seen. `expect` goes too: the body is sent at once, so nobody waits for 100. */
const HOP_BY_HOP = new Set([
  'connection',
  'expect',
  'http2-settings',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'trailers',
  'transfer-encoding',
  'upgrade',
])

/** True for a name that a caller may not set, in any letter case, or with characters that some servers fold. */
export function isForbiddenCallerHeader(name: string): boolean {
  const lower = name.toLowerCase()
  return FORBIDDEN.has(lower) || !PLAIN_NAME.test(name) || lower.startsWith(FORBIDDEN_PREFIX) || OVERRIDES.test(lower)
}

/**
 * The headers a caller asked for, names in lower case, sorted by name. Refuses 422 `forbidden_header` (naming it in
 * `header`), and `validation_failed` for names that are no tokens, values with other characters than RFC 9110 allows,
 * a name given twice in different case, more than 64 headers or 16 KiB.
 */
export function parseCallerHeaders(headers: Record<string, string> | undefined): HeaderList {
  if (headers === undefined) return []
  const entries = Object.entries(headers)
  if (entries.length > MAX_CALLER_HEADERS) {
    throw invalidField(
      '/headers',
      `"headers" has ${entries.length} members; at most ${MAX_CALLER_HEADERS} are allowed.`,
      'too_many',
    )
  }
  const errors: FieldError[] = []
  const list: HeaderList = []
  const seen = new Set<string>()
  let bytes = 0
  for (const [given, value] of entries) {
    const pointer = `/headers/${given.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const name = given.toLowerCase()
    if (!TOKEN.test(given)) {
      errors.push({ pointer, code: 'invalid_name', message: `"${printable(given)}" is not a header name.` })
    } else if (isForbiddenCallerHeader(name)) {
      const why = PLAIN_NAME.test(given) ? '' : ' Only letters, digits and "-" are read alike by every server.'
      throw new VaultError('forbidden_header', {
        message: `The header "${name}" cannot be set by a caller.${why}`,
        fields: { header: name },
      })
    } else if (!FIELD_VALUE.test(value)) {
      const message = `The value of "${name}" holds a character that headers cannot carry.`
      errors.push({ pointer, code: 'invalid_value', message })
    } else if (seen.has(name)) {
      errors.push({ pointer, code: 'duplicate', message: `The header "${name}" is given twice.` })
    }
    seen.add(name)
    bytes += name.length + value.length
    if (!HOP_BY_HOP.has(name)) list.push([name, value.trim()])
  }
  if (bytes > MAX_CALLER_HEADER_BYTES) {
    const message = `"headers" holds ${bytes} bytes; at most ${MAX_CALLER_HEADER_BYTES} are allowed.`
    errors.push({ pointer: '/headers', code: 'too_long', message })
  }
  if (errors.length > 0) throw new VaultError('validation_failed', { message: errors[0]!.message, errors })
  return list.sort(([a], [b]) => (a < b ? -1 : 1))
}

/**
 * What is sent in the end: the given headers and those a well-behaved client has. An answer without content coding is
 * asked for, unless the caller chose one, so that it can be searched for the credential as it comes.
 */
export function withDefaultHeaders(headers: HeaderList): HeaderList {
  const list = [...headers]
  for (const standard of DEFAULT_HEADERS) if (!headers.some(([name]) => name === standard[0])) list.push(standard)
  return list
}

const DEFAULT_HEADERS: HeaderList = [
  ['accept', '*/*'],
  ['accept-encoding', 'identity'],
  ['user-agent', 'alter-vault'],
]

/** An upstream's headers without the ones of the connection, each name once: repeated ones are joined by a comma. */
export function inlineResultHeaders(headers: HeaderList): Record<string, string> {
  return joinHeaders(withoutHopByHop(headers))
}

/** As `inlineResultHeaders`, for an answer that is kept: without `set-cookie`, which is a credential of the upstream's. */
export function storedResultHeaders(headers: HeaderList): Record<string, string> {
  return joinHeaders(withoutHopByHop(headers).filter(([name]) => name !== 'set-cookie'))
}

/** Without hop-by-hop headers and those that `connection` names. */
export function withoutHopByHop(headers: HeaderList): HeaderList {
  const named = new Set<string>()
  for (const [name, value] of headers) {
    if (name === 'connection') for (const option of value.split(',')) named.add(option.trim().toLowerCase())
  }
  return headers.filter(([name]) => !HOP_BY_HOP.has(name) && !named.has(name))
}

function joinHeaders(headers: HeaderList): Record<string, string> {
  const joined = new Map<string, string>()
  for (const [name, value] of headers) {
    const before = joined.get(name)
    joined.set(name, before === undefined ? value : `${before}, ${value}`)
  }
  return Object.fromEntries(joined)
}

/** A name for an error text: control characters and anything not ASCII as `?`, at most 60 characters. */
function printable(name: string): string {
  return name.replace(/[^ -~]/g, '?').slice(0, 60)
}
