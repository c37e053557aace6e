import { endOfNumber, endOfSpace, endOfString } from './strict-json.ts'

const QUOTE = 0x22
const COMMA = 0x2c
const COLON = 0x3a
const SPACE = 0x20
const isOpening = (character: number) => character === 0x7b || character === 0x5b
const isClosing = (character: number) => character === 0x7d || character === 0x5d

/**
 * True when a text that may be JSON holds more than `limit` values, or half as many members, which cost more. Told from its bytes alone, and
 * without looking further. Of a text that is no JSON it counts what a reader would meet before it gives up.
 */
export function holdsMoreValues(bytes: Buffer, limit: number): boolean {
  // Each value but the first has a comma or a bracket of its own before it.
  if (bytes.length <= limit) return false
  let values = 1
  let names = 0
  let texts = 0
  for (let i = 0; i < bytes.length; i++) {
    const character = bytes[i]!
    if (character === COMMA || isOpening(character)) {
      if (++values > limit) return true
    } else if (character === COLON) {
      if (++names > limit / 2) return true
    } else if (character === QUOTE) {
      if (++texts > 2 * limit) return true
      i = endOfText(bytes, i)
      if (i < 0) return false
    }
  }
  return false
}

/** Index of the quote that closes the one at `start`; -1 when none does. */
function endOfText(bytes: Buffer, start: number): number {
  const end = bytes.indexOf(QUOTE, start + 1)
  if (end < 0 || bytes[end - 1] !== 0x5c) return end
  for (let i = start + 1; i < bytes.length; i++) {
    if (bytes[i] === QUOTE) return i
    if (bytes[i] === 0x5c) i++
  }
  return -1
}

/**
 * The member of the object that `text` holds, as compact JSON with its numbers as they were written; texts are written as `JSON.stringify`
 * does. `JSON.parse` accepts `text`, and it names no member twice. Undefined when the member is not there.
 */
export function compactMember(text: string, member: string): string | undefined {
  let depth = 0
  let nameIsNext = false
  let isInside = false
  let compact = ''
  /** What follows from here is kept as it is. */
  let from = 0

  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i)
    if (character === QUOTE) {
      const start = i
      i = endOfString(text, start)
      const isName = nameIsNext && depth === 1
      nameIsNext = false
      if (!isInside && !isName) continue
      const token = text.slice(start, i + 1)
      if (isName) {
        i = text.indexOf(':', i)
        isInside = (token.includes('\\') ? JSON.parse(token) : token.slice(1, -1)) === member
        from = i + 1
      } else if (token.includes('\\')) {
        compact += text.slice(from, start) + JSON.stringify(JSON.parse(token))
        from = i + 1
      }
    } else if (isOpening(character)) {
      depth++
      nameIsNext = true
    } else if (isClosing(character)) {
      depth--
      if (depth === 0) return isInside ? compact + text.slice(from, i) : undefined
    } else if (character === COMMA) {
      if (isInside && depth === 1) return compact + text.slice(from, i)
      nameIsNext = depth === 1
    } else if (character <= SPACE) {
      if (isInside) compact += text.slice(from, i)
      i = endOfSpace(text, i)
      from = i + 1
    } else i = endOfNumber(text, i)
  }
  return undefined
}
