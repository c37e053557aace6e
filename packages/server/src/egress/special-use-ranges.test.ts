import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { specialUseRange } from './special-use-ranges.ts'

describe('an address of a special-use range', () => {
  test.each([
    // First and last address of each IPv4 block.
    '0.0.0.0',
    '0.255.255.255',
    '10.0.0.0',
    '10.255.255.255',
    '100.64.0.0',
    '100.127.255.255',
    '127.0.0.1',
    '127.255.255.255',
    '169.254.0.0',
    '169.254.169.254',
    '169.254.255.255',
    '172.16.0.0',
    '172.31.255.255',
    '192.0.0.0',
    '192.0.0.255',
    '192.0.2.1',
    '192.31.196.1',
    '192.52.193.1',
    '192.88.99.1',
    '192.168.0.0',
    '192.168.255.255',
    '192.175.48.1',
    '198.18.0.0',
    '198.19.255.255',
    '198.51.100.1',
    '203.0.113.1',
    '224.0.0.1',
    '239.255.255.255',
    '240.0.0.0',
    '255.255.255.255',
    // IPv6.
    '::',
    '::1',
    '::7f00:1',
    '::ffff:127.0.0.1',
    '::ffff:8.8.8.8',
    '::ffff:a9fe:a9fe',
    '64:ff9b::a00:1',
    '64:ff9b::7f00:1',
    '64:ff9b::169.254.169.254',
    '64:ff9b:1::1',
    '100::1',
    '2001::1',
    '2001:0:a00:1::1',
    '2001:2::1',
    '2001:10::1',
    '2001:1ff:ffff::1',
    '2001:db8::1',
    '2002:7f00:1::1',
    '2002:a9fe:a9fe::1',
    '2620:4f:8000::1',
    '3ffe::1',
    '3fff:fff::1',
    '5f00::1',
    'fc00::1',
    'fdff::1',
    'fe80::1',
    'febf::1',
    'fec0::1',
    'ff02::1',
    // Not what the text of an address looks like.
    'fe80::1%eth0',
    '127.1',
    '0x7f.0.0.1',
    '2130706433',
    '017700000001',
    'localhost',
    '',
  ])('%s is refused', (address) => {
    expect(specialUseRange(address)).toEqual(expect.any(String))
  })

  test.each([
    '1.1.1.1',
    '8.8.8.8',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.0.1.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '2001:200::1',
    '2001:4860:4860::8888',
    '2003::1',
    '2606:4700:4700::1111',
    '2a00:1450:4001::1',
    '64:ff9b::808:808',
  ])('%s passes', (address) => {
    expect(specialUseRange(address)).toBeUndefined()
  })
})

/** RFC 1918, loopback and link-local by arithmetic alone: an independent reading of the most dangerous ranges. */
function isInternal([a, b]: readonly [number, number, number, number]): boolean {
  return (
    a === 0 ||
    a === 10 ||
    a === 127 ||
    (a === 169 && b === 254) ||
    (a === 172 && b >= 16 && b < 32) ||
    (a === 192 && b === 168)
  )
}

test('every internal IPv4 address is refused, also inside an IPv6 one', () => {
  const octet = fc.integer({ min: 0, max: 255 })
  const first = fc.oneof(octet, fc.constantFrom(0, 10, 127, 169, 172, 192))
  const second = fc.oneof(octet, fc.constantFrom(16, 31, 168, 254))
  fc.assert(
    fc.property(fc.tuple(first, second, octet, octet), (octets) => {
      fc.pre(isInternal(octets))
      const text = octets.join('.')
      const hex = octets.map((one) => one.toString(16).padStart(2, '0')).join('')
      const groups = `${hex.slice(0, 4)}:${hex.slice(4)}`
      for (const address of [text, `::ffff:${text}`, `::${text}`, `64:ff9b::${text}`, `2002:${groups}::1`]) {
        expect([address, specialUseRange(address)]).toEqual([address, expect.any(String)])
      }
    }),
  )
})
