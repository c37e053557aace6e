import { parseMediaType } from '../kernel/media-type.ts'
import { findAmbiguity } from '../kernel/strict-json.ts'
import { parseForm } from './form-data.ts'

/** The largest body that is read for a rule, in bytes. */
export const BODY_READ_MAX_BYTES = 1_048_576

/** Why nobody can say how the provider reads a body. */
export type BodyDoubt =
  /** Its type is neither JSON nor a form, or says more than `charset=utf-8`. */
  | 'content_type'
  /** It is compressed. */
  | 'content_encoding'
  | 'too_long'
  | 'not_utf8'
  /** It is not what its type says. */
  | 'malformed'
  /** It has more than one reading, such as a member named twice, or in two letter cases. */
  | 'ambiguous'

/**
 * How a body is read: by the rules, by the page on which people decide, and by nobody in another way. `value` is the JSON value, or the
 * `FormData` of a form; it counts only without a doubt. `text` is null for bytes that are not UTF-8 or too many.
 */
export type BodyReading = {
  kind: 'empty' | 'json' | 'form' | 'other'
  text: string | null
  value: unknown
  doubt: BodyDoubt | null
}

/** What a content type says: `plain` when it says so in the one way that every reader understands. */
export type BodyKind = { kind: 'json' | 'form' | 'other'; plain: boolean }

const JSON_TYPE = /^application\/json$|\+json$/
const LOOKS_LIKE_JSON = /^\s*[{["]/

/** Undefined for a content type that breaks its grammar or names another charset than UTF-8, in which bodies are sent. */
export function bodyKindOf(contentType: string): BodyKind | undefined {
  const media = parseMediaType(contentType)
  if (media === undefined) return undefined
  const { type, parameters } = media
  const charset = parameters.get('charset')
  if (charset !== undefined && charset.toLowerCase() !== 'utf-8') return undefined
  const plain = parameters.size === (charset === undefined ? 0 : 1)
  if (JSON_TYPE.test(type)) return { kind: 'json', plain }
  return { kind: type === 'application/x-www-form-urlencoded' ? 'form' : 'other', plain }
}

/** Reads a body by its content type alone, never by what it looks like: the provider may do either. */
export function readBody(bytes: Uint8Array, contentType: string | null, contentEncoding: string | null): BodyReading {
  if (bytes.byteLength === 0) return { kind: 'empty', text: '', value: null, doubt: null }
  const text = bytes.byteLength > BODY_READ_MAX_BYTES ? null : decodeUtf8(bytes)
  const unread = (doubt: BodyDoubt): BodyReading => ({ kind: 'other', text, value: null, doubt })
  if (bytes.byteLength > BODY_READ_MAX_BYTES) return unread('too_long')
  if (contentEncoding !== null && contentEncoding.trim().toLowerCase() !== 'identity') return unread('content_encoding')
  if (text === null) return unread('not_utf8')
  const said = contentType === null ? undefined : bodyKindOf(contentType)
  if (said === undefined || !said.plain || said.kind === 'other') return unread('content_type')
  const read = said.kind === 'form' ? readForm(text) : readJson(text)
  return read === undefined ? unread('malformed') : { kind: said.kind, text, ...read }
}

type Read = Pick<BodyReading, 'value' | 'doubt'>

function readForm(text: string): Read | undefined {
  const value = LOOKS_LIKE_JSON.test(text) ? undefined : parseForm(text)
  return value && { value, doubt: null }
}

function readJson(text: string): Read | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  const isPlain = findAmbiguity(text, Number.POSITIVE_INFINITY, { foldsCase: true }) === undefined
  return { value, doubt: isPlain ? null : 'ambiguous' }
}

function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    // A byte order mark is kept, so that JSON behind one is refused as RFC 8259, 8.1 allows.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return null
  }
}
