/** A stretch of text that reads as it is, or characters that a reader would not see or would be misled by. */
export type TextRun = { kind: 'plain'; text: string } | { kind: 'marked'; text: string; label: string; name: string }

type Options = {
  /** Draw line breaks and tabs as such; otherwise they are marked like any other control character. */
  multiline: boolean
}

/** Base characters may carry this many combining marks before the rest is marked: more would paint over other lines. */
const COMBINING_MARKS_SHOWN = 3

const NAMES: Readonly<Record<number, string>> = {
  0: 'null character',
  9: 'tab',
  10: 'line break',
  13: 'carriage return',
  27: 'escape character',
  127: 'delete character',
  160: 'no-break space',
  173: 'soft hyphen',
  1564: 'Arabic letter mark',
  8203: 'zero width space',
  8204: 'zero width non-joiner',
  8205: 'zero width joiner',
  8206: 'left-to-right mark',
  8207: 'right-to-left mark',
  8232: 'line separator',
  8233: 'paragraph separator',
  8234: 'left-to-right embedding',
  8235: 'right-to-left embedding',
  8236: 'end of direction change',
  8237: 'left-to-right override',
  8238: 'right-to-left override',
  8288: 'word joiner',
  8294: 'left-to-right isolate',
  8295: 'right-to-left isolate',
  8296: 'first strong isolate',
  8297: 'end of isolate',
  65279: 'byte order mark',
  65533: 'undecodable bytes',
}

/*
 * Unicode classes instead of a list: controls, format characters (all bidi controls and tag characters among them), line and
 * paragraph separators, private use, lone surrogates, unassigned, whatever is ignorable by default (fillers, joiners, variation
 * selectors), every space that is not the plain one, and the replacement character.
 */
const DECEPTIVE =
  /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Co}\p{Cs}\p{Cn}\p{Default_Ignorable_Code_Point}\uFFFD]|(?! )\p{Zs}|(?<=\p{M}{3})\p{M}/u
const EMOJI_JOINT =
  /(?<=\p{Extended_Pictographic}\uFE0F?\p{Emoji_Modifier}?)(?:\uFE0F|\u200D(?=\p{Extended_Pictographic}))/u
const SPLIT = new RegExp(`(${EMOJI_JOINT.source})|(${DECEPTIVE.source})`, 'gu')

const describe = (character: string) => {
  const codePoint = character.codePointAt(0) ?? 0
  const label = `U+${codePoint.toString(16).toUpperCase().padStart(4, '0')}`
  if (NAMES[codePoint]) return { label, name: NAMES[codePoint] }
  if (/\p{M}/u.test(character)) return { label, name: `more than ${COMBINING_MARKS_SHOWN} combining marks` }
  if (/\p{Zs}/u.test(character)) return { label, name: 'unusual space' }
  if (/\p{Cc}/u.test(character)) return { label, name: 'control character' }
  return { label, name: 'invisible or unassigned character' }
}

/** A line break, alone or behind its carriage return, or a tab. */
function isLayout(text: string, at: number): boolean {
  const character = text[at]
  return character === '\n' || character === '\t' || (character === '\r' && text[at + 1] === '\n')
}

/**
 * Splits text so that nothing in it is invisible or reorders what surrounds it: direction controls, zero-width characters, controls,
 * odd spaces and piled-up combining marks become marked runs (repeats counted in the label). The runs' `text` joined is the input.
 * Source of the attack: Unicode Technical Report 36 and "Trojan Source" (CVE-2021-42574).
 */
export function visibleCharacters(text: string, { multiline }: Options): TextRun[] {
  const runs: TextRun[] = []
  let plain = ''
  let from = 0
  let repeats = 0
  const flush = () => {
    if (plain) runs.push({ kind: 'plain', text: plain })
    plain = ''
  }
  for (const match of text.matchAll(SPLIT)) {
    const [character, emojiJoint] = match
    plain += text.slice(from, match.index)
    from = match.index + character.length
    if (emojiJoint !== undefined || (multiline && isLayout(text, match.index))) {
      plain += character
      continue
    }
    flush()
    const before = runs.at(-1)
    const { label, name } = describe(character)
    if (before?.kind === 'marked' && before.text.startsWith(character)) {
      repeats += 1
      before.text += character
      before.label = `${label} ×${repeats}`
    } else {
      repeats = 1
      runs.push({ kind: 'marked', text: character, label, name })
    }
  }
  plain += text.slice(from)
  flush()
  return runs
}

/** Whether a reader would be misled by the text as it is. */
export const hasDeceptiveCharacters = (text: string, options: Options): boolean =>
  visibleCharacters(text, options).some((run) => run.kind === 'marked')

/** The text with each marked run written as its label, for places that take only a string (a title, an announcement). */
export const spellOut = (text: string): string =>
  visibleCharacters(text, { multiline: false })
    .map((run) => (run.kind === 'plain' ? run.text : `[${run.label}]`))
    .join('')
