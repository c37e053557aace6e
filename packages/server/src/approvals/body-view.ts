import { hash } from 'node:crypto'
import { type BodyView, SHOWN_BODY_BYTES } from '@alter-vault/contracts'
import { findAmbiguities } from '../kernel/strict-json.ts'
import { multipartParts, parameterOf } from './multipart-parts.ts'

const FORM = 'application/x-www-form-urlencoded'
const JSON_TYPE = /^(?:application\/json|text\/json|[^;]+\+json)$/

/**
 * A body as a person reads it: its exact text where it is text, never a rendering. `hidden`: only size and hash. Unless
 * `whole`, text over 64 KiB is cut at a character.
 */
export function bodyView(
  bytes: Buffer,
  contentType: string | null,
  { hidden = false, whole = false }: { hidden?: boolean; whole?: boolean } = {},
): BodyView {
  const known = {
    content_type: contentType,
    size_bytes: bytes.length,
    sha256: hash('sha256', bytes, 'hex'),
    encoding: null,
    content: null,
    truncated: false,
    duplicate_keys: false,
    parts: null,
  }
  if (bytes.length === 0) return { ...known, kind: 'empty' }
  if (hidden) return { ...known, kind: 'hidden' }

  const text = decodeUtf8(bytes)
  const mediaType = (contentType ?? '').split(';', 1)[0]!.trim().toLowerCase()
  const boundary = mediaType.startsWith('multipart/') ? parameterOf(contentType!, 'boundary') : null
  const parts = boundary === null ? null : multipartParts(bytes, boundary)
  const limit = whole ? bytes.length : SHOWN_BODY_BYTES
  const content =
    text === undefined
      ? { encoding: 'base64' as const, content: bytes.subarray(0, limit).toString('base64') }
      : { encoding: 'utf8' as const, content: bytes.length <= limit ? text : cutAtCharacter(bytes, limit) }
  const shown = { ...known, ...content, truncated: bytes.length > limit }

  if (parts !== null) return { ...shown, kind: 'multipart', parts }
  if (text === undefined) return { ...shown, kind: 'binary' }
  if (mediaType === FORM) return { ...shown, kind: 'form' }
  if ((mediaType === '' || JSON_TYPE.test(mediaType)) && isJson(text)) {
    return { ...shown, kind: 'json', duplicate_keys: namesMemberTwice(text) }
  }
  return { ...shown, kind: 'text' }
}

/** True when an object of this valid JSON text names a member twice: readers then disagree which one counts (RFC 8259, 4). */
export function namesMemberTwice(json: string): boolean {
  for (const ambiguity of findAmbiguities(json, Number.POSITIVE_INFINITY))
    if (ambiguity === 'duplicate_member') return true
  return false
}

function decodeUtf8(bytes: Buffer): string | undefined {
  try {
    // The byte order mark is part of what is sent, so it is part of what is shown.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}

/** The first bytes of valid UTF-8 without half a character at the end. */
function cutAtCharacter(bytes: Buffer, limit: number): string {
  let end = limit
  while (end > 0 && (bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}
