import { describe, expect, it } from 'vitest'
import { createClientIp } from './client-ip.ts'

describe('the address of the caller', () => {
  it('is the socket peer when no proxy is trusted, whatever the headers say', () => {
    const clientIp = createClientIp([])
    expect(clientIp('203.0.113.9', '198.51.100.1')).toBe('203.0.113.9')
    expect(clientIp('::ffff:203.0.113.9', undefined)).toBe('203.0.113.9')
  })

  const behind = createClientIp(['10.0.0.0/8', '127.0.0.1', '2001:db8::/32'])

  it.each([
    ['the last hop', '10.0.0.1', '198.51.100.1', '198.51.100.1'],
    ['the right-most hop that is not a proxy', '10.0.0.1', '1.1.1.1, 198.51.100.1, 10.2.2.2', '198.51.100.1'],
    ['the peer when it is no proxy of ours', '203.0.113.9', '198.51.100.1', '203.0.113.9'],
    ['the peer when the header is missing', '10.0.0.1', undefined, '10.0.0.1'],
    ['the last known address when a hop cannot be read', '10.0.0.1', '198.51.100.1, unknown', '10.0.0.1'],
    ['an address with a port', '127.0.0.1', '198.51.100.1:4711', '198.51.100.1'],
    ['a bracketed IPv6 address with a port', '127.0.0.1', '[2001:db9::1]:443', '2001:db9::1'],
    ['an IPv6 address behind an IPv6 proxy', '2001:db8::5', '2001:db9::1', '2001:db9::1'],
    ['the left-most hop when all are proxies', '10.0.0.1', '10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['IPv4 for a mapped hop', '10.0.0.1', '::ffff:198.51.100.1', '198.51.100.1'],
  ])('is %s', (_what, peer, header, address) => {
    expect(behind(peer, header)).toBe(address)
  })
})
