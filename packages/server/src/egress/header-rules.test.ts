import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  type HeaderList,
  inlineResultHeaders,
  isForbiddenCallerHeader,
  parseCallerHeaders,
  storedResultHeaders,
  withDefaultHeaders,
  withoutHopByHop,
} from './header-rules.ts'

describe('the headers of a caller', () => {
  test.each([
    ...['Host', 'authorization', 'Proxy-Authorization', 'Authentication', 'Cookie', 'Set-Cookie', 'X-Api-Key'],
    ...['X-Auth-Token', 'x-amz-security-token', 'x-amz-date', 'x-amz-content-sha256', 'X-Goog-Authorization'],
    ...['X-Goog-IAM-Authorization-Token', 'X-Stripe-Account', 'X-Shopify-Access-Token', 'X-HTTP-Method'],
    ...['X-HTTP-Method-Override', 'X-Method-Override', 'Content-Length', 'Transfer-Encoding', 'Connection'],
    ...['Keep-Alive', 'Upgrade', 'TE', 'Trailer', 'X-Alter-Caller', 'x-alter-anything'],
  ])('may not include %s', (name) => {
    expect(isForbiddenCallerHeader(name)).toBe(true)
    expect(() => parseCallerHeaders({ accept: 'a/b', [name]: 'x' })).toThrow(
      expect.objectContaining({ code: 'forbidden_header', status: 422, fields: { header: name.toLowerCase() } }),
    )
  })

  test('come out in lower case, sorted, without white space around them', () => {
    const headers = { 'X-B': ' two ', Accept: 'a/b', 'Idempotency-Key': 'ä', Expect: '100-continue' }
    expect(parseCallerHeaders(headers)).toEqual([
      ['accept', 'a/b'],
      ['idempotency-key', 'ä'],
      ['x-b', 'two'],
    ])
    expect(parseCallerHeaders(undefined)).toEqual([])
  })

  test.each([
    ['a line feed in a value', { 'x-a': 'one\nHost: evil' }, '/headers/x-a'],
    ['a carriage return in a value', { 'x-a': 'one\rtwo' }, '/headers/x-a'],
    ['a NUL in a value', { 'x-a': 'one\u0000' }, '/headers/x-a'],
    ['a character above Latin-1', { 'x-a': 'ā' }, '/headers/x-a'],
    ['a space in a name', { 'x a': '1' }, '/headers/x a'],
    ['a colon in a name', { 'x:a': '1' }, '/headers/x:a'],
    ['a line feed in a name', { 'x\r\nhost': '1' }, '/headers/x\r\nhost'],
    ['an empty name', { '': '1' }, '/headers/'],
    ['a slash in a name', { 'x/a': '1' }, '/headers/x~1a'],
    ['a name twice', { 'X-A': '1', 'x-a': '2' }, '/headers/x-a'],
    ['65 headers', Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`x-${n}`, '1'])), '/headers'],
    ['more than 16 KiB', { 'x-a': 'a'.repeat(16_384) }, '/headers'],
  ])('are refused with %s', (_, headers, pointer) => {
    expect(() => parseCallerHeaders(headers)).toThrow(
      expect.objectContaining({ code: 'validation_failed', errors: [expect.objectContaining({ pointer })] }),
    )
  })

  test('never carry a line break, whatever was given', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.string({ unit: 'binary' })), (headers) => {
        let list: HeaderList = []
        try {
          list = parseCallerHeaders(headers)
        } catch {
          return
        }
        for (const part of list.flat()) expect(part).not.toMatch(/[\r\n\0]/)
      }),
    )
  })

  test('are filled up with what providers expect, unless the caller chose otherwise', () => {
    const sent = Object.fromEntries(withDefaultHeaders([['user-agent', 'mine/1']]))
    expect(sent).toEqual({ accept: '*/*', 'accept-encoding': 'identity', 'user-agent': 'mine/1' })
  })
})

describe('the headers of an answer', () => {
  const answer: HeaderList = [
    ['content-type', 'text/plain'],
    ['connection', 'close, X-Internal'],
    ['x-internal', 'hop'],
    ['keep-alive', 'timeout=5'],
    ['transfer-encoding', 'chunked'],
    ['proxy-authenticate', 'Basic'],
    ['set-cookie', 'a=1'],
    ['vary', 'a'],
    ['set-cookie', 'b=2'],
    ['vary', 'b'],
    ['__proto__', 'x'],
  ]

  test('lose those of the connection, also the ones it names', () => {
    const names = withoutHopByHop(answer).map(([name]) => name)
    expect(names).toEqual(['content-type', 'set-cookie', 'vary', 'set-cookie', 'vary', '__proto__'])
  })

  test('are joined by name in a result', () => {
    expect(Object.entries(inlineResultHeaders(answer))).toEqual([
      ['content-type', 'text/plain'],
      ['set-cookie', 'a=1, b=2'],
      ['vary', 'a, b'],
      ['__proto__', 'x'],
    ])
  })

  test('lose set-cookie in a result that is kept', () => {
    expect(Object.keys(storedResultHeaders(answer))).toEqual(['content-type', 'vary', '__proto__'])
  })
})
