import { type Fact, UNKNOWN } from './fact.ts'
import { parseForm } from './form-data.ts'
import { parseStrictJson } from './strict-json.ts'

/** The largest body that is read for a rule, in bytes. */
export const BODY_READ_MAX_BYTES = 1_048_576

const FORM = 'application/x-www-form-urlencoded'
const LOOKS_LIKE_JSON = /^\s*[{["]/

/**
 * Reads a request body for the rules: form data by its content type, else JSON. `null` for an empty body.
 *
 * Unknown when it is larger than 1 MiB, encoded (compressed), multipart, no UTF-8, no valid JSON, names a member twice, or is
 * JSON sent as form data: the provider may understand such a body in another way than a rule would.
 */
export function parseBody(bytes: Uint8Array, mediaType: string | null, contentEncoding: string | null): Fact<unknown> {
  if (bytes.byteLength === 0) return null
  if (bytes.byteLength > BODY_READ_MAX_BYTES) return UNKNOWN
  if (contentEncoding !== null && contentEncoding.trim().toLowerCase() !== 'identity') return UNKNOWN
  const text = decodeUtf8(bytes)
  if (text === undefined) return UNKNOWN
  if (mediaType === FORM) {
    const form = LOOKS_LIKE_JSON.test(text) ? undefined : parseForm(text)
    return form === undefined ? UNKNOWN : formObject(form)
  }
  const parsed = parseStrictJson(text)
  return parsed === undefined ? UNKNOWN : parsed.value
}

/** A name given once is a string, a repeated name a list of strings. */
function formObject(form: ReadonlyMap<string, readonly string[]>): Record<string, unknown> {
  const object: Record<string, unknown> = Object.create(null)
  for (const [name, values] of form) object[name] = values.length === 1 ? values[0] : values
  return object
}

function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    // A byte order mark is kept, so that JSON behind one is refused as RFC 8259, 8.1 allows.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return undefined
  }
}
