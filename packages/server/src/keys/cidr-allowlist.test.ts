import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAddressList } from '../kernel/ip-range.ts'
import { parseCidrAllowlist } from './cidr-allowlist.ts'

const codeOf = (cidr: string): unknown => {
  try {
    return parseCidrAllowlist([cidr])
  } catch (error) {
    return (error as { code: string }).code
  }
}

describe('an address allowlist', () => {
  it.each([
    ['203.0.113.0/24', ['203.0.113.0/24']],
    ['203.0.113.7/32', ['203.0.113.7/32']],
    ['2001:DB8::/32', ['2001:db8::/32']],
    ['::ffff:10.0.0.0/104', ['10.0.0.0/8']],
  ])('stores %s as %j', (cidr, stored) => {
    expect(codeOf(cidr)).toEqual(stored)
  })

  it.each(['0.0.0.0/0', '::/0', '::ffff:0.0.0.0/96'])('refuses %s, which is everyone', (cidr) => {
    expect(codeOf(cidr)).toBe('cidr_too_wide')
  })

  it.each([
    '203.0.113.7',
    '203.0.113.7/24',
    '10.1.0.0/8',
    '10.0.0.0/33',
    '10.0.0.0/08',
    'fe80::1%eth0/64',
    '010.0.0.0/8',
    '10.0/8',
    '0x0a000000/8',
    '/8',
    'a/8',
    '10.0.0.0/8/8',
    '::ffff:10.0.0.0/95',
  ])('refuses %s', (cidr) => {
    expect(codeOf(cidr)).toBe('invalid_cidr')
  })

  it('names the entry that is wrong and drops repeats', () => {
    expect(parseCidrAllowlist(['10.0.0.0/8', '10.0.0.0/8'])).toEqual(['10.0.0.0/8'])
    expect(() => parseCidrAllowlist(['10.0.0.0/8', 'x'])).toThrow(
      expect.objectContaining({ errors: [expect.objectContaining({ pointer: '/cidr_allowlist/1' })] }),
    )
  })

  it('contains exactly the addresses that share its prefix', () => {
    const octet = fc.nat({ max: 255 })
    fc.assert(
      fc.property(
        fc.tuple(octet, octet, octet, octet),
        fc.tuple(octet, octet, octet, octet),
        fc.integer({ min: 1, max: 32 }),
        (a, b, prefix) => {
          const bits = (address: number[]) => address.map((n) => n.toString(2).padStart(8, '0')).join('')
          const kept = bits(a).slice(0, prefix).padEnd(32, '0')
          const base = [0, 8, 16, 24].map((at) => Number.parseInt(kept.slice(at, at + 8), 2)).join('.')
          const list = createAddressList(parseCidrAllowlist([`${base}/${prefix}`]))
          expect(list.contains(b.join('.'))).toBe(bits(b).slice(0, prefix) === bits(a).slice(0, prefix))
          expect(list.contains(`::ffff:${b.join('.')}`)).toBe(list.contains(b.join('.')))
        },
      ),
    )
  })
})
