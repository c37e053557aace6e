import { buildConnector, type Dispatcher, Pool } from 'undici'
import type { Clock } from '../kernel/clock.ts'
import { createTurn } from '../kernel/turn.ts'
import type { CheckedAddress } from './address-guard.ts'
import type { CanonicalUrl } from './canonical-url.ts'
import type { HeaderList } from './header-rules.ts'
import type { SendWindow } from './send-window.ts'
import { type After, systemAfter } from './timer.ts'
import { UpstreamError, upstreamTimeout } from './upstream-error.ts'

/*
 * One call:
 *
 *   admitted ─► waiting for a socket ─► started ─► answering ─► done
 *                     │                    │           │
 *                     ▼ window, connect    ▼ headers   ▼ total      limits
 *               failed, sent: false     failed, sent: true
 *
 * `started` is the moment before undici hands the head of the request to the socket. The send window is asked there and
 * nowhere later can it matter; a call that was given up while it waited is aborted there and never sent.
 */

export type UpstreamRequest = {
  /** Who sends. Sockets are an app's own, so that none waits for what another one's calls hold. */
  owner: { appId: string; keyId: string | null }
  /** Makes room for bytes of the answer. False ends the call: whoever asked has no more. */
  takeRoom?: (bytes: number) => boolean
  url: CanonicalUrl
  /** The address the guard checked; the only one that is dialled. */
  address: CheckedAddress
  method: string
  /** Complete, without `host` and `content-length`, which follow from the URL and the body. */
  headers: HeaderList
  body: Buffer | undefined
  /** Sending begins while it is open, or never. */
  sendWindow: Pick<SendWindow, 'isOpen' | 'remainingMs'>
  /** Milliseconds for the whole call instead of the default, such as a provider's own limit. */
  totalTimeoutMs?: number
  /** Bytes of the answer's body to keep instead of the default. */
  maxResponseBytes?: number
}

export type UpstreamResponse = {
  statusCode: number
  /** Lower-case names, in order of arrival; repeated headers stay apart. */
  headers: HeaderList
  /** As it came over the wire, content coding included. */
  body: Buffer
  /** True when the body was longer than the limit and was cut there. */
  truncated: boolean
  /** From the start of sending to the end of the body. */
  upstreamMs: number
}

export type UpstreamLimits = {
  connectTimeoutMs: number
  headersTimeoutMs: number
  totalTimeoutMs: number
  maxResponseBytes: number
  /** Calls at one time in this process. */
  maxCalls: number
  /** Bytes of request and answer bodies held by calls in flight. */
  maxBytesInFlight: number
  /** Sockets of one app to one origin at one address. */
  maxConnectionsPerPool: number
  /** Origins with open pools. */
  maxPools: number
}

export const DEFAULT_UPSTREAM_LIMITS: UpstreamLimits = {
  connectTimeoutMs: 10_000,
  headersTimeoutMs: 30_000,
  totalTimeoutMs: 60_000,
  maxResponseBytes: 25 * 1024 * 1024,
  maxCalls: 1_024,
  maxBytesInFlight: 512 * 1024 * 1024,
  maxConnectionsPerPool: 128,
  maxPools: 512,
}

export type Upstream = {
  /** Sends once and collects the answer, whatever its status; a redirect is an answer. Throws `UpstreamError`. */
  send(request: UpstreamRequest): Promise<UpstreamResponse>
  /** What is in flight now, for metrics. */
  load(): { calls: number; bytes: number; pools: number }
  /** Takes no more calls and waits for those in flight, at most as long as their own limits. */
  close(): Promise<void>
}

type Deps = {
  clock: Clock
  limits?: Partial<UpstreamLimits>
  after?: After
  /** Extra certificate authorities (PEM) beside the system's, for hosts with a private one. */
  certificateAuthorities?: string[]
}

type PoolEntry = { pool: Pool; calls: number }

const KEEP_ALIVE_MAX_MS = 60_000
const MAX_RESPONSE_HEADER_BYTES = 64 * 1024

