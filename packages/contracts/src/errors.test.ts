import { describe, expect, it } from 'vitest'
import { ADVICE, errorRegistry } from './errors.ts'

const entries = Object.entries(errorRegistry)

describe('the error registry', () => {
  it('is sorted by status, then by code', () => {
    const sorted = [...entries].sort(([a, x], [b, y]) => x.status - y.status || (a < b ? -1 : 1))
    expect(entries.map(([code]) => code)).toEqual(sorted.map(([code]) => code))
  })

  it.each(entries)('has a whole sentence of its own for %s', (code, { sentence, advice }) => {
    expect(sentence).toMatch(/^["A-Z].*\.$/s)
    expect(sentence.length).toBeGreaterThan(30)
    expect(sentence.toLowerCase()).not.toBe(`${code.replaceAll('_', ' ')}.`)
    expect(entries.filter(([, other]) => other.sentence === sentence)).toHaveLength(1)
    expect(ADVICE).toContain(advice)
  })

  it('advises to wait exactly where waiting can help', () => {
    for (const [code, { status, retryable, advice }] of entries) {
      if (status === 429 || status === 503) expect([code, retryable]).toEqual([code, true])
      if (advice === 'use_proxy') expect(code).toMatch(/_require(s)?_proxy$/)
    }
  })
})
