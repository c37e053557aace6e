import { expect, test } from 'vitest'
import { csvLine } from './csv.ts'

test('a line is as RFC 4180 writes it', () => {
  expect(csvLine(['a', 'b c', 7, null, undefined, true])).toBe('a,b c,7,,,true\r\n')
  expect(csvLine(['say "x"', 'a,b', 'two\nlines', ''])).toBe('"say ""x""","a,b","two\nlines",\r\n')
})

const SIGNS = ['=', '+', '-', '@', '|', '%', '＝', '＋', '－', '＠', '﹦', '﹢', '﹣', '﹫', '⁺', '⁼', '−']
const SKIPPED = [
  '',
  ' ',
  '\t',
  '\r',
  '\n',
  '\r\n',
  '\v',
  '\0',
  '\u00a0',
  '\u200b',
  '\ufeff',
  '\u2028',
  '\u3000',
  ' \n \u200b',
  ' '.repeat(5_000),
]

test.each(['=1+1', '+1', '-1', '@x', '\tx', '\rx', '\n=1+1', '＝1+1'])(
  'a cell that a spreadsheet would run is defused: %j',
  (cell) => {
    expect(csvLine([cell]).replace(/^"/, '')).toMatch(/^'/)
  },
)

test('so is every sign of a formula behind everything that may be skipped', () => {
  const harmful = SKIPPED.flatMap((skipped) => SIGNS.map((sign) => `${skipped}${sign}cmd`))
  expect(harmful.filter((cell) => !/^"?'/.test(csvLine([cell])))).toEqual([])
})

test.each(['a-1', '1+1', 'https://example.com/?a=b', '(=1)', "'=1", 'é', '漢字', '/v1', ''])(
  'a harmless cell stays: %j',
  (cell) => {
    expect(csvLine([cell])).toBe(`${cell}\r\n`)
  },
)

test.each([',', ';', '\t', '|', '"', '\n', '\r', '\u2028', '\u0085'])(
  'what may end a cell somewhere is quoted: %j',
  (end) => {
    expect(csvLine([`a${end}=1+1`])).toMatch(/^".*"\r\n$/s)
  },
)

test('a number stays a number, below zero too', () => {
  expect(csvLine([-1])).toBe('-1\r\n')
})
