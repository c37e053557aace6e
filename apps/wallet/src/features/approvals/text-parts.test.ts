import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { endAfter } from './text-parts.ts'

describe('the part of a text that is drawn', () => {
  it('is the whole of a short one', () => {
    expect(endAfter('', 0)).toBe(0)
    expect(endAfter('a\nb', 0)).toBe(3)
  })

  it('ends behind a line, or in a very long one', () => {
    const lines = 'line\n'.repeat(60)
    expect(lines.slice(0, endAfter(lines, 0))).toBe('line\n'.repeat(40))
    expect(endAfter('a'.repeat(9_000), 0)).toBe(4_000)
    expect(endAfter('a'.repeat(9_000), 1)).toBe(9_000)
  })

  it('grows to the end, and never parts a character', () => {
    const pieces = fc.constantFrom('a', '\n', '💶', 'x'.repeat(700), '\n'.repeat(30))
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 300 }), (parts) => {
        const text = parts.join('')
        let before = 0
        for (let steps = 0; steps < 20; steps++) {
          const end = endAfter(text, steps)
          expect(end).toBeGreaterThanOrEqual(before)
          expect(text.slice(0, end).isWellFormed()).toBe(true)
          before = end
        }
        expect(before).toBe(text.length)
      }),
    )
  })
})
