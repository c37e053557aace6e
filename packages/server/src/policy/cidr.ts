import ipaddr from 'ipaddr.js'

/** An address as bytes, 4 or 16; an IPv4-mapped IPv6 address is its IPv4 address. */
export type Address = readonly number[]
/** Answers whether an address lies in the range it was compiled from. */
export type RangeMatcher = (address: Address) => boolean
export type CidrFault = 'invalid_cidr' | 'cidr_too_wide'

const FOUR_PARTS = /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/
const IPV6 = /^[0-9a-fA-F:.]+$/

/** Reads an address. Short, octal and hexadecimal IPv4 forms and IPv6 zone ids are no addresses here. */
export function parseAddress(text: string): Address | undefined {
  if (!FOUR_PARTS.test(text) && !(text.includes(':') && IPV6.test(text))) return undefined
  if (!ipaddr.isValid(text)) return undefined
  return ipaddr.process(text).toByteArray()
}

/** Compiles `address/prefix`. Answers a fault for `/0`, set host bits, zone ids and everything that is no CIDR. */
export function compileCidr(text: string): RangeMatcher | CidrFault {
  const slash = text.indexOf('/')
  if (slash === -1) return 'invalid_cidr'
  const prefixText = text.slice(slash + 1)
  if (!/^(0|[1-9]\d{0,2})$/.test(prefixText)) return 'invalid_cidr'
  const base = parseAddress(text.slice(0, slash))
  if (base === undefined) return 'invalid_cidr'
  const isMapped = base.length === 4 && text.includes(':')
  const prefix = Number(prefixText) - (isMapped ? 96 : 0)
  if (Number(prefixText) === 0 || (isMapped && prefix === 0)) return 'cidr_too_wide'
  if (prefix < 0 || prefix > base.length * 8) return 'invalid_cidr'
  const wholeBytes = prefix >>> 3
  const partBits = prefix & 7
  const partMask = (0xff << (8 - partBits)) & 0xff
  const hasHostBits = base.some((byte, i) => {
    if (i < wholeBytes) return false
    return (i === wholeBytes ? byte & ~partMask & 0xff : byte) !== 0
  })
  if (hasHostBits) return 'invalid_cidr'
  return (address) => {
    if (address.length !== base.length) return false
    for (let i = 0; i < wholeBytes; i++) if (address[i] !== base[i]) return false
    return partBits === 0 || (address[wholeBytes]! & partMask) === base[wholeBytes]
  }
}

/** Compiles an address or a CIDR, for conditions on `client_ip`. */
export function compileAddressOrCidr(text: string): RangeMatcher | CidrFault {
  if (text.includes('/')) return compileCidr(text)
  const wanted = parseAddress(text)
  if (wanted === undefined) return 'invalid_cidr'
  return (address) => address.length === wanted.length && address.every((byte, i) => byte === wanted[i])
}
