import { describe, expect, test } from 'vitest'
import { compileAddressOrCidr, compileCidr, parseAddress } from './cidr.ts'

function contains(cidr: string, address: string): boolean {
  const compiled = compileCidr(cidr)
  if (typeof compiled === 'string') throw new Error(compiled)
  return compiled(parseAddress(address)!)
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
    expect(compileCidr(cidr)).toBe(fault)
  })

  test('a condition takes a bare address too', () => {
    const compiled = compileAddressOrCidr('203.0.113.9')
    if (typeof compiled === 'string') throw new Error(compiled)
    expect(compiled(parseAddress('203.0.113.9')!)).toBe(true)
    expect(compiled(parseAddress('203.0.113.10')!)).toBe(false)
    expect(compileAddressOrCidr('fe80::1%eth0')).toBe('invalid_cidr')
  })
})
