import ipaddr from 'ipaddr.js'
import { VaultError } from '../kernel/vault-error.ts'

const IPV4 = /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/
const IPV6 = /^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*$/

/**
 * The CIDRs of an allowlist in one spelling, without repeats; IPv4-mapped ones as IPv4. Refusals: `invalid_cidr` for set host
 * bits, zone ids and what is no CIDR, `cidr_too_wide` for `/0`.
 */
export function parseCidrAllowlist(cidrs: readonly string[], pointer = '/cidr_allowlist'): string[] {
  return [...new Set(cidrs.map((cidr, index) => parseCidr(cidr, `${pointer}/${index}`)))]
}

function parseCidr(text: string, pointer: string): string {
  const [base = '', prefixText = '', ...rest] = text.split('/')
  const isAddress = IPV4.test(base) || IPV6.test(base)
  if (rest.length > 0 || !/^(0|[1-9]\d{0,2})$/.test(prefixText) || !isAddress || !ipaddr.isValid(base)) {
    throw refuse('invalid_cidr', pointer, 'Expected an address and a prefix length, such as "203.0.113.0/24".')
  }
  const written = ipaddr.parse(base)
  const address = ipaddr.process(base)
  const prefix = Number(prefixText) - (written.kind() === address.kind() ? 0 : 96)
  const bytes = address.toByteArray()
  if (Number(prefixText) === 0 || prefix === 0)
    throw refuse('cidr_too_wide', pointer, 'A prefix length of 0 allows every address.')
  if (prefix < 0 || prefix > bytes.length * 8) {
    throw refuse('invalid_cidr', pointer, `The prefix length ${prefixText} does not fit the address.`)
  }
  const hasHostBits = bytes.some((byte, index) => (byte & (0xff >> Math.min(8, Math.max(0, prefix - index * 8)))) !== 0)
  if (hasHostBits) throw refuse('invalid_cidr', pointer, 'Bits behind the prefix must be zero.')
  return `${address.toString()}/${prefix}`
}

function refuse(code: 'invalid_cidr' | 'cidr_too_wide', pointer: string, message: string): VaultError {
  return new VaultError(code, { message, errors: [{ pointer, code, message }] })
}
