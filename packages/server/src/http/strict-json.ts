import { isUtf8 } from 'node:buffer'
import { VaultError } from '../kernel/vault-error.ts'

/** How deep arrays and objects may nest, together. */
export const JSON_MAX_DEPTH = 32

const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPEN_BRACE = 0x7b
const CLOSE_BRACE = 0x7d
const OPEN_BRACKET = 0x5b
const CLOSE_BRACKET = 0x5d
const COMMA = 0x2c
const MINUS = 0x2d
const ZERO = 0x30
const NINE = 0x39

const refuse = (message: string) => new VaultError('invalid_json', { message })

/**
 * The one value that `bytes` holds, or `invalid_json`.
 *
 * Beyond `JSON.parse` (RFC 8259) it refuses what two readers may understand differently: bytes that are not UTF-8, a member
 * named twice in one object, a lone surrogate in a name or text, nesting over 32. A number too large for a double is
 * well-formed, so that one is `validation_failed`.
 */
export function parseStrictJson(bytes: Buffer): unknown {
  if (!isUtf8(bytes)) throw refuse('The body is not valid UTF-8. Nothing was done.')
  const text = bytes.toString('utf8')
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // The parser's own message quotes the body, which may hold a secret.
    throw refuse('The body is not one JSON value. Nothing was done.')
  }
  refuseAmbiguous(text)
  return value
}

/** Walks a text that is known to be JSON once; every quote outside of a string opens one, so no grammar is needed. */
function refuseAmbiguous(text: string): void {
  /** One set of names per open object, null per open array. */
  const open: (Set<string> | null)[] = []
  let names: Set<string> | null = null
  let nameIsNext = false

  for (let i = 0; i < text.length; i++) {
    const character = text.charCodeAt(i)
    if (character === QUOTE) {
      const start = i
      i = endOfString(text, start)
      const token = text.slice(start, i + 1)
      const escaped = token.includes('\\')
      if (nameIsNext) {
        const name = escaped ? (JSON.parse(token) as string) : token.slice(1, -1)
        if (escaped && !name.isWellFormed()) throw refuse('A member name holds a lone surrogate.')
        if (names!.has(name)) throw refuse('An object names the same member twice.')
        names!.add(name)
        nameIsNext = false
      } else if (escaped && token.includes('\\u') && !(JSON.parse(token) as string).isWellFormed()) {
        throw refuse('A text holds a lone surrogate.')
      }
    } else if (character === COMMA) {
      nameIsNext = names !== null
    } else if (character === OPEN_BRACE || character === OPEN_BRACKET) {
      if (open.length === JSON_MAX_DEPTH) throw refuse(`The body nests deeper than ${JSON_MAX_DEPTH} levels.`)
      names = character === OPEN_BRACE ? new Set() : null
      nameIsNext = names !== null
      open.push(names)
    } else if (character === CLOSE_BRACE || character === CLOSE_BRACKET) {
      open.pop()
      names = open.at(-1) ?? null
      nameIsNext = false
    } else if (character === MINUS || (character >= ZERO && character <= NINE)) {
      const start = i
      while (i + 1 < text.length && isInsideNumber(text.charCodeAt(i + 1))) i++
      if (!Number.isFinite(Number(text.slice(start, i + 1)))) {
        throw new VaultError('validation_failed', { message: 'A number in the body is too large. Nothing was done.' })
      }
    }
  }
}

/** Index of the quote that closes the string opened at `start`. */
function endOfString(text: string, start: number): number {
  let end = text.indexOf('"', start + 1)
  for (;;) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === BACKSLASH) backslashes++
    if (backslashes % 2 === 0) return end
    end = text.indexOf('"', end + 1)
  }
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

/**
 * `unsupported_media_type` unless the header names JSON in UTF-8, uncompressed.
 * A signature covers the bytes as sent, and a compressed body would not be limited by its length.
 */
export function assertJsonContent(headers: {
  'content-type'?: string | undefined
  'content-encoding'?: string | undefined
}) {
  const contentType = headers['content-type'] ?? ''
  if (!/^application\/json[ \t]*(;[ \t]*charset="?utf-8"?[ \t]*)?$/i.test(contentType.trim())) {
    throw new VaultError('unsupported_media_type', {
      message: `"Content-Type" must be "application/json"; got ${contentType === '' ? 'none' : JSON.stringify(contentType.slice(0, 80))}. Nothing was done.`,
    })
  }
  const encoding = headers['content-encoding']
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new VaultError('unsupported_media_type', {
      message: `"Content-Encoding" must be absent; got ${JSON.stringify(encoding.slice(0, 40))}. Nothing was done.`,
    })
  }
}
