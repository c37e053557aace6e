import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { VaultError } from '../kernel/vault-error.ts'
import { canonicalUrl, MAX_URL_LENGTH, withQuery } from './canonical-url.ts'

describe('the canonical form of a URL', () => {
  test.each([
    ['HTTPS://API.Example.COM', 'https://api.example.com/'],
    ['https://api.example.com:443/v1', 'https://api.example.com/v1'],
    ['http://api.example.com:80/v1', 'http://api.example.com/v1'],
    ['https://api.example.com:8443/v1', 'https://api.example.com:8443/v1'],
    ['https://api.example.com./v1', 'https://api.example.com/v1'],
    ['https://bücher.example/ä?q=ü', 'https://xn--bcher-kva.example/%C3%A4?q=%C3%BC'],
    ['https://ａｐｉ.example.com/', 'https://api.example.com/'],
    ['https://api。example。com/', 'https://api.example.com/'],
    ['https://%61pi.example.com/', 'https://api.example.com/'],
    ['https://api.example.com/a/./b/../c', 'https://api.example.com/a/c'],
    ['https://api.example.com/a/b/..', 'https://api.example.com/a/'],
    ['https://api.example.com/../../a', 'https://api.example.com/a'],
    ['https://api.example.com/%7euser/%41%2f%3a', 'https://api.example.com/~user/A%2F%3A'],
    ['https://api.example.com/a%2Fb', 'https://api.example.com/a%2Fb'],
    ['https://api.example.com//a///b', 'https://api.example.com//a///b'],
    ['https://api.example.com/a b', 'https://api.example.com/a%20b'],
    ['https://api.example.com/100%', 'https://api.example.com/100%25'],
    ['https://api.example.com/%4%31', 'https://api.example.com/%2541'],
    ['https://api.example.com/?q=%7e%2f&r=100%', 'https://api.example.com/?q=~%2F&r=100%25'],
    ['https://api.example.com/?', 'https://api.example.com/'],
    ['https://api.example.com/?a=b?c', 'https://api.example.com/?a=b?c'],
    ['https://api.example.com/?path=%5C%00..', 'https://api.example.com/?path=%5C%00..'],
    ['https://api.example.com/a#../b?c', 'https://api.example.com/a'],
    ['https://api.example.com?x=1', 'https://api.example.com/?x=1'],
    ['https://api.example.com/a..b/..c/.well-known/...', 'https://api.example.com/a..b/..c/.well-known/...'],
    ['https://[2606:4700::0:1]:443/', 'https://[2606:4700::1]/'],
    ['https://[::ffff:127.0.0.1]/', 'https://[::ffff:7f00:1]/'],
    ['https://2130706433/', 'https://127.0.0.1/'],
    ['https://0x7f.1/', 'https://127.0.0.1/'],
    ['https://0177.0.0.1/', 'https://127.0.0.1/'],
    ['https://①②⑦.0.0.1/', 'https://127.0.0.1/'],
    ['https://127.1./', 'https://127.0.0.1/'],
  ])('of %s is %s', (text, href) => {
    expect(canonicalUrl(text).href).toBe(href)
  })

  test('comes in parts', () => {
    expect(canonicalUrl('http://Host.test:8080/a%2fb?x=1&y')).toEqual({
      scheme: 'http',
      host: 'host.test',
      port: 8080,
      path: '/a%2Fb',
      query: 'x=1&y',
      authority: 'host.test:8080',
      origin: 'http://host.test:8080',
      pathAndQuery: '/a%2Fb?x=1&y',
      href: 'http://host.test:8080/a%2Fb?x=1&y',
    })
  })

  test.each([
    ['no scheme', 'api.example.com/v1'],
    ['another scheme', 'ftp://api.example.com/'],
    ['a file', 'file:///etc/passwd'],
    ['no host', 'https:///v1'],
    ['one slash', 'https:/api.example.com/'],
    ['no slash', 'https:api.example.com/'],
    ['user information', 'https://user:pass@api.example.com/'],
    ['an empty user', 'https://@api.example.com/'],
    ['a host hidden behind user information', 'https://api.example.com@127.0.0.1/'],
    ['an escaped at sign in the host', 'https://api.example.com%40127.0.0.1/'],
    ['a backslash for a slash', 'https:\\\\api.example.com\\v1'],
    ['a backslash in the authority', 'https://api.example.com\\@evil.test/'],
    ['a backslash in the path', 'https://api.example.com/a\\..\\b'],
    ['a backslash in the query', 'https://api.example.com/?a=\\'],
    ['a tab in the host', 'https://api.exam\tple.com/'],
    ['a line feed in the path', 'https://api.example.com/a\nb'],
    ['a carriage return in the query', 'https://api.example.com/?a\r\nHost: evil'],
    ['a NUL', 'https://api.example.com/\u0000'],
    ['a C1 control character', 'https://api.example.com/\u0085'],
    ['a space before it', ' https://api.example.com/'],
    ['half a surrogate pair', 'https://api.example.com/\ud800'],
    ['an escaped dot segment', 'https://api.example.com/v1/%2e%2e/admin'],
    ['a half-escaped dot segment', 'https://api.example.com/v1/.%2E/admin'],
    ['an escaped single dot', 'https://api.example.com/v1/%2e/admin'],
    ['a dot segment behind an escaped slash', 'https://api.example.com/v1/%2e%2e%2fadmin'],
    ['a literal dot segment behind an escaped slash', 'https://api.example.com/v1/..%2Fadmin'],
    ['a dot segment inside a segment', 'https://api.example.com/v1/a%2F..%2Fadmin'],
    ['a dot segment escaped twice', 'https://api.example.com/v1/%252e%252e%252fadmin'],
    ['a dot segment escaped three times', 'https://api.example.com/v1/..%25252Fadmin'],
    ['a dot segment in overlong UTF-8', 'https://api.example.com/v1/%c0%ae%c0%ae%c0%afadmin'],
    ['a dot segment with path parameters', 'https://api.example.com/v1/..;a=b/admin'],
    ['an escaped dot segment with path parameters', 'https://api.example.com/v1/%2e%2e%3b/admin'],
    ['an escaped backslash', 'https://api.example.com/a%5cb'],
    ['an escaped NUL', 'https://api.example.com/a%00.png'],
    ['an empty label', 'https://api..example.com/'],
    ['two final dots', 'https://api.example.com../'],
    ['only a dot', 'https://./'],
    ['a label that is too long', `https://${'a'.repeat(64)}.com/`],
    ['a host with a star', 'https://*.example.com/'],
    ['a host with a space', 'https://api example.com/'],
    ['a zone id', 'https://[fe80::1%25eth0]/'],
    ['an IPv4 address with a number too large', 'https://256.0.0.1/'],
    ['a port that is no number', 'https://api.example.com:80a/'],
    ['a port that is too large', 'https://api.example.com:65536/'],
    ['port 0', 'https://api.example.com:0/'],
    ['nothing', ''],
  ])('does not exist with %s', (_, text) => {
    expect(() => canonicalUrl(text)).toThrow(
      expect.objectContaining({ code: 'blocked_destination', fields: { detail: 'url_not_canonical' } }),
    )
  })

  test('is at most 65,536 characters long, counted after escaping', () => {
    const base = 'https://api.example.com/?q='
    const fits = base + 'a'.repeat(MAX_URL_LENGTH - base.length)
    expect(canonicalUrl(fits).href).toBe(fits)
    const tooLong = expect.objectContaining({ code: 'query_too_long', status: 422 })
    expect(() => canonicalUrl(`${fits}a`)).toThrow(tooLong)
    expect(() => canonicalUrl(base + 'ä'.repeat(MAX_URL_LENGTH / 4))).toThrow(tooLong)
    expect(() => withQuery(canonicalUrl(base), 'a'.repeat(MAX_URL_LENGTH))).toThrow(tooLong)
  })
})

