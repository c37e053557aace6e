import type { IncomingMessage } from 'node:http'
import { type ByteBudgetLimits, createByteBudget } from '../kernel/byte-budget.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'

/** Body limit of everything but the proxied call. */
export const MANAGEMENT_BODY_MAX_BYTES = 1024 * 1024
/** Body limit of `POST /sdk/proxy`. */
export const PROXY_BODY_MAX_BYTES = 10 * 1024 * 1024

const MIB = 1024 * 1024
const SLOW_AFTER_MS = 10_000
const SLOWEST_BYTES_PER_SECOND = 4 * 1024
const NO_BODY = Buffer.alloc(0)

/** What bodies may take of the memory together: those of callers that are known, and those of everybody else. */
export type BodyBudgets = { known: ByteBudgetLimits; unknown: ByteBudgetLimits }

/** Of `totalMib` a caller gets a quarter. Whoever is not known needs no large body, and gets what keeps approval links working. */
export const bodyBudgets = (totalMib: number): BodyBudgets => ({
  known: { totalBytes: totalMib * MIB, ownerBytes: Math.max(totalMib / 4, 16) * MIB },
  unknown: { totalBytes: 16 * MIB, ownerBytes: 4 * MIB },
})

/** The body of one request. Nothing of it is read before somebody asks. */
export type RequestBody = {
  /**
   * The whole body; the same for every later call. It counts for `caller`, or for the address while nobody knows who calls, until
   * `release`. Refuses `body_too_large` and, when memory is short, `service_unavailable`, without reading on. Rejects with
   * `RequestAbandoned` when the caller goes away first.
   */
  read(limitBytes: number, caller?: string): Promise<Buffer>
  release(): void
  /** True for one that is awaited and comes so slowly that its sender wants the connection and not an answer. */
  isTooSlow(): boolean
}

export type BodyOf = (request: IncomingMessage, clientIp: string) => RequestBody

export function createRequestBodies(budgets: BodyBudgets, clock: Pick<Clock, 'monotonic'>): BodyOf {
  const known = createByteBudget(budgets.known)
  const unknown = createByteBudget(budgets.unknown)

  return (request, clientIp) => {
    let budget = unknown
    let owner = clientIp
    let held = 0
    let startedMs: number | undefined
    let body: Promise<Buffer> | undefined

    function release(): void {
      if (held > 0) budget.give(owner, held)
      held = 0
    }

    /** The rest is thrown away as it comes. That takes memory too, until it is collected, so only of callers that are known. */
    function discard(): void {
      if (budget === known) request.resume()
      else request.pause()
    }

    function receive(limitBytes: number): Promise<Buffer> {
      const declared = request.headers['content-length']
      if (declared === undefined && request.headers['transfer-encoding'] === undefined) {
        // RFC 9112, 6.3: neither header, no body.
        request.resume()
        return Promise.resolve(NO_BODY)
      }
      const declaredBytes = Number(declared ?? 0)
      if (declaredBytes > limitBytes) {
        discard()
        return Promise.reject(tooLarge(limitBytes, declared))
      }
      if (!budget.fits(owner, declaredBytes)) return Promise.reject(noRoom())
      if (request.destroyed) return Promise.reject(new RequestAbandoned())
      startedMs = clock.monotonic()
      return new Promise((resolve, reject) => {
        let chunks: Buffer[] = []
        let length = 0
        let refused = false
        const refuse = (error: Error) => {
          refused = true
          startedMs = undefined
          chunks = []
          discard()
          release()
          reject(error)
        }
        request.on('data', (chunk: Buffer) => {
          if (refused) return
          length += chunk.length
          if (length > limitBytes) refuse(tooLarge(limitBytes, declared))
          else if (budget.take(owner, chunk.length)) {
            held += chunk.length
            chunks.push(chunk)
          } else refuse(noRoom())
        })
        request.on('end', () => {
          startedMs = undefined
          if (!refused) resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks, length))
        })
        // Node emits it for a connection that broke off, and for nothing else once the headers are in.
        request.on('error', () => refuse(new RequestAbandoned()))
        request.on('close', () => {
          // Emitted behind the end of each request too; an error with its stack would then be made for nobody.
          if (!request.readableEnded) refuse(new RequestAbandoned())
        })
      })
    }

    return {
      read(limitBytes, caller) {
        if (body === undefined) {
          if (caller !== undefined) {
            budget = known
            owner = caller
          }
          body = receive(limitBytes)
        }
        return body
      },
      release,
      isTooSlow() {
        if (startedMs === undefined) return false
        const elapsedMs = clock.monotonic() - startedMs
        return elapsedMs > SLOW_AFTER_MS && held < (elapsedMs / 1000) * SLOWEST_BYTES_PER_SECOND
      },
    }
  }
}

const tooLarge = (limitBytes: number, declared: string | undefined): VaultError =>
  new VaultError('body_too_large', {
    message: `The body must be at most ${limitBytes} bytes; got ${declared ?? 'more'}. Nothing was done.`,
  })

const noRoom = (): VaultError =>
  new VaultError('service_unavailable', {
    message:
      'The server is busy: too many bytes of requests are in memory, of this caller or of all. Nothing was done.',
    retryAfterSeconds: 1,
  })

/** The caller went away before the request was whole; there is nobody to answer. */
export class RequestAbandoned extends Error {
  constructor() {
    super('the caller went away')
    this.name = 'RequestAbandoned'
  }
}
