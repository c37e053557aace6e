import { BodyView, LISTED_VALUES, SHOWN_HEAD_BYTES, SHOWN_TAIL_BYTES } from '@alter-vault/contracts'
import fc from 'fast-check'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { bodyView } from './body-view.ts'

const SHOWN = SHOWN_HEAD_BYTES + SHOWN_TAIL_BYTES
const view = (text: string | Buffer, contentType: string | null = 'application/json', options = {}) =>
  bodyView(Buffer.from(text as string), contentType, options)

describe('a body as a person reads it', () => {
  test.each([
    ['{"a":1}', 'application/json', 'json', null],
    ['{"a":1}', 'application/json; charset=utf-8', 'json', null],
    ['{"a":1}', 'application/vnd.api+json', 'json', null],
    ['{"a":1}', null, 'text', 'content_type'],
    ['{"a":1}', 'text/plain', 'text', 'content_type'],
    ['{"a":1}', 'application/json; odata=verbose', 'text', 'content_type'],
    ['{"a":1', 'application/json', 'text', 'malformed'],
    ['\ufeff{"a":1}', 'application/json', 'text', 'malformed'],
    ['a=1&b=2', 'application/x-www-form-urlencoded', 'form', null],
    ['a=1;b=2', 'application/x-www-form-urlencoded', 'text', 'malformed'],
    ['<a/>', 'application/xml', 'text', 'content_type'],
    [Buffer.from([0xff, 0xfe, 0x00]), 'application/json', 'binary', 'not_utf8'],
    ['', 'application/json', 'empty', null],
  ] as const)('is read as rules read it: %j as %s is %s', (body, type, kind, doubt) => {
    expect(view(body as string, type)).toMatchObject({ kind, doubt })
  })

  test.each([
    ['a=1&A=2', 'ambiguous'],
    ['amount=1&amount%5B%5D=2', 'ambiguous'],
    ['+amount=1', 'ambiguous'],
    ['metadata%5Ba%5D=1&metadata%5Bb%5D=2&expand%5B%5D=x', null],
  ])('the form %s: %s', (body, doubt) => {
    expect(view(body, 'application/x-www-form-urlencoded')).toMatchObject({ kind: 'form', doubt })
  })

  test('that is compressed is not read', () => {
    expect(view('{"a":1}', 'application/json', { contentEncoding: 'gzip' })).toMatchObject({
      kind: 'text',
      doubt: 'content_encoding',
    })
  })

  test('is always of the declared shape, and text comes back exactly', () => {
    const types = fc.constantFrom('application/json', 'text/plain', 'application/x-www-form-urlencoded', null)
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 300 }),
      fc.json().map((json) => Buffer.from(json)),
    )
    fc.assert(
      fc.property(bytes, types, fc.boolean(), (body, type, hidden) => {
        const shown = bodyView(Buffer.from(body), type, { hidden })
        expect(Value.Check(BodyView, shown)).toBe(true)
        expect(shown.size_bytes).toBe(body.length)
        if (shown.content === null) return
        const back = Buffer.from(shown.content, shown.encoding === 'utf8' ? 'utf8' : 'base64')
        expect(back.equals(Buffer.from(body))).toBe(true)
      }),
    )
  })

  test('of great length shows its first and its last part, cut at characters, and is read whole on demand', () => {
    const text = `${'€'.repeat(SHOWN)}end`
    const cut = view(text, 'text/plain')
    expect(cut.content).toBe('€'.repeat(SHOWN_HEAD_BYTES / 3))
    expect(cut.tail).toMatch(/^€+end$/)
    expect(Buffer.byteLength(cut.content! + cut.tail!) + cut.omitted_bytes).toBe(cut.size_bytes)
    const whole = view(text, 'text/plain', { whole: true })
    expect(whole).toMatchObject({ omitted_bytes: 0, tail: null, content: text, sha256: cut.sha256 })
    expect(view('x'.repeat(SHOWN), 'text/plain').omitted_bytes).toBe(0)
  })

  test.each(['"amount"', '"AMOUNT"', '"\\u0061mount"'])('in doubt for a second %s is so behind the cut too', (name) => {
    const json = `{"amount":1,"note":"${'x'.repeat(SHOWN)}",${name}:9}`
    expect(view(json)).toMatchObject({ kind: 'json', doubt: 'ambiguous' })
  })

  test('that is hidden leaves size and hash', () => {
    expect(view('{"a":1}', 'application/json', { hidden: true, whole: true })).toMatchObject({
      kind: 'hidden',
      size_bytes: 7,
      content: null,
      encoding: null,
      values: [],
    })
  })
})

describe('the values of a body', () => {
  const listed = (text: string, type?: string) => view(text, type).values.map(({ name, value }) => [name, value])

  test('are those at the top of JSON, as they are written, the last one of a long body too', () => {
    const json = `{"amount": 450.00, "pad":[${'7,'.repeat(40_000)}7], "to":"attac\\u006ber", "x":{"y":[1,{}]}, "none":{}}`
    expect(view(json).values_total).toBe(5)
    const values = listed(json)
    expect(values.map(([name]) => name)).toEqual(['amount', 'pad', 'to', 'x', 'none'])
    expect(values.map(([, value]) => value).filter((value) => value!.length < 60)).toEqual([
      '450.00',
      '"attac\\u006ber"',
      '{"y":[1,{}]}',
      '{}',
    ])
    expect(view(json).values[1]).toMatchObject({ cut: true })
  })

  test('of a list are its elements, of a scalar itself, of a form its fields with repeats', () => {
    expect(listed('[1,"a,b",[2,3]]')).toEqual([
      ['0', '1'],
      ['1', '"a,b"'],
      ['2', '[2,3]'],
    ])
    expect(listed(' 7 ')).toEqual([['', '7']])
    expect(listed('[]')).toEqual([])
    expect(listed('a=1&b=x+y&a=2', 'application/x-www-form-urlencoded')).toEqual([
      ['a', '1'],
      ['a', '2'],
      ['b', 'x y'],
    ])
  })

  test('are as many as JSON has', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.constantFrom(0, 1), (object, indent) => {
        const { values, values_total } = view(JSON.stringify(object, null, indent))
        expect(values_total).toBe(Object.keys(object).length)
        for (const { name, value, cut } of values.slice(0, LISTED_VALUES)) {
          if (!cut) expect(JSON.parse(value)).toEqual(JSON.parse(JSON.stringify(object[name])))
        }
      }),
    )
  })
})
