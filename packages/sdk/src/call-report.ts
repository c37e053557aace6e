/** The report about a provider call that this process made itself: what was sent and answered, without credentials. */
import { UNREPORTED_HEADERS } from './header-names.ts'

/** Longest body that is reported, in bytes. */
const MAX_BODY_BYTES = 10_000
/** Shorter texts than this are too common to be told from ordinary content. */
const MIN_CREDENTIAL_LENGTH = 8
const REDACTED = '[redacted]'

/** Headers as reported: without those that were injected or that carry credentials by their nature, values scrubbed. */
export function reportHeaders(
  headers: Iterable<[string, string]>,
  injected: ReadonlySet<string>,
  credentials: readonly string[],
): Record<string, string> {
  const reported: Record<string, string> = {}
  for (const [name, value] of headers) {
    const lowerCase = name.toLowerCase()
    if (!UNREPORTED_HEADERS.has(lowerCase) && !injected.has(lowerCase)) reported[name] = scrub(value, credentials)
  }
  return reported
}

/** A request body as reported. */
export function reportRequestBody(body: { json?: unknown; bytes?: Uint8Array | undefined }): unknown {
  if (body.bytes === undefined) return body.json ?? null
  const text = body.bytes.length <= MAX_BODY_BYTES ? decodeText(body.bytes) : undefined
  return text ?? `<binary body: ${body.bytes.length} bytes>`
}

/** A response body as reported: its text, or a note about what it was. */
export function reportResponseBody(bytes: Uint8Array, credentials: readonly string[]): string {
  if (bytes.length > MAX_BODY_BYTES) return `<response too large: ${bytes.length} bytes>`
  const text = decodeText(bytes)
  return text === undefined ? `<binary response: ${bytes.length} bytes>` : scrub(text, credentials)
}

/** Removes credentials that the other side repeated. */
export function scrub(text: string, credentials: readonly string[]): string {
  return credentials
    .filter((credential) => credential.length >= MIN_CREDENTIAL_LENGTH)
    .reduce((scrubbed, credential) => scrubbed.replaceAll(credential, REDACTED), text)
}

function decodeText(bytes: Uint8Array): string | undefined {
  if (bytes.includes(0)) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}
