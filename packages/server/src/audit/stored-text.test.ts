import { createHmac } from 'node:crypto'
import { expect, test } from 'vitest'
import { captureBody, storedHeaders, storedUrl } from './stored-text.ts'

test('headers that carry credentials are never stored', () => {
  const headers = [
    ['Authorization', 'a'],
    ['X-Vendor-Key', 'b'],
    ['Accept', 'c'],
    ['accept', 'd'],
    ['X-Alter-Signature', 'e'],
    ['Set-Cookie', 'f'],
  ] as const
  expect(storedHeaders(headers, ['x-vendor-key'])).toEqual({ accept: 'c, d' })
})

test.each([
  ['https://h/p?q=1', 'https://h/p?q=1'],
  ['https://h/p', 'https://h/p'],
  ['https://h/p?access_token=abc&q=1', 'https://h/p?access_token=[redacted]&q=1'],
  ['https://h/p?api_key=abc', 'https://h/p?api_key=[redacted]'],
  ['https://h/p?APIKey=abc', 'https://h/p?APIKey=[redacted]'],
  ['https://h/p?X-Amz-Signature=abc', 'https://h/p?X-Amz-Signature=[redacted]'],
  ['https://h/p?vendor=abc', 'https://h/p'],
  ['https://h/p?monkey=1&keyword=2', 'https://h/p?monkey=1&keyword=2'],
])('%s is stored as %s', (href, stored) => {
  expect(storedUrl(href, ['vendor'])).toBe(stored)
})

test('a body is kept to 10,000 bytes under a salt of its own', () => {
  const { digest, toSeal } = captureBody(Buffer.alloc(20_000, 'a'), 'text/plain; charset=utf-8')
  expect(digest).toMatchObject({ length: 20_000, truncated: true, content_type: 'text/plain' })
  expect(toSeal).toHaveLength(10_032)
  expect(createHmac('sha256', toSeal!.subarray(0, 32)).update(toSeal!.subarray(32)).digest('hex')).toBe(digest.digest)
  expect(captureBody(Buffer.from('x'), 'image/png').toSeal).toHaveLength(32)
  expect(captureBody(Buffer.alloc(0), 'text/plain').toSeal).toBeNull()
})

test.each(['text/plain', 'image/png'])(
  'attack F19: two bodies of %s that differ after byte 10,000 are told apart',
  (type) => {
    const body = (last: string) => Buffer.from('a'.repeat(10_000) + last)
    const { digest, toSeal } = captureBody(body('1'), type)
    const digestOf = (bytes: Buffer) => createHmac('sha256', toSeal!.subarray(0, 32)).update(bytes).digest('hex')
    expect(digest.digest).toBe(digestOf(body('')))
    expect(digest.whole_digest).toBe(digestOf(body('1')))
    expect(digest.whole_digest).not.toBe(digestOf(body('2')))
    expect(captureBody(body(''), type).digest).not.toHaveProperty('whole_digest')
  },
)
