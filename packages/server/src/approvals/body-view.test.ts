import { BodyView, SHOWN_BODY_BYTES } from '@alter-vault/contracts'
import fc from 'fast-check'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { bodyView, namesMemberTwice } from './body-view.ts'

const view = (text: string | Buffer, contentType: string | null = 'application/json', options = {}) =>
  bodyView(Buffer.from(text as string), contentType, options)

describe('a body as a person reads it', () => {
  test('is what its bytes are, not what its type claims', () => {
    const cases = [
      ['{"a":1}', 'application/json', 'json'],
      ['{"a":1}', 'application/json; charset=utf-8', 'json'],
      ['{"a":1}', 'application/vnd.api+json', 'json'],
      ['{"a":1}', null, 'json'],
      ['{"a":1', 'application/json', 'text'],
      ['\ufeff{"a":1}', 'application/json', 'text'],
      ['a=1&b=2', 'application/x-www-form-urlencoded', 'form'],
      ['hello', 'text/plain', 'text'],
      ['<a/>', 'application/xml', 'text'],
      [Buffer.from([0xff, 0xfe, 0x00]), 'application/json', 'binary'],
      [Buffer.from([0x1f, 0x8b, 0x08, 0xff]), null, 'binary'],
      ['', 'application/json', 'empty'],
    ] as const
    for (const [body, type, kind] of cases) expect([type, view(body as string, type).kind]).toEqual([type, kind])
  })

  test('is always of the declared shape, and text comes back exactly', () => {
    const types = fc.constantFrom('application/json', 'text/plain', 'multipart/form-data; boundary=x', null)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), types, fc.boolean(), (bytes, type, hidden) => {
        const shown = bodyView(Buffer.from(bytes), type, { hidden })
        expect(Value.Check(BodyView, shown)).toBe(true)
        expect(shown.size_bytes).toBe(bytes.length)
        if (shown.content === null) return
        const back = Buffer.from(shown.content, shown.encoding === 'utf8' ? 'utf8' : 'base64')
        expect(back.equals(Buffer.from(bytes))).toBe(true)
      }),
    )
  })

  test('long text is cut at a character, and read whole on demand', () => {
    const text = '€'.repeat(SHOWN_BODY_BYTES)
    const cut = view(text, 'text/plain')
    expect(cut).toMatchObject({ truncated: true, size_bytes: Buffer.byteLength(text) })
    expect(cut.content).toBe('€'.repeat(Math.floor(SHOWN_BODY_BYTES / 3)))
    const whole = view(text, 'text/plain', { whole: true })
    expect(whole).toMatchObject({ truncated: false, content: text, sha256: cut.sha256 })
    expect(view('x'.repeat(SHOWN_BODY_BYTES), 'text/plain').truncated).toBe(false)
  })

  test('a member named twice is found behind the cut too', () => {
    const json = `{"amount":1,"note":"${'x'.repeat(SHOWN_BODY_BYTES)}","amount":9}`
    expect(view(json)).toMatchObject({ kind: 'json', truncated: true, duplicate_keys: true })
  })

  test('a hidden body leaves size and hash', () => {
    expect(view('{"a":1}', 'application/json', { hidden: true, whole: true })).toMatchObject({
      kind: 'hidden',
      size_bytes: 7,
      content: null,
      encoding: null,
    })
  })
})

describe('members named twice', () => {
  test('are found at any depth and in any spelling', () => {
    const twice = [
      '{"a":1,"a":2}',
      '[{"b":[{"a":1,"\\u0061":2}]}]',
      '{"a":{"x":1},"b":[],"a":null}',
      '{"":1,"":1}',
      '{"x":"\\ud800","a":1e999,"a":2}',
    ]
    const once = [
      '{"a":1,"b":{"a":1}}',
      '[{"a":1},{"a":1}]',
      '{"a":"\\"a\\":1,\\"a\\":2"}',
      '["a","a"]',
      '"a"',
      '{"a":["a","a"]}',
    ]
    for (const text of twice) expect([text, namesMemberTwice(text)]).toEqual([text, true])
    for (const text of once) expect([text, namesMemberTwice(text)]).toEqual([text, false])
  })

  test('no JSON that JavaScript writes has them; one more copy of any member does', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.dictionary(fc.string(), fc.jsonValue(), { minKeys: 1 }), (value, object) => {
        expect(namesMemberTwice(JSON.stringify(value, null, 1))).toBe(false)
        const [name, member] = Object.entries(object)[0]!
        const text = JSON.stringify(object)
        const doubled = `${text.slice(0, -1)},${JSON.stringify(name)}:${JSON.stringify(member)}}`
        expect(namesMemberTwice(doubled)).toBe(true)
      }),
    )
  })
})

describe('multipart', () => {
  const body = [
    '--x',
    'Content-Disposition: form-data; name="note"',
    '',
    'hi',
    '--x',
    'content-disposition: form-data; name="file"; filename="a \\"b\\".txt"',
    'Content-Type: text/plain',
    '',
    'line 1\r\nline 2',
    '--x--',
    '',
  ].join('\r\n')

  test('lists its parts', () => {
    const { kind, parts, content } = view(body, 'multipart/form-data; boundary=x')
    expect([kind, content]).toEqual(['multipart', body])
    expect(parts).toMatchObject([
      { name: 'note', filename: null, content_type: null, size_bytes: 2 },
      { name: 'file', filename: 'a "b".txt', content_type: 'text/plain', size_bytes: 14 },
    ])
  })

  test('what other readers might take apart otherwise is shown as it is', () => {
    const odd = [
      `preamble\r\n${body}`,
      `${body}epilogue`,
      body.replace('--x--', ''),
      body.replace('\r\n\r\nhi', '\r\nhi'),
      body.replaceAll('\r\n', '\n'),
    ]
    for (const text of odd)
      expect(view(text, 'multipart/form-data; boundary=x')).toMatchObject({ kind: 'text', parts: null })
    expect(view(body, 'multipart/form-data').kind).toBe('text')
  })
})
