import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileGlob, type GlobKind } from './glob.ts'

/** The same language by plain recursion over code points: slow, and easy to believe. */
function matchesSlowly(pattern: string, text: string, kind: GlobKind): boolean {
  const tokens = pattern.match(/\*+|[^*]/gsu) ?? []
  const characters = Array.from(text)
  const from = (token: number, at: number): boolean => {
    const current = tokens[token]
    if (current === undefined) return at === characters.length
    if (current.startsWith('*')) {
      const crosses = current.length > 1 || kind === 'text'
      for (let end = at; ; end++) {
        if (from(token + 1, end)) return true
        if (end === characters.length || (!crosses && characters[end] === '/')) return false
      }
    }
    return at < characters.length && (current === '?' || current === characters[at]) && from(token + 1, at + 1)
  }
  return from(0, 0)
}

describe('glob', () => {
  test.each([
    ['/v1/*', '/v1/charges', true],
    ['/v1/*', '/v1/charges/ch_1', false],
    ['/v1/**', '/v1/charges/ch_1', true],
    ['/v1/**', '/v1', false],
    ['/v1/*/capture', '/v1/ch_1/capture', true],
    ['/v1/*/capture', '/v1/a/b/capture', false],
    ['/v1/**/capture', '/v1/a/b/capture', true],
    ['/v1/ch_?', '/v1/ch_1', true],
    ['/v1/ch_?', '/v1/ch_12', false],
    ['/v1/%2F', '/v1//', false],
    ['', '', true],
    ['**', '', true],
    ['*', 'a/b', false],
    ['/a?c', '/a😀c', true],
  ])('in paths %s against %s is %s', (pattern, text, expected) => {
    expect(compileGlob(pattern, 'path')(text)).toBe(expected)
  })

  test('in other texts one star crosses slashes', () => {
    expect(compileGlob('*@acme.com', 'text')('a/b@acme.com')).toBe(true)
    expect(compileGlob('*@acme.com', 'text')('a@acme.com.evil.com')).toBe(false)
  })

  test('head and tail of a pattern do not share characters of the text', () => {
    expect(compileGlob('ab**ba', 'path')('aba')).toBe(false)
    expect(compileGlob('ab**ba', 'path')('abba')).toBe(true)
  })

  test('agrees with a plain recursive matcher', () => {
    const letters = fc.constantFrom('a', 'b', '/', '?', '*', '**', '😀')
    const pattern = fc.array(letters, { maxLength: 9 }).map((parts) => parts.join(''))
    const text = fc.array(fc.constantFrom('a', 'b', '/', '😀'), { maxLength: 9 }).map((parts) => parts.join(''))
    fc.assert(
      fc.property(pattern, text, fc.constantFrom<GlobKind>('path', 'text'), (p, t, kind) => {
        expect(compileGlob(p, kind)(t)).toBe(matchesSlowly(p, t, kind))
      }),
      { numRuns: 3_000 },
    )
  })

  test('a pattern of many wildcards spans several words of state', () => {
    const pattern = '*a?'.repeat(60)
    expect(compileGlob(pattern, 'path')('xxab'.repeat(60))).toBe(true)
    expect(compileGlob(pattern, 'path')('xxab'.repeat(59))).toBe(false)
  })

  test('a hostile pattern and text end at all, which backtracking would not', () => {
    const hostile = compileGlob(`${'**a'.repeat(40)}b`, 'path')
    expect(hostile('a'.repeat(5_000))).toBe(false)
  })

  test('a matcher keeps nothing from one text to the next', () => {
    const matches = compileGlob('/a/*/c', 'path')
    expect([matches('/a/b/c'), matches('/a/b/x'), matches('/a/b/c')]).toEqual([true, false, true])
  })
})
