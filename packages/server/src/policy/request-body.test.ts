import { describe, expect, test } from 'vitest'
import { UNKNOWN } from './fact.ts'
import { parseBody } from './request-body.ts'
import { parseStrictJson } from './strict-json.ts'

const json = (text: string | Uint8Array, encoding: string | null = null) =>
  parseBody(Buffer.from(text), 'application/json', encoding)
const form = (text: string) => parseBody(Buffer.from(text), 'application/x-www-form-urlencoded', null)

describe('request body', () => {
  test('is read as JSON, whatever the content type says, unless that is form data', () => {
    expect(json('{"a":[1,"x",null]}')).toEqual({ a: [1, 'x', null] })
    expect(parseBody(Buffer.from('{"a":1}'), null, null)).toEqual({ a: 1 })
    expect(parseBody(Buffer.from('{"a":1}'), 'text/plain', 'identity')).toEqual({ a: 1 })
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
