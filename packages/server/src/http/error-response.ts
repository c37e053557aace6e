import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { type Api, type Endpoint, errorRegistry } from '@alter-vault/contracts'
import type { Log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { ServedFile } from './answer.ts'
import { RequestAbandoned } from './request-body.ts'

/** What an answer must say of its request. */
export type RequestContext = {
  requestId: string
  /** Path of the request line, without the query. */
  path: string
  method: string
  /** The form of a refusal. */
  envelope: Api['envelope']
  /** Undefined for a path that none has. */
  endpoint?: Pick<Endpoint, 'access' | 'namesDecision'> | undefined
}

/** Seconds after which a caller may try again when the refusal itself does not know. */
const DEFAULT_RETRY_AFTER_SECONDS: Partial<Record<number, number>> = { 429: 1, 503: 5 }

export type SendRefusal = (response: ServerResponse, error: unknown, context: RequestContext) => void

/** Writes a JSON answer with the headers that every answer carries. `body` undefined sends none. */
export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  requestId: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  sendText(response, status, body === undefined ? undefined : JSON.stringify(body), requestId, {
    'Content-Type': 'application/json; charset=utf-8',
    ...headers,
  })
}

/** As `sendJson`, for a body that is already text. */
export function sendText(
  response: ServerResponse,
  status: number,
  text: string | undefined,
  requestId: string,
  headers: Readonly<Record<string, string>>,
  end = (last?: string) =>
    last !== undefined && last.length > PART_BYTES ? endInParts(response, last) : response.end(last),
): void {
  if (response.headersSent || response.destroyed) return
  const common = { 'X-Request-ID': requestId, 'Cache-Control': 'no-store', 'X-Content-Type-Options': 'nosniff' }
  if (text === undefined) {
    const { 'Content-Type': _, ...bodiless } = headers
    response.writeHead(status, { ...common, ...(status === 204 ? {} : { 'Content-Length': '0' }), ...bodiless })
    end()
    return
  }
  response.writeHead(status, { ...common, 'Content-Length': String(Buffer.byteLength(text)), ...headers })
  end(text)
}

const PART_BYTES = 256 * 1024

/** Each part is handed on when the one before has left, so that what has left can be seen, and little of it is in memory twice. */
function endInParts(response: ServerResponse, text: string): void {
  const bytes = Buffer.from(text)
  const from = (start: number) => {
    if (response.destroyed) return
    const end = start + PART_BYTES
    if (end >= bytes.length) response.end(bytes.subarray(start))
    else response.write(bytes.subarray(start, end), () => from(end))
  }
  from(0)
}

/** A body up to this length that nobody asked for is read and thrown away, and the connection goes on. */
const DROPPED_MAX_BYTES = 64 * 1024
/** How long the sender of a longer one has to see the answer. Nothing more is read of it, unless it is being read already. */
const LINGER_MS = 1_000
/** For a caller that is known: time to send the rest, which is thrown away. Many clients read no answer before. */
const DISCARD_MS = 10_000
const DISCARDED_MAX_BYTES = 16 * 1024 * 1024

/** True when more of the request is on its way than it is worth waiting for. */
function leavesBodyUnread({ complete, headers }: IncomingMessage): boolean {
  if (complete) return false
  const declared = headers['content-length']
  return declared === undefined ? headers['transfer-encoding'] !== undefined : Number(declared) > DROPPED_MAX_BYTES
}

/**
 * Lets the connection end when the body does, and soon in any case. A socket that is closed with bytes in it that nobody read resets the
 * connection, and the sender might never see why it was refused.
 */
function endAfterBody(request: IncomingMessage, response: ServerResponse): void {
  const end = () => {
    clearTimeout(timer)
    response.end()
  }
  const isRead = request.readableFlowing === true
  const timer = setTimeout(end, isRead ? DISCARD_MS : LINGER_MS).unref()
  let discarded = 0
  if (isRead) {
    request.on('data', (chunk: Buffer) => {
      discarded += chunk.length
      if (discarded > DISCARDED_MAX_BYTES) end()
    })
  }
  request.once('end', end)
  request.once('close', end)
}

/**
 * Writes a file as it is made. What fails before its first part is thrown and can still be refused; what fails later breaks the
 * answer off, so that no half file looks whole.
 */
export async function sendDownload(
  response: ServerResponse,
  file: ServedFile,
  { requestId, method }: { requestId: string; method: string | undefined },
): Promise<void> {
  const parts = file.chunks[Symbol.asyncIterator]()
  const first = method === 'HEAD' ? undefined : await parts.next()
  if (response.headersSent || response.destroyed) return
  response.writeHead(200, {
    'X-Request-ID': requestId,
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
    'Content-Type': file.contentType,
    'Content-Disposition': `attachment; filename="${file.fileName}"`,
  })
  async function* whole(): AsyncGenerator<string> {
    if (first === undefined || first.done === true) return
    yield first.value
    yield* { [Symbol.asyncIterator]: () => parts }
  }
  await pipeline(Readable.from(whole(), { objectMode: true, highWaterMark: 4 }), response)
}

/**
 * The one exit of everything that is not a success. Three branches: a refusal (`VaultError`) is shown as its public face, a caller
 * who went away gets nothing, and any other throw is a fault: logged whole, answered `internal_error`, nothing of it leaves.
 *
 * `publicUrl` is the base of the `type` links.
 */
