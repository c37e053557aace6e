/** The report about a provider call that this process made itself: what was sent and answered, without credentials. */
import {
  anyText,
  type Form,
  integer,
  integerFrom,
  json,
  jsonObject,
  readFields,
  someText,
  textMap,
} from './read-fields.ts'
import { type FromWire, type OnWire, toWire } from './wire-names.ts'

/** Longest body that is reported, in bytes. */
const MAX_BODY_BYTES = 10_000
/** Shorter texts than this are too common to be told from ordinary content. */
const MIN_CREDENTIAL_LENGTH = 8
const REDACTED = '[redacted]'

const SENSITIVE_HEADERS = new Set([
  'authorization',
  'proxy-authorization',
  'authentication',
  'cookie',
  'set-cookie',
  'x-api-key',
  'x-auth-token',
  'x-amz-security-token',
  'x-amz-date',
  'x-amz-content-sha256',
  'x-goog-authorization',
  'x-goog-iam-authorization-token',
])

/** One provider call, as reported to the vault. It is the client's word: only `proxyRequest` is recorded by the vault. */
export class APICallAuditLog {
  readonly grantId: string
  /** Empty when the vault named no provider. */
  readonly providerId: string
  readonly tokenGeneration: string | null
  readonly method: string
  /** Without injected parameters and without `queryParams`. */
  readonly url: string
  readonly requestHeaders: Readonly<Record<string, string>>
  /** JSON, text, or a note such as `<binary body: 12 bytes>`. */
  readonly requestBody: unknown
  /** 0 when there was no answer. */
  readonly responseStatus: number
  readonly responseHeaders: Readonly<Record<string, string>>
  readonly responseBody: string
  readonly latencyMs: number
  readonly reason: string | null
  readonly context: Readonly<Record<string, unknown>> | null

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<APICallAuditLog>) {
    const read = readFields('an audit report', fields)
    this.grantId = read.required('grantId', someText)
    this.providerId = read.required('providerId', anyText)
    this.tokenGeneration = read.optional('tokenGeneration', anyText)
    this.method = read.required('method', someText)
    this.url = read.required('url', someText)
    this.requestHeaders = read.required('requestHeaders', textMap)
    this.requestBody = read.optional('requestBody', json as Form<unknown>)
    this.responseStatus = read.required('responseStatus', integerFrom(0))
    this.responseHeaders = read.required('responseHeaders', textMap)
    this.responseBody = read.required('responseBody', anyText)
    this.latencyMs = read.required('latencyMs', integer)
    this.reason = read.optional('reason', anyText)
    this.context = read.optional('context', jsonObject)
  }

  toJSON(): OnWire<APICallAuditLog> {
    return toWire(this) as OnWire<APICallAuditLog>
  }
}

/** Headers as reported: without those that were injected or that carry credentials by their nature, values scrubbed. */
export function reportHeaders(
  headers: Iterable<[string, string]>,
  injected: ReadonlySet<string>,
  credentials: readonly string[],
): Record<string, string> {
  const reported: Record<string, string> = {}
  for (const [name, value] of headers) {
    const lowerCase = name.toLowerCase()
    if (!SENSITIVE_HEADERS.has(lowerCase) && !injected.has(lowerCase)) reported[name] = scrub(value, credentials)
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
