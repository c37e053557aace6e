import { describe, expect, test } from 'vitest'
import { UNKNOWN } from './fact.ts'
import { FormData } from './form-data.ts'
import { readBody } from './request-body.ts'
import { parseStrictJson } from './strict-json.ts'

/** What a rule sees of it. */
function parseBody(bytes: Uint8Array, contentType: string | null, encoding: string | null): unknown {
  const { value, doubt } = readBody(bytes, contentType, encoding)
  if (doubt !== null) return UNKNOWN
  return value instanceof FormData ? value.toObject() : value
}
const json = (text: string | Uint8Array, encoding: string | null = null) =>
  parseBody(Buffer.from(text), 'application/json', encoding)
const form = (text: string) => parseBody(Buffer.from(text), 'application/x-www-form-urlencoded', null)

describe('request body', () => {
  test('is read as JSON or a form where its content type says so and nothing else, whatever it looks like', () => {
    expect(json('{"a":[1,"x",null]}')).toEqual({ a: [1, 'x', null] })
    for (const type of [
      'application/json; charset=UTF-8',
      'application/json;charset="utf-8"',
      'application/vnd.api+json',
    ]) {
      expect(parseBody(Buffer.from('{"a":1}'), type, 'identity')).toEqual({ a: 1 })
    }
    for (const type of [null, 'text/plain', 'text/json', 'application/json; odata=verbose', 'application/xml']) {
      expect(parseBody(Buffer.from('{"a":1}'), type, null)).toBe(UNKNOWN)
    }
  })

  test('is absent when it is empty', () => {
    expect(json('')).toBeNull()
  })

  test.each([
    ['no JSON', '{"a":'],
    ['a member twice', '{"a":1,"a":2}'],
    ['a member twice in another spelling', '{"a":1,"\\u0061":2}'],
    ['a member twice, deep', '[{"x":{"a":1,"b":{},"a":2}}]'],
    ['a lone surrogate', '{"a":"\\ud800"}'],
    ['a byte order mark', '\uFEFF{"a":1}'],
    ['text behind the value', '{"a":1} x'],
  ])('is unknown with %s', (_, text) => {
    expect(json(text)).toBe(UNKNOWN)
  })

  test('is unknown when it is compressed, no UTF-8, multipart or too large', () => {
    expect(json('{"a":1}', 'gzip')).toBe(UNKNOWN)
    expect(json(new Uint8Array([0x22, 0xff, 0x22]))).toBe(UNKNOWN)
    expect(parseBody(Buffer.from('--x\r\n'), 'multipart/form-data', null)).toBe(UNKNOWN)
    expect(json(`"${'a'.repeat(1_048_575)}"`)).toBe(UNKNOWN)
    expect(json(`"${'a'.repeat(1_048_574)}"`)).not.toBe(UNKNOWN)
  })

  test('names that look like members of every object are members like others', () => {
    const body = json('{"__proto__":{"amount":1},"constructor":2}') as Record<string, unknown>
    expect(Object.keys(body)).toEqual(['__proto__', 'constructor'])
  })

  test('form data keeps repeated names as a list', () => {
    expect(form('amount=600&to=a%40x.com&to=b+c')).toEqual({ amount: '600', to: ['a@x.com', 'b c'] })
  })

  test.each(['a=%zz', 'a=%ff', '{"amount":600}', ' ["a"]'])('form data is unknown for %s', (text) => {
    expect(form(text)).toBe(UNKNOWN)
  })
})

describe('strict JSON', () => {
  test('the same name in two objects is no repetition', () => {
    expect(parseStrictJson('[{"a":1},{"a":{"a":2}}]')).toEqual({ value: [{ a: 1 }, { a: { a: 2 } }] })
  })
  test('a text that equals a member name is no repetition', () => {
    expect(parseStrictJson('{"a":"b","b":"a"}')).toEqual({ value: { a: 'b', b: 'a' } })
  })
  test('an escaped quote does not end a text', () => {
    expect(parseStrictJson('{"a":"\\"","b":"\\\\"}')).toEqual({ value: { a: '"', b: '\\' } })
  })
  test('is refused when it is nested deeper than allowed', () => {
    expect(parseStrictJson('[[1]]', 2)).toBeDefined()
    expect(parseStrictJson('[[[1]]]', 2)).toBeUndefined()
  })
})
