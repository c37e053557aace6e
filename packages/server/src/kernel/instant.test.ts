import fc from 'fast-check'
import { expect, it } from 'vitest'
import { parseInstant } from './instant.ts'

it('reads every instant that JavaScript writes', () => {
  fc.assert(
    fc.property(fc.date({ min: new Date(0), max: new Date('9999-12-31T23:59:59Z'), noInvalidDate: true }), (date) => {
      expect(parseInstant(date.toISOString())).toBe(date.getTime())
    }),
  )
})

it('reads zones and fractions', () => {
  expect(parseInstant('2026-03-02T09:00:00+01:00')).toBe(Date.parse('2026-03-02T08:00:00Z'))
  expect(parseInstant('2028-02-29T00:00:00.123456Z')).toBe(Date.parse('2028-02-29T00:00:00.123Z'))
})

it.each([
  '2026-02-30T00:00:00Z',
  '2026-13-01T00:00:00Z',
  '2027-02-29T00:00:00Z',
  '2026-03-02T24:00:00Z',
  '2026-03-02T09:60:00Z',
  '2026-03-02T09:00:60Z',
  '2026-03-02T09:00:00',
  '2026-03-02T09:00:00+24:00',
  '2026-03-02',
  'now',
  '',
])('reads no instant in %j', (text) => {
  expect(parseInstant(text)).toBeUndefined()
})
