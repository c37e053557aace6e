/** Signed calls to the vault, and what its answers say about the caller and the rate-limit budget. */
import { type AuditContext, contextHeader } from './audit-context.ts'
import type { Call } from './call.ts'
import type { CallerType } from './caller-type.ts'
import type { FailedAnswer } from './error-mapping.ts'
import { exchange } from './exchange.ts'
import { AlterValueError } from './generated/errors.ts'
import { toJsonText } from './json-text.ts'
import { type RateLimitSnapshot, readRateLimit } from './rate-limit.ts'
import type { Runtime } from './runtime.ts'
import { isUuid } from './shape.ts'
import { deriveSigningKey, type SignedClaims, signRequest } from './signing.ts'
import { USER_AGENT } from './version.ts'

const NONCE_BYTES = 16

export type BackendSettings = {
  apiKey: string
  /** As `parseBaseUrl` returns it. */
  baseUrl: string
  timeoutMs: number
  caller: string | undefined
  callerType: CallerType
  constraints: Pick<SignedClaims, 'scopeConstraints' | 'requestRule'>
  runtime: Runtime
}

export type BackendCall = {
  method: Call<object, unknown>['method']
  /** From `/sdk/` on, encoded, with its query. */
  path: string
  /** Written as JSON. Absent: no body and no content type. */
  body?: Record<string, unknown>
  context?: AuditContext | undefined
  /** Replaces the client's caller for this call; the actor id, which belongs to that caller, then stays out of it. */
  caller?: string | undefined
  /** `false` leaves the actor id out. */
  withActorId?: boolean
  timeoutMs?: number | undefined
  signal?: AbortSignal | undefined
}

/** Any answer, good or bad. `json` is `undefined` when the body is no JSON. */
export type BackendAnswer = FailedAnswer

export type Backend = ReturnType<typeof createBackend>

export function createBackend({
  apiKey,
  baseUrl,
  timeoutMs,
  caller,
  callerType,
  constraints,
  runtime,
}: BackendSettings) {
  const signingKey = deriveSigningKey(apiKey)
  const basePath = new URL(baseUrl).pathname.replace(/\/$/, '')
  const seen: { actorId: string | null; rateLimit: RateLimitSnapshot | null } = { actorId: null, rateLimit: null }
  const warned = new Set<string>()

  function warnOnce(message: string): void {
    if (warned.has(message)) return
    warned.add(message)
    runtime.warn(message)
  }

  function claimsOf(call: BackendCall): SignedClaims {
    const callerOfCall = call.caller ?? caller
    const mayNameActor = call.withActorId !== false && call.caller === undefined
    return {
      ...constraints,
      caller: callerOfCall,
      callerType: callerOfCall === undefined ? undefined : callerType,
      actorId: mayNameActor ? (seen.actorId ?? undefined) : undefined,
      context: call.context && contextHeader(call.context),
    }
  }

  function learn(call: BackendCall, headers: Headers): void {
    seen.rateLimit = readRateLimit(headers, Math.floor(runtime.wallClockMs() / 1_000)) ?? seen.rateLimit
    if (headers.get('x-alter-key-deprecated') === 'true') {
      warnOnce('The API key is deprecated: it was rotated and stops working when its grace period ends')
    }
    const actorId = headers.get('x-alter-actor-id')
    if (call.caller !== undefined || !isUuid(actorId)) return
    if (seen.actorId === null) seen.actorId = actorId
    else if (seen.actorId !== actorId) warnOnce('The vault named another actor for this client; the first one is kept')
  }

  return {
    /** The actor that the vault resolved for this client's caller. */
    actorId: () => seen.actorId,
    /** The budget of the newest answer that named one. */
    lastRateLimit: () => seen.rateLimit,

    /**
     * Sends one call, once.
     * @throws {AlterValueError} when the body or the path cannot be sent as it is
     * @throws {NetworkError} {@link TimeoutError} when there was no whole answer
     */
    async send(call: BackendCall): Promise<BackendAnswer> {
      const url = new URL(`${baseUrl}${call.path}`)
      // A path that the URL parser rewrites (an id of "..") would be another endpoint.
      if (`${url.pathname}${url.search}` !== `${basePath}${call.path}`) {
        throw new AlterValueError('An id in the path of the call must not be "." or ".."')
      }
      const body = call.body === undefined ? undefined : toJsonText(call.body, 'The request').toWellFormed()
      const headers = new Headers({
        ...signRequest(signingKey, {
          method: call.method,
          target: call.path,
          body: body ?? '',
          timestamp: String(Math.floor(runtime.wallClockMs() / 1_000)),
          nonce: hex(runtime.randomBytes(NONCE_BYTES)),
          claims: claimsOf(call),
        }),
        'x-api-key': apiKey,
        'User-Agent': USER_AGENT,
      })
      if (body !== undefined) headers.set('Content-Type', 'application/json')

      const { response, bytes } = await exchange(runtime, {
        url: url.href,
        method: call.method,
        headers,
        body,
        timeoutMs: call.timeoutMs ?? timeoutMs,
        signal: call.signal,
        peer: 'The vault',
      })
      learn(call, response.headers)
      return { status: response.status, headers: response.headers, json: parseJson(bytes) }
    },
  }
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes))
  } catch {
    return undefined
  }
}