export function createSendRefusal({
  log,
  publicUrl,
  observeRefusal,
}: {
  log: Log
  publicUrl: string
  observeRefusal?: ((code: string) => void) | undefined
}): SendRefusal {
  return (response, error, context) => {
    if (
      error instanceof RequestAbandoned ||
      (response.destroyed && error instanceof Error && error.name === 'AbortError')
    ) {
      response.destroy()
      return
    }
    const refusal = error instanceof VaultError ? error : new VaultError('internal_error', { cause: error })
    const line = {
      request_id: context.requestId,
      method: context.method,
      path: context.path,
      code: refusal.code,
      ...refusal.log,
    }
    observeRefusal?.(refusal.code)
    if (refusal.code === 'internal_error') log.error({ ...line, err: error }, 'fault')
    else if (refusal.status >= 500) log.warn({ ...line, err: refusal }, 'refused')
    else log.debug(line, 'refused')

    if (response.headersSent) {
      // The status has gone out: the only honest thing left is to break the answer off.
      response.destroy()
      return
    }
    const { req: request } = response
    const problem = context.envelope === 'problem'
    const body = problem ? problemOf(refusal, context, publicUrl) : envelopeOf(refusal, context)
    const headers = {
      'Content-Type': problem ? 'application/problem+json; charset=utf-8' : 'application/json; charset=utf-8',
      ...refusalHeaders(refusal, context),
    }
    if (!leavesBodyUnread(request)) {
      sendText(response, refusal.status, JSON.stringify(body), context.requestId, headers)
      return
    }
    // Another request cannot follow on this connection.
    const closing = { ...headers, Connection: 'close' }
    sendText(response, refusal.status, JSON.stringify(body), context.requestId, closing, (text) => {
      response.write(text)
      endAfterBody(request, response)
    })
  }
}

function refusalHeaders(refusal: VaultError, context: RequestContext): Record<string, string> {
  const headers: Record<string, string> = { 'X-Alter-Refusal': refusal.code }
  if (context.endpoint?.namesDecision === true) headers['X-Alter-Decision-Id'] = decisionId(refusal, context)
  const retryAfterSeconds = retryAfter(refusal)
  if (retryAfterSeconds !== undefined) headers['Retry-After'] = String(retryAfterSeconds)
  // RFC 9110, 15.5.2: a 401 names a challenge.
  if (refusal.status === 401) headers['WWW-Authenticate'] = `${context.endpoint?.access.challenge} realm="alter-vault"`
  if (refusal.code === 'method_not_allowed') headers.Allow = String(refusal.log.allow ?? '')
  return headers
}

/** The decision record's id; a refusal before any decision is known by the id of its request. */
const decisionId = (refusal: VaultError, context: RequestContext): string =>
  typeof refusal.fields.decision_id === 'string' ? refusal.fields.decision_id : context.requestId

/** Whole seconds, rounded up: a caller must not come back too early. */
function retryAfter(refusal: VaultError): number | undefined {
  const seconds = refusal.retryAfterSeconds ?? DEFAULT_RETRY_AFTER_SECONDS[refusal.status]
  return seconds === undefined ? undefined : Math.max(0, Math.ceil(seconds))
}

/** The flat form of a refusal. Code-specific members may not replace the ones that identify the refusal. */
function envelopeOf(refusal: VaultError, context: RequestContext): Record<string, unknown> {
  const retryAfterSeconds = retryAfter(refusal)
  return {
    ...(retryAfterSeconds !== undefined && refusal.status === 429 ? { retry_after: retryAfterSeconds } : {}),
    ...(context.endpoint?.namesDecision === true ? { decision_id: decisionId(refusal, context), reasons: [] } : {}),
    advice: errorRegistry[refusal.code].advice,
    ...refusal.fields,
    error: refusal.code,
    message: refusal.message,
    ...(refusal.hint === undefined ? {} : { hint: refusal.hint }),
    request_id: context.requestId,
    ...(refusal.errors === undefined ? {} : { errors: refusal.errors }),
  }
}

/** RFC 9457, with members of our own. */
function problemOf(refusal: VaultError, context: RequestContext, publicUrl: string): Record<string, unknown> {
  return {
    advice: errorRegistry[refusal.code].advice,
    ...refusal.fields,
    type: `${publicUrl}/errors/${refusal.code}`,
    title: errorRegistry[refusal.code].sentence,
    status: refusal.status,
    detail: refusal.message,
    code: refusal.code,
    request_id: context.requestId,
    ...(refusal.hint === undefined ? {} : { hint: refusal.hint }),
    ...(refusal.errors === undefined ? {} : { errors: refusal.errors }),
  }
}

/** `method_not_allowed` for a path whose endpoints take other methods; theirs go into the `Allow` header (RFC 9110, 15.5.6). */
export function methodNotAllowed(method: string, endpoints: readonly Pick<Endpoint, 'method'>[]): VaultError {
  const methods = endpoints.flatMap((one) => (one.method === 'GET' ? ['GET', 'HEAD'] : [one.method]))
  const allow = methods.sort().join(', ')
  return new VaultError('method_not_allowed', {
    message: `This path does not take ${method}; it takes ${allow}. Nothing was done.`,
    log: { allow },
  })
}
