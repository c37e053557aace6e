import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { decodeBody } from './decode-body.ts'
import type { HeaderList } from './header-rules.ts'

const TEXT = 'the answer of a provider, '.repeat(200)
const LIMIT = 1_000_000

function answer(coding: string, body: Buffer, truncated = false) {
  const headers: HeaderList = [
    ['content-encoding', coding],
    ['content-length', String(body.length)],
    ['content-type', 'text/plain'],
  ]
  return { headers, body, truncated }
}

describe('a coded body', () => {
  test.each([
    ['gzip', gzipSync(TEXT)],
    ['x-gzip', gzipSync(TEXT)],
    ['GZIP', gzipSync(TEXT)],
    ['deflate', deflateSync(TEXT)],
    ['deflate', deflateRawSync(TEXT)],
    ['br', brotliCompressSync(TEXT)],
    ['zstd', zstdCompressSync(TEXT)],
    ['identity, gzip', gzipSync(TEXT)],
    ['gzip, br', brotliCompressSync(gzipSync(TEXT))],
  ])('in %s is decoded and its headers say so', async (coding, body) => {
    const decoded = await decodeBody(answer(coding, body), LIMIT)
    expect(decoded.body.toString()).toBe(TEXT)
    expect(decoded).toMatchObject({ headers: [['content-type', 'text/plain']], truncated: false })
  })

  test.each([
    ['an unknown coding', answer('compress', Buffer.from('abc'))],
    ['bytes that are not what they say', answer('gzip', Buffer.from('plain text'))],
    ['a stream that ends early', answer('gzip', gzipSync(TEXT).subarray(0, 40))],
    ['three codings', answer('gzip, gzip, gzip', gzipSync(gzipSync(gzipSync(TEXT))))],
    ['no body', answer('gzip', Buffer.alloc(0))],
    ['no coding', { headers: [] as HeaderList, body: Buffer.from('abc'), truncated: false }],
  ])('with %s comes back as it was', async (_, given) => {
    expect(await decodeBody(given, LIMIT)).toEqual(given)
  })

  test.each([
    ['gzip', gzipSync(Buffer.alloc(50_000_000))],
    ['br', brotliCompressSync(Buffer.alloc(50_000_000))],
    ['gzip, gzip', gzipSync(gzipSync(Buffer.alloc(50_000_000)))],
  ])('that grows without end in %s stops at the limit', async (coding, bomb) => {
    const decoded = await decodeBody(answer(coding, bomb), 1_000)
    expect([decoded.body.length, decoded.truncated]).toEqual([1_000, true])
  })

  test.each([
    ['gzip', gzipSync(TEXT)],
    ['deflate', deflateSync(TEXT)],
    ['br', brotliCompressSync(TEXT)],
  ])('in %s that was cut gives what decodes', async (coding, body) => {
    const decoded = await decodeBody(answer(coding, body.subarray(0, body.length - 5), true), LIMIT)
    expect(decoded.truncated).toBe(true)
    expect(TEXT.startsWith(decoded.body.toString())).toBe(true)
    expect(decoded.headers).toEqual([['content-type', 'text/plain']])
  })
})
