import { foldCase } from './names.ts'

/*
 * What JSON.parse (RFC 8259) lets through and two readers may understand differently.
 */

/** Why a text that is valid JSON has no single reading. */
export type Ambiguity = 'duplicate_member' | 'lone_surrogate' | 'number_too_large' | 'too_deep'

type Options = {
  /** Two names that differ only by letter case are one, as for readers such as Go's and .NET's. */
  foldsCase?: boolean
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const SPACE = 0x20
const COMMA = 0x2c
const COLON = 0x3a
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

/** The first ambiguity of a text that `JSON.parse` accepts. */
export function findAmbiguity(text: string, maxDepth: number, options?: Options): Ambiguity | undefined {
  return findAmbiguities(text, maxDepth, options).next().value
}

/**
 * The ambiguities of a text that `JSON.parse` accepts, as they come: a member named twice in one object, a lone surrogate, a number too
 * large for a double, nesting over `maxDepth`. Every quote outside of a string opens one, so no grammar is needed.
 */
export function* findAmbiguities(
  text: string,
  maxDepth: number,
  { foldsCase = false }: Options = {},
): Generator<Ambiguity, undefined> {
  /** One set of names per open object, null per open array. */
  const open: (Set<string> | null)[] = []
  let names: Set<string> | null = null
  let nameIsNext = false

  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i)
    if (character <= SPACE) i = endOfSpace(text, i)
    else if (character === QUOTE) {
      const start = i
      i = endOfString(text, start)
      const token = text.slice(start, i + 1)
      const escaped = token.includes('\\')
      if (nameIsNext) {
        const written = escaped ? (JSON.parse(token) as string) : token.slice(1, -1)
        if (escaped && !written.isWellFormed()) yield 'lone_surrogate'
        const name = foldsCase ? foldCase(written) : written
        if (names!.has(name)) yield 'duplicate_member'
        names!.add(name)
        nameIsNext = false
      } else if (escaped && token.includes('\\u') && !(JSON.parse(token) as string).isWellFormed()) {
        yield 'lone_surrogate'
      }
    } else if (character === COMMA) {
      nameIsNext = names !== null
    } else if (character === OPEN_BRACE || character === OPEN_BRACKET) {
      if (open.length >= maxDepth) yield 'too_deep'
      names = character === OPEN_BRACE ? new Set() : null
      nameIsNext = names !== null
      open.push(names)
    } else if (character === CLOSE_BRACE || character === CLOSE_BRACKET) {
      open.pop()
      names = open.at(-1) ?? null
      nameIsNext = false
    } else if (character === MINUS || (character >= ZERO && character <= NINE)) {
      const start = i
      i = endOfNumber(text, start)
      if (!Number.isFinite(Number(text.slice(start, i + 1)))) {
        yield 'number_too_large'
      }
    }
  }
  return undefined
}

/** A member of the object, or an element of the array, that is the whole of a JSON text. The value as it is written. */
export type TopMember = { name: string; value: string }

/** The first members at the top of a text that `JSON.parse` accepts, and how many there are; a scalar is one without a name. */
export function topMembers(text: string, limit: number): { members: TopMember[]; total: number } {
  const members: TopMember[] = []
  let total = 0
  let depth = 0
  let name: string | null = null
  let from = 0
  const take = (to: number) => {
    if (total < limit) members.push({ name: name ?? `${total}`, value: text.slice(from, to).trim() })
    total++
  }

  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i)
    if (character === QUOTE) {
      i = endOfString(text, i)
    } else if (character === OPEN_BRACE || character === OPEN_BRACKET) {
      depth++
      if (depth === 1) from = i + 1
    } else if (character === CLOSE_BRACE || character === CLOSE_BRACKET) {
      depth--
      if (depth === 0) {
        if (text.slice(from, i).trim() !== '') take(i)
        return { members, total }
      }
    } else if (depth === 1 && character === COLON) {
      if (total < limit) name = JSON.parse(text.slice(from, i)) as string
      from = i + 1
    } else if (depth === 1 && character === COMMA) {
      take(i)
      from = i + 1
    }
  }
  return { members: [{ name: '', value: text.trim() }], total: 1 }
}

/** Index of the quote that closes the string opened at `start`. */
export function endOfString(text: string, start: number): number {
  const end = text.indexOf('"', start + 1)
  if (text.charCodeAt(end - 1) !== BACKSLASH) return end
  // Once through, however many escapes there are.
  for (let i = start + 1; ; i++) {
    const character = text.charCodeAt(i)
    if (character === QUOTE) return i
    if (character === BACKSLASH) i++
  }
}

// Loops of their own: inside of a generator each step costs several times as much.
export function endOfSpace(text: string, start: number): number {
  let end = start
  while (text.charCodeAt(end + 1) <= SPACE) end++
  return end
}

export function endOfNumber(text: string, start: number): number {
  let end = start
  while (isInsideNumber(text.charCodeAt(end + 1))) end++
  return end
}

/** Digits, sign, point and exponent. */
function isInsideNumber(character: number): boolean {
  return (
    (character >= ZERO && character <= NINE) ||
    character === 0x2e ||
    character === 0x2b ||
    character === MINUS ||
    character === 0x65 ||
    character === 0x45
  )
}