/** Sends to checked addresses over pools keyed by app, origin and address. Never resolves, follows, retries or decompresses. */
export function createUpstream({ clock, limits: given, after = systemAfter, certificateAuthorities }: Deps): Upstream {
  const limits = { ...DEFAULT_UPSTREAM_LIMITS, ...given }
  // Least recently used first: a use moves an entry to the end.
  const pools = new Map<string, PoolEntry>()
  const turn = createTurn()
  let calls = 0
  let bytes = 0
  let closing: Promise<void> | undefined

  function poolFor({ url, address: { address }, owner }: UpstreamRequest): PoolEntry {
    const key = `${owner.appId} ${url.origin} ${address}`
    let entry = pools.get(key)
    if (entry === undefined) {
      if (pools.size >= limits.maxPools) evictIdlePool()
      entry = { pool: newPool(url, address), calls: 0 }
    } else {
      pools.delete(key)
    }
    pools.set(key, entry)
    return entry
  }

  function evictIdlePool(): void {
    for (const [key, entry] of pools) {
      if (entry.calls > 0) continue
      pools.delete(key)
      void entry.pool.destroy()
      return
    }
    throw overloaded('calls to too many hosts are in flight')
  }

  function newPool(url: CanonicalUrl, address: string): Pool {
    const connector = buildConnector({
      // HTTP/2 has no moment at which one request is known to be unsent (stream retries), so the window would not hold.
      allowH2: false,
      timeout: limits.connectTimeoutMs,
      ...(certificateAuthorities === undefined ? {} : { ca: certificateAuthorities }),
    })
    // An IP literal has no server name (RFC 6066, 3); the certificate is then checked against the address.
    const isName = url.host !== address && !url.host.startsWith('[')
    return new Pool(url.origin, {
      connections: limits.maxConnectionsPerPool,
      pipelining: 1,
      keepAliveMaxTimeout: KEEP_ALIVE_MAX_MS,
      maxHeaderSize: MAX_RESPONSE_HEADER_BYTES,
      headersTimeout: 0,
      bodyTimeout: 0,
      connect: ({ servername: _, ...options }, callback) =>
        connector(
          { ...options, hostname: address, ...(isName && url.scheme === 'https' ? { servername: url.host } : {}) },
          callback,
        ),
    })
  }

  function overloaded(what: string): UpstreamError {
    return new UpstreamError('service_unavailable', false, {
      message: `The server is busy: ${what}. Nothing was sent.`,
      retryAfterSeconds: 1,
    })
  }

  function send(request: UpstreamRequest): Promise<UpstreamResponse> {
    const requestBytes = request.body?.length ?? 0
    let entry: PoolEntry
    try {
      if (closing !== undefined) throw overloaded('it is stopping')
      if (calls >= limits.maxCalls) throw overloaded('too many calls are in flight')
      if (bytes + requestBytes > limits.maxBytesInFlight) throw overloaded('too many bytes are in flight')
      if (!request.sendWindow.isOpen()) throw tooLateToSend()
      entry = poolFor(request)
    } catch (refusal) {
      return Promise.reject(refusal)
    }
    calls += 1
    entry.calls += 1
    bytes += requestBytes

    return new Promise<UpstreamResponse>((resolve, reject) => {
      const maxResponseBytes = request.maxResponseBytes ?? limits.maxResponseBytes
      const chunks: Buffer[] = []
      let received = 0
      let statusCode = 0
      let headers: HeaderList = []
      let controller: Dispatcher.DispatchController | undefined
      let startedAt: number | undefined
      let settled = false
      let cancelPhase = noTimer
      let cancelTotal = noTimer

      const settle = () => {
        settled = true
        cancelPhase()
        cancelTotal()
        calls -= 1
        entry.calls -= 1
        bytes -= requestBytes + received
      }

      const fail = (error: Error) => {
        if (settled) return
        settle()
        reject(error)
        controller?.abort(error)
      }

      const finish = (truncated: boolean) => {
        settle()
        const response = {
          statusCode,
          headers,
          body: chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks),
          truncated,
          upstreamMs: clock.monotonic() - startedAt!,
        }
        void turn().then(() => resolve(response))
      }

      const handler: Dispatcher.DispatchHandler = {
        onRequestStart(started) {
          // Given up while it waited for a socket: this abort is what keeps it from being sent.
          if (settled) return started.abort(new Error('The call was given up before it was sent.'))
          if (!request.sendWindow.isOpen()) {
            fail(tooLateToSend())
            return started.abort(new Error('The send window has closed.'))
          }
          controller = started
          startedAt = clock.monotonic()
          cancelPhase()
          cancelPhase = after(limits.headersTimeoutMs, () => fail(upstreamTimeout('did not begin to answer', true)))
        },
        onResponseStart(_, status, received) {
          if (settled || status < 200) return
          cancelPhase()
          statusCode = status
          headers = toHeaderList(received)
        },
        onResponseData(_, chunk) {
          if (settled) return
          const room = maxResponseBytes - received
          const kept = chunk.length > room ? chunk.subarray(0, room) : chunk
          if (bytes + kept.length > limits.maxBytesInFlight || request.takeRoom?.(kept.length) === false) {
            return fail(
              new UpstreamError('service_unavailable', true, {
                message: 'The server is busy: too many bytes are in flight. The answer of the provider was dropped.',
              }),
            )
          }
          received += kept.length
          bytes += kept.length
          chunks.push(kept)
          if (chunk.length > room) {
            finish(true)
            controller!.abort(new Error('The answer is longer than the limit.'))
          }
        },
        onResponseEnd() {
          if (!settled) finish(false)
        },
        onResponseError(_, cause) {
          fail(translate(cause, startedAt !== undefined))
        },
      }

      const totalMs = request.totalTimeoutMs ?? limits.totalTimeoutMs
      cancelTotal = after(totalMs, () => fail(upstreamTimeout('did not answer completely', startedAt !== undefined)))
      try {
        entry.pool.dispatch(
          {
            path: request.url.pathAndQuery,
            method: request.method,
            headers: request.headers.flat(),
            body: request.body ?? null,
          },
          handler,
        )
      } catch (cause) {
        fail(translate(cause as Error, startedAt !== undefined))
      }
      // A warm socket has taken the request by now; only a call that waits needs a timer for it.
      if (startedAt === undefined && !settled) {
        const waitMs = Math.min(limits.connectTimeoutMs, request.sendWindow.remainingMs())
        cancelPhase = after(waitMs, () => fail(upstreamTimeout('did not accept a connection', false)))
      }
    })
  }

  return {
    send,
    load: () => ({ calls, bytes, pools: pools.size }),
    close() {
      closing ??= Promise.all([...pools.values()].map(({ pool }) => pool.close())).then(() => pools.clear())
      return closing
    },
  }
}

const noTimer = () => {}

function tooLateToSend(): UpstreamError {
  return new UpstreamError('service_unavailable', false, {
    message: 'The server was too slow to begin sending after the decision, so nothing was sent.',
    retryAfterSeconds: 1,
  })
}

function toHeaderList(received: Record<string, string | string[] | undefined>): HeaderList {
  const list: HeaderList = []
  for (const [name, value] of Object.entries(received)) {
    if (Array.isArray(value)) for (const one of value) list.push([name, one])
    else if (value !== undefined) list.push([name, value])
  }
  return list
}

function translate(cause: Error, sent: boolean): Error {
  const { code } = cause as { code?: string }
  // Undici refused what it was given: a fault of ours, found before anything was sent.
  if (code === 'UND_ERR_INVALID_ARG') return cause
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT') {
    return upstreamTimeout('did not accept a connection', sent, cause)
  }
  const message = sent
    ? 'The connection to the provider broke before it had answered.'
    : 'No connection to the provider could be made.'
  return new UpstreamError('provider_unreachable', sent, { message, cause, log: { cause_code: code ?? cause.name } })
}
