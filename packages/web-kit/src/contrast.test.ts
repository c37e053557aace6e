import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contrast, readableOn } from './contrast.ts'

const hex = fc.integer({ min: 0, max: 0xffffff }).map((value) => `#${value.toString(16).padStart(6, '0')}`)

describe('contrast', () => {
  it('is 21 between black and white, and 1 with itself', () => {
    expect(contrast('#000000', '#ffffff')).toBeCloseTo(21)
    expect(contrast('#635bff', '#635bff')).toBe(1)
  })

  it('finds a foreground of at least 4.5:1 for every background', () => {
    fc.assert(
      fc.property(hex, (background) => {
        expect(contrast(readableOn(background), background)).toBeGreaterThanOrEqual(4.5)
      }),
    )
  })
})
