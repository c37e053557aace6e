import ipaddr from 'ipaddr.js'

/** An IP address; an IPv4-mapped IPv6 address is its IPv4 address. */
export type Address = ipaddr.IPv4 | ipaddr.IPv6

/** The addresses that share the first bits of one. */
export type IpRange = {
  /** `address/prefix` in one spelling. */
  text: string
  prefix: number
  /** Bits behind the prefix are set: whoever wrote it may have meant one address. */
  hasHostBits: boolean
  contains(address: Address): boolean
}

export type CidrFault = 'invalid_cidr' | 'cidr_too_wide'

const FOUR_PARTS = /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/
const IPV6 = /^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$/
const PREFIX = /^(0|[1-9]\d{0,2})$/

/** Reads an address. Short, octal and hexadecimal IPv4 forms and IPv6 zone ids are no addresses here. */
export function parseAddress(text: string): Address | undefined {
  if (!FOUR_PARTS.test(text) && !IPV6.test(text)) return undefined
  return ipaddr.isValid(text) ? ipaddr.process(text) : undefined
}

/** Reads `address` or `address/prefix`; undefined for everything else. */
export function parseRange(text: string): IpRange | undefined {
  const slash = text.indexOf('/')
  const written = slash < 0 ? text : text.slice(0, slash)
  const base = parseAddress(written)
  if (base === undefined) return undefined
  const bytes = base.toByteArray()
  const bits = bytes.length * 8
  const skippedBits = bits === 32 && written.includes(':') ? 96 : 0
  const prefixText = slash < 0 ? String(skippedBits + bits) : text.slice(slash + 1)
  const prefix = Number(prefixText) - skippedBits
  if (!PREFIX.test(prefixText) || prefix < 0 || prefix > bits) return undefined
  return {
    text: `${base.toString()}/${prefix}`,
    prefix,
    hasHostBits: bytes.some((byte, index) => (byte & (0xff >> Math.min(8, Math.max(0, prefix - index * 8)))) !== 0),
    contains: (address) => address.kind() === base.kind() && address.match(base as ipaddr.IPv4, prefix),
  }
}

/** Reads `address/prefix`. Answers a fault for `/0`, set host bits, zone ids and everything that is no CIDR. */
export function parseCidr(text: string): IpRange | CidrFault {
  const range = text.includes('/') ? parseRange(text) : undefined
  if (range === undefined) return 'invalid_cidr'
  if (range.prefix === 0) return 'cidr_too_wide'
  return range.hasHostBits ? 'invalid_cidr' : range
}

/** A set of addresses. Text that is no address is in none. */
export type AddressList = { contains(address: string): boolean }

/** `ranges` were checked where they came from. Refusal: a `RangeError` for one that is none. */
export function createAddressList(ranges: readonly string[]): AddressList {
  const parsed = ranges.map((text) => {
    const range = parseRange(text)
    if (range === undefined) throw new RangeError(`"${text}" is no range of addresses`)
    return range
  })
  return {
    contains(text) {
      const address = parseAddress(text)
      return address !== undefined && parsed.some((range) => range.contains(address))
    },
  }
}
