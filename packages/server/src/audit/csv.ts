/** Signs by which a spreadsheet knows a formula. */
const FORMULA_SIGNS = /^[=+\-@\u2212|%]/
/** What some program skips in front of them: blanks, controls, what is not seen. */
const FIRST_SEEN = /[^\p{C}\p{Z}]/u
const CONTROL_FIRST = /^\p{Cc}/u
/** Separators of any country's spreadsheets, quotes and every kind of line break. */
const NEEDS_QUOTES = /[",;|\t\r\n\v\f\u0085\u2028\u2029]/

/** One line of CSV (RFC 4180). A cell that looks like a formula is prefixed by `'`; null and undefined are empty. */
export function csvLine(cells: readonly (string | number | boolean | null | undefined)[]): string {
  return `${cells.map(csvCell).join(',')}\r\n`
}

function csvCell(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined) return ''
  const text = typeof value === 'string' && isFormula(value) ? `'${value}` : String(value)
  return NEEDS_QUOTES.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

/** Compatibility forms count as what they stand for: `＝` is a sign of a formula too. */
const isFormula = (text: string): boolean =>
  CONTROL_FIRST.test(text) || FORMULA_SIGNS.test((FIRST_SEEN.exec(text)?.[0] ?? '').normalize('NFKC'))
