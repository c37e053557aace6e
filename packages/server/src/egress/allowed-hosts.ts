import { isIP } from 'node:net'
import { type FieldError, VaultError } from '../kernel/vault-error.ts'
import { type CanonicalUrl, canonicalUrl } from './canonical-url.ts'

/** A set of host patterns, compiled once. */
export type AllowedHosts = {
  /** True when one pattern covers the host and port of the URL. An empty set covers nothing. */
  allows(url: Pick<CanonicalUrl, 'scheme' | 'host' | 'port'>): boolean
}

const MAX_HOST_PATTERNS = 50

const PATTERN = /^(\*\.)?([^*:/?#@[\]\s]+|\[[0-9A-Fa-f:.]+\])(?::([1-9][0-9]{0,4}))?$/

type Options = {
  /** Where the list is in the request, for the errors. */
  pointer?: string
  /** `host:port` entries that the operator opened; only these IP literals may be patterns. */
  allowedPrivateHosts?: ReadonlySet<string>
}

/**
 * The patterns in canonical spelling, without repeats: `api.example.com`, `*.example.com` (any depth below, never the
 * bare domain), each with an optional `:port`. Without one a pattern covers the default port of the scheme only.
 * Throws `validation_failed` that names every bad pattern.
 */
export function parseHostPatterns(patterns: readonly string[], options: Options = {}): string[] {
  const { pointer = '/allowed_hosts', allowedPrivateHosts = new Set() } = options
  const errors: FieldError[] = []
  const canonical = new Set<string>()
  if (patterns.length > MAX_HOST_PATTERNS) {
    const message = `Expected at most ${MAX_HOST_PATTERNS} host patterns; ${patterns.length} came.`
    errors.push({ pointer, code: 'too_many', message })
  }
  for (const [index, pattern] of patterns.entries()) {
    const parsed = parsePattern(pattern, allowedPrivateHosts)
    if (typeof parsed === 'string') canonical.add(parsed)
    else {
      const message = `An entry of "${pointer.slice(pointer.lastIndexOf('/') + 1)}" cannot be used: ${parsed.fault}`
      errors.push({ pointer: `${pointer}/${index}`, code: 'invalid_host', message })
    }
  }
  if (errors.length > 0) throw new VaultError('validation_failed', { message: errors[0]!.message, errors })
  return [...canonical]
}

/** Compiles patterns that `parseHostPatterns` made. */
export function compileAllowedHosts(patterns: readonly string[]): AllowedHosts {
  const exact = new Set<string>()
  const suffixes: { suffix: string; port: string }[] = []
  for (const pattern of patterns) {
    const { host, port } = splitPort(pattern)
    if (host.startsWith('*.')) suffixes.push({ suffix: host.slice(1), port })
    else exact.add(`${host}:${port}`)
  }
  return {
    allows({ scheme, host, port }) {
      const shown = port === (scheme === 'https' ? 443 : 80) ? '' : `${port}`
      const covers = (wanted: string) =>
        exact.has(`${host}:${wanted}`) ||
        suffixes.some(
          ({ suffix, port: theirs }) => theirs === wanted && host.length > suffix.length && host.endsWith(suffix),
        )
      return covers(shown) || covers(`${port}`)
    },
  }
}

/** Refuses 422 `blocked_destination` unless the URL is covered. */
export function assertAllowedHost(allowed: AllowedHosts, url: CanonicalUrl): void {
  if (allowed.allows(url)) return
  throw new VaultError('blocked_destination', {
    message: `This credential is not for "${url.authority}": its allowed hosts do not cover it.`,
    fields: { detail: 'host_not_allowed' },
  })
}

function parsePattern(pattern: string, allowedPrivateHosts: ReadonlySet<string>): string | { fault: string } {
  const match = PATTERN.exec(pattern)
  const fault = `"${pattern.replace(/[^ -~]/g, '?').slice(0, 80)}" is not a host pattern: expected "api.example.com" or "*.example.com", with ":port" if it is not the usual one.`
  if (match === null) return { fault }
  const [, wildcard = '', name, port] = match
  let host: string
  try {
    host = canonicalUrl(`https://${name}`).host
  } catch {
    return { fault }
  }
  if (port !== undefined && Number(port) > 65_535) return { fault }
  const literal = host.startsWith('[') ? host.slice(1, -1) : host
  if (isIP(literal) !== 0) {
    const allowed = wildcard === '' && port !== undefined && allowedPrivateHosts.has(`${host}:${port}`)
    if (!allowed)
      return {
        fault: `"${host}" is an IP address; only those an operator has allowed with their port can be patterns.`,
      }
  }
  // `*.com` would cover every company under it.
  if (wildcard !== '' && !host.includes('.')) return { fault: `"*.${host}" covers a whole top-level domain.` }
  return `${wildcard}${host}${port === undefined || port === '443' ? '' : `:${port}`}`
}

function splitPort(pattern: string): { host: string; port: string } {
  const match = /^(.*?)(?::(\d+))?$/.exec(pattern)!
  const isLiteralWithoutPort = pattern.endsWith(']')
  return isLiteralWithoutPort ? { host: pattern, port: '' } : { host: match[1]!, port: match[2] ?? '' }
}
