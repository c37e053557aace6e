import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { assertJsonContent, JSON_MAX_DEPTH, parseStrictJson } from './strict-json.ts'

const parse = (text: string) => parseStrictJson(Buffer.from(text))
const code = (fn: () => unknown): string => {
  try {
    fn()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'accepted'
}

describe('strict JSON', () => {
  it('reads what JSON.parse reads when there is nothing ambiguous in it', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 8 }), (text) => {
        const value: unknown = JSON.parse(text)
        if (!JSON.stringify(value).isWellFormed()) return
        expect(parse(text)).toEqual(value)
      }),
    )
  })

  it.each([
    ['a member named twice', '{"a":1,"a":1}'],
    ['a member named twice in two spellings', '{"a":1,"\\u0061":2}'],
    ['a member named twice below', '[{"x":{"b":[],"b":0}}]'],
    ['a lone surrogate in a text', '{"a":"\\ud800"}'],
    ['a lone surrogate in a name', '{"\\udc00":1}'],
    ['a second value', '{} {}'],
    ['nothing', ''],
    ['a comment', '{/**/}'],
    ['NaN', '{"a":NaN}'],
    ['a byte order mark', '\ufeff{}'],
    ['an unfinished value', '{"a":'],
  ])('refuses %s', (_what, text) => {
    expect(code(() => parse(text))).toBe('invalid_json')
  })

  it('refuses a number that no double holds as a fault of the value, not of the form', () => {
    expect(code(() => parse('{"a":1e400}'))).toBe('validation_failed')
    expect(code(() => parse('[-1e999]'))).toBe('validation_failed')
    expect(parse('[1e308,-0.5e-400]')).toEqual([1e308, -0])
  })

  it('refuses bytes that are not UTF-8', () => {
    expect(code(() => parseStrictJson(Buffer.from([0x22, 0xff, 0x22])))).toBe('invalid_json')
  })

  it('nests to the limit and no further, objects and arrays together', () => {
    const nested = (depth: number) => `${'[{"a":'.repeat(depth / 2)}1${'}]'.repeat(depth / 2)}`
    expect(code(() => parse(nested(JSON_MAX_DEPTH)))).toBe('accepted')
    expect(code(() => parse(nested(JSON_MAX_DEPTH + 2)))).toBe('invalid_json')
  })

  it('tells names from texts and brackets inside of texts', () => {
    expect(parse('{"a":"a","b":["a","a"],"c":{"a":"{\\"a\\":1,[\\\\"}}')).toEqual({
      a: 'a',
      b: ['a', 'a'],
      c: { a: '{"a":1,[\\' },
    })
  })

  it('finds a repeated name wherever it stands', () => {
    const name = fc.stringMatching(/^[a-z"\\/\u00e9]{1,6}$/)
    fc.assert(
      fc.property(fc.uniqueArray(name, { minLength: 1, maxLength: 6 }), fc.nat(), (names, pick) => {
        const members = names.map((each) => `${JSON.stringify(each)}:[0,"x"]`)
        expect(code(() => parse(`{${members.join(',')}}`))).toBe('accepted')
        const repeated = [...members, members[pick % members.length]]
        expect(code(() => parse(`[{"o":{${repeated.join(',')}}}]`))).toBe('invalid_json')
      }),
    )
  })

  it('says nothing of what the body held', () => {
    expect.assertions(1)
    try {
      parse('{"password":"hunter2"')
    } catch (error) {
      expect(String(error)).not.toContain('hunter2')
    }
  })
})

describe('the content type of a body', () => {
  it.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"'])(
    'takes %s',
    (type) => {
      expect(code(() => assertJsonContent({ 'content-type': type }))).toBe('accepted')
    },
  )

  it.each([
    undefined,
    '',
    'text/plain',
    'application/json; charset=latin1',
    'application/jsonx',
    'application/json, text/plain',
  ])('refuses %s', (type) => {
    expect(code(() => assertJsonContent({ 'content-type': type }))).toBe('unsupported_media_type')
  })

  it('refuses a compressed body', () => {
    expect(code(() => assertJsonContent({ 'content-type': 'application/json', 'content-encoding': 'gzip' }))).toBe(
      'unsupported_media_type',
    )
  })
})
