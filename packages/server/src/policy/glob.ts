/** Answers whether a text matches the whole pattern it was compiled from. */
export type Matcher = (text: string) => boolean

/**
 * `path`: `*` is any run of characters except `/`. `text`: `*` is any run of characters.
 * In both `**` is any run of characters and `?` is one character (a Unicode code point).
 */
export type GlobKind = 'path' | 'text'

type Token = { kind: 'literal'; codePoint: number } | { kind: 'any' } | { kind: 'run' } | { kind: 'run_in_segment' }

const SLASH = 0x2f

/**
 * Compiles a glob into a matcher whose time is linear in the text (times the pattern's length / 32), whatever the pattern.
 *
 * The wildcards between the literal head and tail run as a bit-parallel automaton: bit i of the state is set when the first i
 * tokens can have produced the text read so far.
 */
export function compileGlob(pattern: string, kind: GlobKind): Matcher {
  const tokens = tokenize(pattern, kind)
  const firstWild = tokens.findIndex((token) => token.kind !== 'literal')
  if (firstWild === -1) return (text) => text === pattern
  const lastWild = tokens.findLastIndex((token) => token.kind !== 'literal')
  const head = literalText(tokens.slice(0, firstWild))
  const tail = literalText(tokens.slice(lastWild + 1))
  const middle = tokens.slice(firstWild, lastWild + 1)

  if (middle.length === 1 && middle[0]!.kind === 'run') {
    return (text) => text.length >= head.length + tail.length && text.startsWith(head) && text.endsWith(tail)
  }
  const matchesMiddle = compileAutomaton(middle)
  return (text) =>
    text.length >= head.length + tail.length &&
    text.startsWith(head) &&
    text.endsWith(tail) &&
    matchesMiddle(text, head.length, text.length - tail.length)
}

function tokenize(pattern: string, kind: GlobKind): Token[] {
  const tokens: Token[] = []
  const characters = Array.from(pattern)
  for (let i = 0; i < characters.length; i++) {
    const character = characters[i]!
    if (character === '?') {
      tokens.push({ kind: 'any' })
    } else if (character !== '*') {
      tokens.push({ kind: 'literal', codePoint: character.codePointAt(0)! })
    } else {
      let stars = 1
      while (characters[i + 1] === '*') {
        stars++
        i++
      }
      tokens.push({ kind: stars > 1 || kind === 'text' ? 'run' : 'run_in_segment' })
    }
  }
  return tokens
}

function literalText(tokens: readonly Token[]): string {
  return tokens.map((token) => (token.kind === 'literal' ? String.fromCodePoint(token.codePoint) : '')).join('')
}

function compileAutomaton(tokens: readonly Token[]): (text: string, from: number, to: number) => boolean {
  const words = (tokens.length >>> 5) + 1
  const any = new Int32Array(words)
  const run = new Int32Array(words)
  const runInSegment = new Int32Array(words)
  const skippable = new Int32Array(words)
  const literals = new Map<number, Int32Array>()
  const noLiteral = new Int32Array(words)
  tokens.forEach((token, i) => {
    const word = i >>> 5
    const bit = 1 << (i & 31)
    if (token.kind === 'any') any[word]! |= bit
    else if (token.kind === 'literal') {
      let mask = literals.get(token.codePoint)
      if (mask === undefined) {
        mask = new Int32Array(words)
        literals.set(token.codePoint, mask)
      }
      mask[word]! |= bit
    } else {
      skippable[word]! |= bit
      if (token.kind === 'run') run[word]! |= bit
      else runInSegment[word]! |= bit
    }
  })
  const acceptWord = tokens.length >>> 5
  const acceptBit = 1 << (tokens.length & 31)
  // Runs are never neighbors (stars are folded by the tokenizer), so one step of skipping reaches every state.
  const skipRuns = (state: Int32Array) => {
    let carry = 0
    for (let w = 0; w < words; w++) {
      const skipping = state[w]! & skippable[w]!
      state[w]! |= (skipping << 1) | carry
      carry = skipping >>> 31
    }
  }
  const state = new Int32Array(words)

  return (text, from, to) => {
    state.fill(0)
    state[0] = 1
    skipRuns(state)
    for (let i = from; i < to; ) {
      const codePoint = text.codePointAt(i)!
      i += codePoint > 0xffff ? 2 : 1
      const literal = literals.get(codePoint) ?? noLiteral
      const inSegment = codePoint === SLASH ? 0 : -1
      let carry = 0
      let alive = 0
      for (let w = 0; w < words; w++) {
        const before = state[w]!
        const consumed = before & (literal[w]! | any[w]!)
        const stayed = before & (run[w]! | (runInSegment[w]! & inSegment))
        const after = (consumed << 1) | carry | stayed
        carry = consumed >>> 31
        state[w] = after
        alive |= after
      }
      if (alive === 0) return false
      skipRuns(state)
    }
    return (state[acceptWord]! & acceptBit) !== 0
  }
}
