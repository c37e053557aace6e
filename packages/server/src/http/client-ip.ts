import { createAddressList, parseAddress } from '../kernel/ip-range.ts'

/** The address of the caller from the socket's peer and the `X-Forwarded-For` header. */
export type ClientIp = (peer: string | undefined, forwardedFor: string | string[] | undefined) => string

/**
 * The caller's address: the socket's peer, or behind trusted proxies the right-most hop that is not one of them.
 * What stands to the left of that hop was written by the caller and proves nothing. IPv4-mapped addresses come out as IPv4.
 *
 * `trustedProxies`: addresses and CIDR blocks, already checked by the configuration.
 */
export function createClientIp(trustedProxies: readonly string[]): ClientIp {
  if (trustedProxies.length === 0) return (peer) => plainAddress(peer ?? '')
  const trusted = createAddressList(trustedProxies)

  return (peer, forwardedFor) => {
    let address = plainAddress(peer ?? '')
    const hops = (Array.isArray(forwardedFor) ? forwardedFor.join(',') : (forwardedFor ?? '')).split(',')
    while (trusted.contains(address) && hops.length > 0) {
      const hop = hopAddress(hops.pop()!.trim())
      // A hop nobody can read ends the walk: the last address that is known stands.
      if (hop === undefined) break
      address = hop
    }
    return address
  }
}

/** `::ffff:192.0.2.1` as `192.0.2.1`, and no zone id. */
function plainAddress(address: string): string {
  const zone = address.indexOf('%')
  const bare = zone < 0 ? address : address.slice(0, zone)
  return /^::ffff:\d+\.\d+\.\d+\.\d+$/i.test(bare) ? bare.slice(7) : bare
}

/** One element of `X-Forwarded-For`; some proxies add the port or brackets. */
function hopAddress(hop: string): string | undefined {
  const bracketed = /^\[([^\]]+)\](:\d+)?$/.exec(hop)
  const withPort = /^(\d+\.\d+\.\d+\.\d+):\d+$/.exec(hop)
  const address = plainAddress(bracketed?.[1] ?? withPort?.[1] ?? hop)
  return parseAddress(address) === undefined ? undefined : address
}
