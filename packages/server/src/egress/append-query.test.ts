import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { appendQuery } from './append-query.ts'
import { canonicalUrl, MAX_URL_LENGTH } from './canonical-url.ts'

const BARE = canonicalUrl('https://api.example.com/v1')

describe('query_params', () => {
  test('follow the own query of the URL, in the order sent', () => {
    const url = canonicalUrl('https://api.example.com/v1?z=1')
    expect(appendQuery(url, { b: 'x', a: 2 }).query).toBe('z=1&b=x&a=2')
  })

  test.each([
    ['text', { q: 'a b&c=d+e/ü' }, 'q=a+b%26c%3Dd%2Be%2F%C3%BC'],
    ['characters that encodeURIComponent leaves', { q: "!'()*~" }, 'q=%21%27%28%29%2A~'],
    ['a name that needs encoding', { 'filter[a b]': '1' }, 'filter%5Ba+b%5D=1'],
    ['a list', { a: [1, 'two', true, null] }, 'a=1&a=two&a=true&a='],
    ['an empty list', { a: [], b: 1 }, 'b=1'],
    ['booleans', { a: true, b: false }, 'a=true&b=false'],
    ['null', { a: null }, 'a='],
    ['numbers', { a: 0, b: -1.5, c: 9007199254740991 }, 'a=0&b=-1.5&c=9007199254740991'],
    ['empty text', { a: '' }, 'a='],
    ['nothing', {}, ''],
  ])('encode %s', (_, params, query) => {
    expect(appendQuery(BARE, params).query).toBe(query)
  })

  test('write a space as %20 where a plus sign is signed as one', () => {
    expect(appendQuery(BARE, { q: 'a b+c' }, { space: '%20' }).query).toBe('q=a%20b%2Bc')
  })

  test.each([
    ['an object', { a: { b: 1 } }, '/query_params/a'],
    ['a list in a list', { a: ['x', ['y']] }, '/query_params/a/1'],
    ['an object in a list', { a: [{}] }, '/query_params/a/0'],
    ['an integer whose digits are lost', { a: 2 ** 53 }, '/query_params/a'],
    ['a number that is no number', { a: Number.NaN }, '/query_params/a'],
    ['half a surrogate pair', { a: '\ud800' }, '/query_params/a'],
    ['a name with a slash', { 'a/b': {} }, '/query_params/a~1b'],
  ])('are refused with %s', (_, params, pointer) => {
    expect(() => appendQuery(BARE, params)).toThrow(
      expect.objectContaining({ code: 'validation_failed', errors: [expect.objectContaining({ pointer })] }),
    )
  })

  test('may not make the URL too long', () => {
    expect(() => appendQuery(BARE, { a: 'x'.repeat(MAX_URL_LENGTH) })).toThrow(
      expect.objectContaining({ code: 'query_too_long' }),
    )
  })

  test('read back as they were by every form decoder', () => {
    const text = fc.string({ unit: 'grapheme', maxLength: 10 })
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(text, fc.array(text, { maxLength: 3 })), { selector: ([name]) => name }),
        (given) => {
          const params = Object.fromEntries(given)
          const expected = Object.entries(params).flatMap(([name, values]) => values.map((value) => [name, value]))
          for (const space of ['+', '%20'] as const) {
            expect([...new URLSearchParams(appendQuery(BARE, params, { space }).query)]).toEqual(expected)
          }
        },
      ),
    )
  })
})
