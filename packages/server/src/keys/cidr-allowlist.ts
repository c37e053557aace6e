import { parseCidr } from '../kernel/ip-range.ts'
import { VaultError } from '../kernel/vault-error.ts'

/**
 * The CIDRs of an allowlist in one spelling, without repeats; IPv4-mapped ones as IPv4. Refusals: `invalid_cidr` for set host
 * bits, zone ids and what is no CIDR, `cidr_too_wide` for `/0`.
 */
export function parseCidrAllowlist(cidrs: readonly string[], pointer = '/cidr_allowlist'): string[] {
  const texts = cidrs.map((cidr, index) => {
    const range = parseCidr(cidr)
    if (typeof range !== 'string') return range.text
    const message =
      range === 'cidr_too_wide'
        ? 'A prefix length of 0 allows every address.'
        : 'Expected an address and a prefix length with only zero bits behind it, such as "203.0.113.0/24".'
    throw new VaultError(range, { message, errors: [{ pointer: `${pointer}/${index}`, code: range, message }] })
  })
  return [...new Set(texts)]
}
