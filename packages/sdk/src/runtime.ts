/** What the SDK takes from its surroundings. Tests, and runtimes other than Node, replace what they need. */
import { randomBytes } from 'node:crypto'

export type Runtime = {
  fetch: typeof globalThis.fetch
  /** Unix time in milliseconds. */
  wallClockMs: () => number
  /** Milliseconds of a clock that never jumps. */
  monotonicMs: () => number
  /** Calls back once after a time in milliseconds; returns how to cancel. */
  after: (delayMs: number, run: () => void) => () => void
  randomBytes: (length: number) => Uint8Array
  /** Receives warnings, such as that the key is deprecated. Never holds a secret. */
  warn: (message: string) => void
}

/** The surroundings of a Node process. `fetch` is looked up at each call, so that instrumentation loaded later counts. */
export const nodeRuntime: Runtime = {
  fetch: (input, init) => globalThis.fetch(input, init),
  wallClockMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  after: (delayMs, run) => {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
  randomBytes,
  warn: (message) => process.emitWarning(message, 'AlterSDKWarning'),
}

/** Waits, or fails with the reason of the signal as soon as it is aborted. */
export function sleep(runtime: Pick<Runtime, 'after'>, delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason)
    const stop = () => {
      cancel()
      reject(signal?.reason)
    }
    const cancel = runtime.after(delayMs, () => {
      signal?.removeEventListener('abort', stop)
      resolve()
    })
    signal?.addEventListener('abort', stop, { once: true })
  })
}
