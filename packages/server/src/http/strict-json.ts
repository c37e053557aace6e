import { isUtf8 } from 'node:buffer'
import { type Ambiguity, findAmbiguity } from '../kernel/strict-json.ts'
import type { Turn } from '../kernel/turn.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { holdsMoreValues } from '../kernel/written-json.ts'

/** How deep arrays and objects may nest, together. */
export const JSON_MAX_DEPTH = 32
/** How many values a body may hold, counting lists and objects: work goes by values, not by bytes. */
export const JSON_MAX_VALUES = 200_000

const SENTENCES: Readonly<Record<Exclude<Ambiguity, 'number_too_large'>, string>> = {
  duplicate_member: 'An object names the same member twice.',
  lone_surrogate: 'A name or text holds a lone surrogate.',
  too_deep: `The body nests deeper than ${JSON_MAX_DEPTH} levels.`,
}

const refuse = (message: string) => new VaultError('invalid_json', { message })

/**
 * The one value that `bytes` holds, or `invalid_json`.
 *
 * Beyond `JSON.parse` (RFC 8259) it refuses what two readers may understand differently: bytes that are not UTF-8, a member
 * named twice in one object, a lone surrogate in a name or text, nesting over 32. A number too large for a double, and more
 * values than `JSON_MAX_VALUES`, are well-formed, so those are `validation_failed`.
 */
export function parseStrictJson(bytes: Buffer): unknown {
  const text = readText(bytes)
  const value = parse(text)
  assertUnambiguous(text)
  return value
}

/** As `parseStrictJson`, step by step, so that others get their turn between the steps on a long body. */
export async function parseStrictJsonInTurns(bytes: Buffer, turn: Turn): Promise<unknown> {
  const text = readText(bytes)
  await turn()
  const value = parse(text)
  await turn()
  assertUnambiguous(text)
  await turn()
  return value
}

function readText(bytes: Buffer): string {
  if (!isUtf8(bytes)) throw refuse('The body is not valid UTF-8. Nothing was done.')
  if (holdsMoreValues(bytes, JSON_MAX_VALUES)) {
    throw new VaultError('validation_failed', {
      message: `The body may hold at most ${JSON_MAX_VALUES} values, ${JSON_MAX_VALUES / 2} of them with a name. Nothing was done.`,
    })
  }
  return bytes.toString('utf8')
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's own message quotes the body, which may hold a secret.
    throw refuse('The body is not one JSON value. Nothing was done.')
  }
}

function assertUnambiguous(text: string): void {
  const ambiguity = findAmbiguity(text, JSON_MAX_DEPTH)
  if (ambiguity === 'number_too_large') {
    throw new VaultError('validation_failed', { message: 'A number in the body is too large. Nothing was done.' })
  }
  if (ambiguity !== undefined) throw refuse(SENTENCES[ambiguity])
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
