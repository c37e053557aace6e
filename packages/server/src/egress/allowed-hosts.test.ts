import { describe, expect, test } from 'vitest'
import { assertAllowedHost, compileAllowedHosts, parseHostPatterns } from './allowed-hosts.ts'
import { canonicalUrl } from './canonical-url.ts'

function allows(patterns: string[], url: string): boolean {
  return compileAllowedHosts(parseHostPatterns(patterns)).allows(canonicalUrl(url))
}

describe('a host pattern', () => {
  test.each([
    ['api.example.com', 'https://api.example.com/', true],
    ['api.example.com', 'https://API.EXAMPLE.COM./', true],
    ['API.Example.com', 'https://api.example.com/', true],
    ['api.example.com', 'https://api.example.com:8443/', false],
    ['api.example.com', 'https://evil.api.example.com/', false],
    ['api.example.com', 'https://api.example.com.evil.test/', false],
    ['api.example.com:8443', 'https://api.example.com:8443/', true],
    ['api.example.com:8443', 'https://api.example.com/', false],
    ['api.example.com:443', 'https://api.example.com/', true],
    ['api.example.com', 'http://api.example.com/', true],
    ['api.example.com', 'http://api.example.com:443/', false],
    ['*.example.com', 'https://a.example.com/', true],
    ['*.example.com', 'https://a.b.example.com/', true],
    ['*.example.com', 'https://example.com/', false],
    ['*.example.com', 'https://notexample.com/', false],
    ['*.example.com:8443', 'https://a.example.com:8443/', true],
    ['*.example.com:8443', 'https://a.example.com/', false],
    ['bücher.example', 'https://xn--bcher-kva.example/', true],
    ['localhost', 'https://localhost/', true],
  ])('%s against %s: %s', (pattern, url, expected) => {
    expect(allows([pattern], url)).toBe(expected)
  })

  test.each([
    ...['*', '*.', '*.com', '*.*.example.com', 'a.*.example.com', 'api.*', '**.example.com', '*example.com', ''],
    ...['https://api.example.com', 'api.example.com/v1', 'user@api.example.com', 'api.example.com:0'],
    ...['api.example.com:65536', 'api.example.com:x', 'api..example.com', 'api example.com', 'a:1:2'],
    ...['127.0.0.1', '2130706433', '0x7f.1', '8.8.8.8', '8.8.8.8:443', '[::1]', '[::1]:443', '*.127.0.0.1'],
  ])('%j is refused', (pattern) => {
    expect(() => parseHostPatterns(['api.example.com', pattern])).toThrow(
      expect.objectContaining({
        code: 'validation_failed',
        errors: [expect.objectContaining({ pointer: '/allowed_hosts/1', code: 'invalid_host' })],
      }),
    )
  })

  test('may be an IP address with its port that the operator allowed', () => {
    const allowedPrivateHosts = new Set(['127.0.0.1:4000', '[::1]:4000'])
    const patterns = parseHostPatterns(['127.0.0.1:4000', '[::1]:4000'], { allowedPrivateHosts })
    const compiled = compileAllowedHosts(patterns)
    expect(compiled.allows(canonicalUrl('http://127.0.0.1:4000/'))).toBe(true)
    expect(compiled.allows(canonicalUrl('http://[::1]:4000/'))).toBe(true)
    expect(compiled.allows(canonicalUrl('http://127.0.0.1:4001/'))).toBe(false)
    expect(() => parseHostPatterns(['127.0.0.1:4001'], { allowedPrivateHosts })).toThrow()
  })
})

test('patterns are kept once each, in canonical spelling', () => {
  expect(parseHostPatterns(['API.example.com', 'api.example.com.', 'api.example.com:443', '*.B.test'])).toEqual([
    'api.example.com',
    '*.b.test',
  ])
})

test('more than 50 patterns are refused', () => {
  const patterns = Array.from({ length: 51 }, (_, n) => `h${n}.example.com`)
  expect(() => parseHostPatterns(patterns)).toThrow(expect.objectContaining({ code: 'validation_failed' }))
})

test('a host that no pattern covers is a blocked destination, and so is every host when there is no pattern', () => {
  const url = canonicalUrl('https://api.example.com/')
  const refused = expect.objectContaining({ code: 'blocked_destination', fields: { detail: 'host_not_allowed' } })
  expect(() => assertAllowedHost(compileAllowedHosts([]), url)).toThrow(refused)
  expect(() => assertAllowedHost(compileAllowedHosts(['other.example.com']), url)).toThrow(refused)
  expect(() => assertAllowedHost(compileAllowedHosts(['api.example.com']), url)).not.toThrow()
})
