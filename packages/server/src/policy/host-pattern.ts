import { parseAddress } from '../kernel/ip-range.ts'
import type { Matcher } from './glob.ts'

const LABEL = /^(?!-)[a-z0-9_-]{1,63}(?<!-)$/

/** True for a lower-case host name, an IPv4 address or an IPv6 address (bare or in brackets). */
function isHost(host: string): boolean {
  if (parseAddress(bare(host)) !== undefined) return true
  return host.length <= 253 && host.split('.').every((label) => LABEL.test(label))
}

/** True for a host, or for `*.` and a host name. */
export function isHostPattern(pattern: string): boolean {
  const host = pattern.toLowerCase()
  if (!host.startsWith('*.')) return isHost(host)
  const parent = host.slice(2)
  return parseAddress(parent) === undefined && isHost(parent)
}

/**
 * Compiles an exact host, or `*.example.com` for one or more labels before `example.com` and never `example.com` itself.
 * The matched host is canonical: lower-case, no trailing dot. An address in brackets equals the bare one.
 */
export function compileHostPattern(pattern: string): Matcher {
  const host = bare(pattern.toLowerCase())
  if (!host.startsWith('*.')) return (text) => bare(text) === host
  const suffix = host.slice(1)
  return (text) => text.length > suffix.length && text.endsWith(suffix)
}

function bare(host: string): string {
  return host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
}
