import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compactMember, holdsMoreValues } from './written-json.ts'

test.each([
  ['{"a":1,"body":[1.0, 2e5 ]}', '[1.0,2e5]'],
  ['{ "b\\u006fdy" :\t{"x":{"body":3}, "y": "a\\u00e9 \\" b" } , "z":1}', '{"x":{"body":3},"y":"aé \\" b"}'],
  ['{"x":{"body":1},"body": 12345678901234567890 }', '12345678901234567890'],
  ['{"x":["body",{"body":1}],"body":" a b "}', '" a b "'],
  ['{"body":{},"x":1}', '{}'],
  ['{"x":{"body":1}}', undefined],
  ['{}', undefined],
])('of %s the body is %s', (text, compact) => {
  expect(compactMember(text, 'body')).toBe(compact)
})

test('a member is cut out as JSON.stringify would write it, however the text is spaced', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.jsonValue(),
      fc.constantFrom(0, 1, 3),
      (rest, body, space) => {
        const { body: _, ...others } = rest
        for (const value of [
          { ...others, body },
          { body, ...others },
        ]) {
          expect(compactMember(JSON.stringify(value, null, space), 'body')).toBe(JSON.stringify(body))
        }
      },
    ),
  )
})

test('values are counted without parsing, whatever stands in texts', () => {
  const valuesOf = (value: unknown): number =>
    typeof value === 'object' && value !== null
      ? Object.values(value).reduce<number>((n, one) => n + valuesOf(one), 1)
      : 1
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), (value) => {
      const bytes = Buffer.from(JSON.stringify(value, null, 1))
      expect(holdsMoreValues(bytes, 2 * valuesOf(value))).toBe(false)
      expect(holdsMoreValues(bytes, valuesOf(value) - 1)).toBe(true)
    }),
  )
})

test.each(['"'.repeat(100), '['.repeat(100), ','.repeat(100), '"\\'.repeat(60)])('%j ends the count', (text) => {
  expect(typeof holdsMoreValues(Buffer.from(text), 10)).toBe('boolean')
})
