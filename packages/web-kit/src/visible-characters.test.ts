import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hasDeceptiveCharacters, spellOut, visibleCharacters } from './visible-characters.ts'

const line = { multiline: false }
const lines = { multiline: true }

describe('visible characters', () => {
  it('leaves ordinary text of any script alone', () => {
    for (const text of [
      'Refund 450.00 EUR',
      'Überweisung naïve',
      'Возврат средств',
      'استرداد',
      '返金 ①',
      'e\u0301a\u0308',
    ]) {
      expect(visibleCharacters(text, line)).toEqual([{ kind: 'plain', text }])
    }
  })

  it('leaves emoji sequences alone', () => {
    expect(hasDeceptiveCharacters('ok ❤️ 👩‍💻 👩🏽‍💻', line)).toBe(false)
  })

  it('marks direction overrides and names them', () => {
    expect(visibleCharacters('pay \u202Ekcab', line)).toEqual([
      { kind: 'plain', text: 'pay ' },
      { kind: 'marked', text: '\u202E', label: 'U+202E', name: 'right-to-left override' },
      { kind: 'plain', text: 'kcab' },
    ])
  })

  it.each([
    ['every bidi control', '\u061C\u200E\u200F\u202A\u202B\u202C\u202D\u202E\u2066\u2067\u2068\u2069'],
    ['zero-width characters', '\u200B\u200C\u200D\u2060\uFEFF\u00AD\u180E'],
    ['controls', '\u0000\u0007\u001B\u007F\u0085'],
    ['tag characters', '\u{E0041}\u{E007F}'],
    ['fillers that are drawn as nothing', '\u115F\u3164\uFFA0\u034F'],
    ['spaces that are not the space', '\u00A0\u2003\u3000'],
    ['line and paragraph separators', '\u2028\u2029'],
    ['private use and unassigned code points', '\uE000\u{10FFFD}\u{E0FFF}'],
    ['half of a surrogate pair', '\uD800'],
  ])('marks %s', (_what, characters) => {
    for (const character of characters) {
      expect(visibleCharacters(character, lines)[0]?.kind, character.codePointAt(0)?.toString(16)).toBe('marked')
    }
  })

  it('keeps line breaks and tabs only where lines are drawn', () => {
    expect(hasDeceptiveCharacters('a\n\tb', lines)).toBe(false)
    expect(spellOut('a\n\tb')).toBe('a[U+000A][U+0009]b')
    expect(hasDeceptiveCharacters('a\rb', lines)).toBe(true)
  })

  it('counts repeats instead of drawing them all', () => {
    expect(visibleCharacters('\u200B'.repeat(400), line)).toMatchObject([{ kind: 'marked', label: 'U+200B ×400' }])
  })

  it('marks combining marks piled on one character', () => {
    const runs = visibleCharacters(`a${'\u0301'.repeat(3)}${'\u0302'.repeat(9)}b`, line)
    expect(runs.map((run) => run.kind)).toEqual(['plain', 'marked', 'plain'])
  })

  it('never loses, adds or reorders a character, and leaves none that could deceive in a plain run', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), fc.boolean(), (text, multiline) => {
        const runs = visibleCharacters(text, { multiline })
        expect(runs.map((run) => run.text).join('')).toBe(text)
        for (const run of runs) {
          if (run.kind === 'plain')
            expect(run.text).not.toMatch(/[\u202A-\u202E\u2066-\u2069\u200B\u2028]|(?![\n\t])\p{Cc}/u)
        }
      }),
    )
  })
})
