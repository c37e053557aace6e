import { describe, expect, test } from 'vitest'
import { createAddressList, parseAddress, parseCidr, parseRange } from './ip-range.ts'

function contains(cidr: string, address: string): boolean {
  const range = parseCidr(cidr)
  if (typeof range === 'string') throw new Error(range)
  return range.contains(parseAddress(address)!)
}

describe('CIDR', () => {
  test.each([
    ['10.0.0.0/8', '10.255.1.2', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['192.0.2.128/25', '192.0.2.127', false],
    ['192.0.2.128/25', '192.0.2.200', true],
    ['192.0.2.7/32', '192.0.2.7', true],
    ['2001:db8::/33', '2001:db8:7fff::1', true],
    ['2001:db8::/33', '2001:db8:8000::1', false],
    ['10.0.0.0/8', '::ffff:10.1.2.3', true],
    ['::ffff:10.0.0.0/104', '10.1.2.3', true],
    ['10.0.0.0/8', '2001:db8::1', false],
  ])('%s contains %s: %s', (cidr, address, expected) => {
    expect(contains(cidr, address)).toBe(expected)
  })

  test.each([
    ['0.0.0.0/0', 'cidr_too_wide'],
    ['::/0', 'cidr_too_wide'],
    ['::ffff:0.0.0.0/96', 'cidr_too_wide'],
    ['10.0.0.1/8', 'invalid_cidr'],
    ['10.0.0.0', 'invalid_cidr'],
    ['10.0.0.0/33', 'invalid_cidr'],
    ['10.0.0.0/08', 'invalid_cidr'],
    ['10.0.0.0/-1', 'invalid_cidr'],
    ['10/8', 'invalid_cidr'],
    ['0x0a.0.0.0/8', 'invalid_cidr'],
    ['010.0.0.0/8', 'invalid_cidr'],
    ['fe80::%eth0/64', 'invalid_cidr'],
    ['fe80::1/64', 'invalid_cidr'],
    ['::ffff:0.0.0.0/90', 'invalid_cidr'],
    ['256.0.0.0/8', 'invalid_cidr'],
    ['', 'invalid_cidr'],
  ])('refuses %s as %s', (cidr, fault) => {
    expect(parseCidr(cidr)).toBe(fault)
  })

  test('a bare address is a range of one', () => {
    const range = parseRange('203.0.113.9')
    expect(range).toMatchObject({ text: '203.0.113.9/32', hasHostBits: false })
    expect(range?.contains(parseAddress('203.0.113.9')!)).toBe(true)
    expect(range?.contains(parseAddress('203.0.113.10')!)).toBe(false)
    expect(parseRange('::ffff:203.0.113.9')?.text).toBe('203.0.113.9/32')
    expect(parseRange('fe80::1%eth0')).toBeUndefined()
  })

  test('a list holds what any of its ranges holds, and no text that is no address', () => {
    const list = createAddressList(['10.0.0.9/8', '2001:db8::1'])
    for (const inside of ['10.1.2.3', '::ffff:a01:203', '2001:db8::1'])
      expect([inside, list.contains(inside)]).toEqual([inside, true])
    for (const outside of ['11.0.0.1', '2001:db8::2', '10.1', 'unknown', '']) {
      expect([outside, list.contains(outside)]).toEqual([outside, false])
    }
    expect(() => createAddressList(['10.0.0.0/8', 'all'])).toThrow(RangeError)
  })
})
