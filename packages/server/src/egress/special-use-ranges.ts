import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'

/** One block of addresses that the public Internet does not reach, and why. */
type Range = { cidr: string; name: string }

/**
 * IANA IPv4 Special-Purpose Address Registry, every block that is not globally reachable, with multicast (RFC 5771).
 * Blocks that are reachable but serve relays or anycast services of the network itself are refused too: no API lives there.
 */
const V4: Range[] = [
  { cidr: '0.0.0.0/8', name: 'this network' },
  { cidr: '10.0.0.0/8', name: 'private' },
  { cidr: '100.64.0.0/10', name: 'carrier-grade NAT' },
  { cidr: '127.0.0.0/8', name: 'loopback' },
  { cidr: '169.254.0.0/16', name: 'link-local' },
  { cidr: '172.16.0.0/12', name: 'private' },
  { cidr: '192.0.0.0/24', name: 'IETF protocol assignments' },
  { cidr: '192.0.2.0/24', name: 'documentation' },
  { cidr: '192.31.196.0/24', name: 'AS112' },
  { cidr: '192.52.193.0/24', name: 'AMT' },
  { cidr: '192.88.99.0/24', name: '6to4 relay' },
  { cidr: '192.168.0.0/16', name: 'private' },
  { cidr: '192.175.48.0/24', name: 'AS112' },
  { cidr: '198.18.0.0/15', name: 'benchmarking' },
  { cidr: '198.51.100.0/24', name: 'documentation' },
  { cidr: '203.0.113.0/24', name: 'documentation' },
  { cidr: '224.0.0.0/4', name: 'multicast' },
  { cidr: '240.0.0.0/4', name: 'reserved' },
]

/**
 * IPv6 is refused outside 2000::/3, the only space from which global unicast is assigned; these are the exceptions
 * inside it (IANA IPv6 Special-Purpose Address Registry). Everything else, such as ::/8 with loopback, IPv4-mapped and
 * IPv4-compatible addresses, 64:ff9b:1::/48, 100::/64, 5f00::/16, fc00::/7, fe80::/10, fec0::/10 and
 * ff00::/8, is outside.
 */
const V6_GLOBAL = ipaddr.parseCIDR('2000::/3')
const NAT64 = ipaddr.parseCIDR('64:ff9b::/96')
const V6: Range[] = [
  { cidr: '2001::/23', name: 'IETF protocol assignments, with Teredo and ORCHID' },
  { cidr: '2001:db8::/32', name: 'documentation' },
  { cidr: '2002::/16', name: '6to4' },
  { cidr: '2620:4f:8000::/48', name: 'AS112' },
  { cidr: '3ffe::/16', name: 'former 6bone' },
  { cidr: '3fff::/20', name: 'documentation' },
]

type Parsed = { network: [ipaddr.IPv4 | ipaddr.IPv6, number]; name: string }

const parse = ({ cidr, name }: Range): Parsed => ({ network: ipaddr.parseCIDR(cidr), name })
const V4_RANGES = V4.map(parse)
const V6_RANGES = V6.map(parse)

/**
 * The name of the special-use range `address` lies in, or undefined when it is ordinary global unicast. Text that is no
 * IP address, or an IPv4 address in any but the four-number form, lies in `unparsable`: unknown is no. Addresses that
 * carry an IPv4 address (mapped, compatible, 6to4, Teredo) are refused whatever they carry; those of the well-known
 * NAT64 prefix count as the IPv4 address inside, since networks with DNS64 reach everyone through it (RFC 6052).
 */
export function specialUseRange(address: string): string | undefined {
  if (isIP(address) === 0 || address.includes('%')) return 'unparsable'
  const parsed = ipaddr.parse(address)
  if (parsed.kind() === 'ipv4') return nameOf(V4_RANGES, parsed)
  const v6 = parsed as ipaddr.IPv6
  if (v6.match(NAT64 as [ipaddr.IPv6, number])) {
    return nameOf(V4_RANGES, new ipaddr.IPv4(v6.toByteArray().slice(12)))
  }
  if (!v6.match(V6_GLOBAL as [ipaddr.IPv6, number])) return outsideGlobal(v6)
  return nameOf(V6_RANGES, v6)
}

function nameOf(ranges: Parsed[], address: ipaddr.IPv4 | ipaddr.IPv6): string | undefined {
  return ranges.find(({ network }) => address.match(network as [ipaddr.IPv4, number]))?.name
}

function outsideGlobal(address: ipaddr.IPv6): string {
  const range = address.range()
  return range === 'unicast' ? 'outside global unicast' : range
}
