import { decodeFully } from '../kernel/escapes.ts'
import { VaultError } from '../kernel/vault-error.ts'

/**
 * A URL in the one form that rules match and the dialler uses. `host` is lower-case ASCII (an IPv6 literal keeps its
 * brackets), `query` is raw and without `?`, there is no fragment.
 */
export type CanonicalUrl = {
  scheme: 'https' | 'http'
  host: string
  port: number
  path: string
  query: string
  /** Host, and `:port` unless it is the scheme's default. */
  authority: string
  /** Scheme and authority, no final slash. */
  origin: string
  /** What goes on the request line. */
  pathAndQuery: string
  href: string
}

/** The greatest length of a canonical URL, in characters; all of them are ASCII. */
export const MAX_URL_LENGTH = 65_536

const DEFAULT_PORT = { https: 443, http: 80 } as const
const SHAPE = /^(https?):\/\/([^/?#]+)([^?#]*)(?:\?([^#]*))?(?:#.*)?$/i
const HOST_NAME = /^(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*$/
const IPV6_LITERAL = /^\[[0-9a-f:]+\]$/
// Every C0 and C1 control, DEL and the backslash: URL parsers drop or turn them into something else, each in its own way.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused
const FORBIDDEN = /[\u0000-\u001f\u007f-\u009f\\]/
const UNRESERVED = /[A-Za-z0-9._~-]/
const IN_PATH = charactersOf(/[A-Za-z0-9._~!$&'()*+,;=:@[\]-]/)
const IN_QUERY = charactersOf(/[A-Za-z0-9._~!$&()*+,;=:@/?[\]{}|^`-]/)

/**
 * The canonical form of `text` (docs/spec/wire-protocol.md#proxied-calls), or a refusal: `blocked_destination` with `detail`
 * `url_not_canonical`, or `query_too_long`. Canonical text comes back unchanged. Scheme http passes here; whether this
 * caller may use it is decided by the address guard.
 */
export function canonicalUrl(text: string): CanonicalUrl {
  if (text.length > MAX_URL_LENGTH) throw tooLong(text.length)
  if (FORBIDDEN.test(text) || !text.isWellFormed()) {
    throw notCanonical('The URL holds a control character, a backslash or half a character.')
  }
  const parts = SHAPE.exec(text)
  if (parts === null) throw notCanonical('Expected an absolute URL that begins with https:// and a host.')
  const scheme = parts[1]!.toLowerCase() as 'https' | 'http'
  const { host, port } = canonicalAuthority(scheme, parts[2]!)
  return compose(scheme, host, port, canonicalPath(parts[3]!), canonicalQuery(parts[4] ?? ''))
}

/** The same URL with another query; `query` is made canonical. */
export function withQuery(url: CanonicalUrl, query: string): CanonicalUrl {
  return compose(url.scheme, url.host, url.port, url.path, canonicalQuery(query))
}

/** The same URL with a path that the caller has already escaped, such as the stricter escaping of AWS. */
export function withEscapedPath(url: CanonicalUrl, path: string): CanonicalUrl {
  return compose(url.scheme, url.host, url.port, path, url.query)
}

/** `host:port` of a URL, the form in which `allowed_private_hosts` names a destination. */
export function hostAndPort({ host, port }: Pick<CanonicalUrl, 'host' | 'port'>): string {
  return `${host}:${port}`
}

function compose(scheme: 'https' | 'http', host: string, port: number, path: string, query: string): CanonicalUrl {
  const authority = port === DEFAULT_PORT[scheme] ? host : `${host}:${port}`
  const origin = `${scheme}://${authority}`
  const pathAndQuery = query === '' ? path : `${path}?${query}`
  const href = origin + pathAndQuery
  if (href.length > MAX_URL_LENGTH) throw tooLong(href.length)
  return { scheme, host, port, path, query, authority, origin, pathAndQuery, href }
}

function canonicalAuthority(scheme: 'https' | 'http', authority: string): { host: string; port: number } {
  if (authority.includes('@')) throw notCanonical('The URL holds user information before the host.')
  let parsed: URL
  try {
    // UTS 46 mapping, percent-decoding and the many spellings of an IPv4 address are the URL Standard's, not ours.
    parsed = new URL(`${scheme}://${authority}`)
  } catch {
    throw notCanonical('The host or port of the URL is not valid.')
  }
  const host = parsed.hostname.endsWith('.') ? parsed.hostname.slice(0, -1) : parsed.hostname
  if (!HOST_NAME.test(host) && !IPV6_LITERAL.test(host)) throw notCanonical('The host of the URL is not valid.')
  const port = parsed.port === '' ? DEFAULT_PORT[scheme] : Number(parsed.port)
  if (port === 0) throw notCanonical('Port 0 cannot be reached.')
  return { host, port }
}

function canonicalPath(raw: string): string {
  const out: string[] = []
  const segments = raw === '' ? [''] : raw.slice(1).split('/')
  for (const [index, segment] of segments.entries()) {
    const isLast = index === segments.length - 1
    if (segment === '.' || segment === '..') {
      if (segment === '..') out.pop()
      if (isLast) out.push('')
      continue
    }
    const escaped = canonicalEscapes(segment, IN_PATH)
    assertPlainSegment(escaped)
    out.push(escaped)
  }
  return `/${out.join('/')}`
}

/** A character class, for one character and for text that holds nothing else. */
type Characters = { one: RegExp; whole: RegExp }

function charactersOf(one: RegExp): Characters {
  return { one, whole: new RegExp(`^(?:${one.source})*$`) }
}

function canonicalQuery(raw: string): string {
  return canonicalEscapes(raw, IN_QUERY)
}

/**
 * Escapes what `allowed` does not hold, writes escapes in upper case and decodes those of unreserved characters. A `%`
 * that begins no escape becomes `%25`: read in one way only, by everyone.
 */
function canonicalEscapes(text: string, allowed: Characters): string {
  if (allowed.whole.test(text)) return text
  let out = ''
  for (let at = 0; at < text.length; ) {
    const codePoint = text.codePointAt(at)!
    const character = String.fromCodePoint(codePoint)
    if (character === '%') {
      const hex = text.slice(at + 1, at + 3)
      if (/^[0-9a-f]{2}$/i.test(hex)) {
        const decoded = String.fromCharCode(Number.parseInt(hex, 16))
        out += UNRESERVED.test(decoded) ? decoded : `%${hex.toUpperCase()}`
        at += 3
        continue
      }
      out += '%25'
    } else if (allowed.one.test(character)) {
      out += character
    } else {
      out += percentEncode(character)
    }
    at += character.length
  }
  return out
}

function percentEncode(character: string): string {
  let out = ''
  for (const byte of Buffer.from(character)) out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`
  return out
}

/**
 * Refuses a segment that some server behind the upstream could read as a way out of its folder: a dot segment that was
 * written with escapes, one inside a segment behind an escaped slash (`..%2Fadmin`), at any depth and in any way of escaping, one with
 * path parameters (`..;v=1`) or with the spaces that Windows drops, and `%5C` or `%00` anywhere.
 */
function assertPlainSegment(escaped: string): void {
  if (!escaped.includes('%') && !escaped.startsWith('.')) return
  if (escaped.includes('%5C') || escaped.includes('%00')) throw notCanonical('The path holds %5C or %00.')
  const decoded = decodeFully(escaped)
  if (decoded === undefined) throw notCanonical('The path is escaped more often than anybody needs.')
  if (decoded.split(/[/\\]/).some((part) => /^\s*\.\.?(?:;|\s|$)/.test(part))) {
    throw notCanonical('The path holds a dot segment that is hidden by escapes.')
  }
}

function notCanonical(message: string): VaultError {
  return new VaultError('blocked_destination', { message, fields: { detail: 'url_not_canonical' } })
}

export function tooLong(length: number): VaultError {
  return new VaultError('query_too_long', {
    message: `The URL with its query has ${length} characters; at most ${MAX_URL_LENGTH} are sent.`,
  })
}