const alphabet = fc.constantFrom(
  ...'aZ09-._~%/?#[]@!$&\'()*+,;=: <>"{}|^`ä€😀',
  ...['%2e', '%2F', '%5c', '%25', '%41', '%C3%A4', '%c0%ae', '..', '//', '\\', '\n'],
)
const anyTail = fc.array(alphabet, { maxLength: 25 }).map((parts) => parts.join(''))
const anyHost = fc.oneof(
  fc.domain(),
  fc.ipV4Extended(),
  fc.ipV6().map((address) => `[${address}]`),
  fc.constantFrom('EXAMPLE.com.', 'bücher.example', '０x7f.1', '[::ffff:1.2.3.4]'),
)

/** The canonical URL, or undefined where there is none. */
function attempt(text: string) {
  try {
    return canonicalUrl(text)
  } catch (error) {
    if (error instanceof VaultError) return undefined
    throw error
  }
}

describe('for any URL', () => {
  test('the canonical form of the canonical form is itself', () => {
    fc.assert(
      fc.property(anyHost, anyTail, (host, tail) => {
        const once = attempt(`https://${host}/${tail}`)
        fc.pre(once !== undefined)
        expect(canonicalUrl(once!.href)).toEqual(once)
      }),
      { numRuns: 500 },
    )
  })

  test('the URL Standard reads the canonical form as the same host, port, path and query', () => {
    fc.assert(
      fc.property(anyHost, anyTail, (host, tail) => {
        const canonical = attempt(`https://${host}/${tail}`)
        fc.pre(canonical !== undefined)
        const read = new URL(canonical!.href)
        expect(read.hostname).toBe(canonical!.host)
        expect(read.pathname + read.search).toBe(canonical!.pathAndQuery)
        expect(read.username + read.password + read.hash).toBe('')
      }),
      { numRuns: 500 },
    )
  })

  test('no decoding of a canonical path, however often, leaves its folder', () => {
    fc.assert(
      fc.property(anyTail, (tail) => {
        const canonical = attempt(`https://host.test/a/${tail}`)
        fc.pre(canonical !== undefined)
        let decoded = canonical!.path
        for (let round = 0; round < 4; round += 1) {
          expect(decoded.split(/[/\\]/)).not.toContain('..')
          decoded = decoded.replace(/%([0-7][0-9A-Fa-f])/g, (_, hex: string) =>
            String.fromCharCode(Number.parseInt(hex, 16)),
          )
        }
      }),
      { numRuns: 500 },
    )
  })
})
