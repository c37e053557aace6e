/** One HTTP request and its whole answer, within a time limit. Never follows a redirect, never retries. */
import { NetworkError, TimeoutError } from './generated/errors.ts'
import type { Runtime } from './runtime.ts'

export type Exchange = {
  url: string
  method: string
  headers: Headers
  body?: string | Uint8Array | undefined
  /** For the whole exchange, body of the answer included. */
  timeoutMs: number
  signal?: AbortSignal | undefined
  /** Names the other side in error texts: "The vault", "The provider". */
  peer: string
}

/** `response` still has its body; `bytes` is the same body, already here. */
export type Exchanged = { response: Response; bytes: Uint8Array }

/**
 * @throws {TimeoutError} when the answer was not whole in time
 * @throws {NetworkError} when there was none; texts hold neither URL nor headers, which may carry a credential
 * @throws the reason of `signal`, when that ended it
 */
export async function exchange(runtime: Pick<Runtime, 'fetch' | 'after'>, call: Exchange): Promise<Exchanged> {
  call.signal?.throwIfAborted()
  const controller = new AbortController()
  let timedOut = false
  const cancelTimer = runtime.after(call.timeoutMs, () => {
    timedOut = true
    controller.abort()
  })
  const abort = () => controller.abort()
  call.signal?.addEventListener('abort', abort, { once: true })
  try {
    const response = await runtime.fetch(call.url, {
      method: call.method,
      headers: call.headers,
      redirect: 'manual',
      signal: controller.signal,
      ...(call.body === undefined ? {} : { body: call.body as NonNullable<RequestInit['body']> }),
    })
    const bytes = new Uint8Array(await response.clone().arrayBuffer())
    return { response, bytes }
  } catch (cause) {
    if (timedOut) throw new TimeoutError(`${call.peer} did not answer within ${call.timeoutMs} ms`)
    if (call.signal?.aborted) throw call.signal.reason
    const reason = failureCode(cause)
    throw new NetworkError(`${call.peer} could not be reached (${reason})`, { reason })
  } finally {
    cancelTimer()
    call.signal?.removeEventListener('abort', abort)
  }
}

/** `fetch` hides the system's error in `cause`; its code (`ECONNREFUSED`, `UND_ERR_SOCKET`) says enough and nothing secret. */
function failureCode(error: unknown): string {
  for (let current = error; current instanceof Error; current = current.cause) {
    if ('code' in current && typeof current.code === 'string') return current.code
  }
  return error instanceof Error ? error.name : 'unknown'
}
