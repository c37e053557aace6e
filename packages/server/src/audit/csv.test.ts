import { expect, test } from 'vitest'
import { csvLine } from './csv.ts'

test('a line is as RFC 4180 writes it', () => {
  expect(csvLine(['a', 'b c', 7, null, undefined, true])).toBe('a,b c,7,,,true\r\n')
  expect(csvLine(['say "x"', 'a,b', 'two\nlines', ''])).toBe('"say ""x""","a,b","two\nlines",\r\n')
})

test.each(['=1+1', '+1', '-1', '@x', '\tx', '\rx'])('a cell that a spreadsheet would run is defused: %j', (cell) => {
  expect(csvLine([cell]).replace(/^"/, '')).toMatch(/^'/)
})

test('a number stays a number, below zero too', () => {
  expect(csvLine([-1])).toBe('-1\r\n')
})
