import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type JsonOutline, outlineJson } from './json-outline.ts'

const whole = { cut: false }
const drawn = (outline: JsonOutline | undefined) =>
  outline?.lines.map(({ depth, tokens }) => '  '.repeat(depth) + tokens.map((token) => token.source).join(''))

describe('JSON outline', () => {
  it('puts one member on a line', () => {
    expect(drawn(outlineJson('{"charge":"ch_1","items":[1,{"a":true}],"none":{},"list":[ ]}', whole))).toEqual([
      '{',
      '  "charge": "ch_1",',
      '  "items": [',
      '    1,',
      '    {',
      '      "a": true',
      '    }',
      '  ],',
      '  "none": {},',
      '  "list": []',
      '}',
    ])
  })

  it('keeps every digit of a number that a double cannot hold', () => {
    expect(drawn(outlineJson('[12345678901234567890.10,1E400]', whole))).toEqual([
      '[',
      '  12345678901234567890.10,',
      '  1E400',
      ']',
    ])
  })

  it('marks both places of a member named twice, also when one is escaped', () => {
    const outline = outlineJson('{"amount":1,"\\u0061mount":2,"other":{"amount":3}}', whole)
    expect(outline?.repeatedKeys).toEqual(['amount'])
    const keys = outline?.lines.flatMap((line) => line.tokens.filter((token) => token.kind === 'key'))
    expect(keys?.map((key) => [key.source, key.reads, key.repeated])).toEqual([
      ['"amount"', undefined, true],
      ['"\\u0061mount"', 'amount', true],
      ['"other"', undefined, undefined],
      ['"amount"', undefined, undefined],
    ])
  })

  it('says what an escaped string reads', () => {
    expect(outlineJson('"Caf\\u00e9"', whole)?.lines[0]?.tokens[0]).toMatchObject({
      source: '"Caf\\u00e9"',
      reads: 'Café',
    })
  })

  it.each(['{"a":1', '{a:1}', "{'a':1}", '', '{"a":1}}', '\uFEFF{}'])('is not made of %j', (text) => {
    expect(outlineJson(text, whole)).toBeUndefined()
  })

  it('shows a cut text as far as it goes', () => {
    expect(drawn(outlineJson('{"a":1,"b":"unfini', { cut: true }))).toEqual(['{', '  "a": 1,', '  "b": "unfini'])
  })

  it('loses nothing but white space between tokens, for every JSON text', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const outline = outlineJson(text, whole)
        expect(drawn(outline)).toBeDefined()
        const again = drawn(outline)?.join('\n') ?? ''
        expect(JSON.parse(again)).toEqual(JSON.parse(text))
      }),
    )
  })
})
