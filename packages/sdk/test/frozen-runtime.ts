/** Surroundings in which time stands still until it is moved, and every nonce is known. */
import type { Runtime } from '../src/runtime.ts'

export const FROZEN_UNIX_SECONDS = 1_767_225_600
export const FROZEN_NONCE = '000102030405060708090a0b0c0d0e0f'

export type FrozenRuntime = Runtime & {
  warnings: string[]
  /** Delays that were asked for, in milliseconds, in order. */
  delays: number[]
  /** Moves both clocks and calls what became due, in order of time. */
  advance: (ms: number) => void
}

/**
 * @param options.instantDelays which delays pass by themselves: time jumps to their end at once. Others wait for `advance`.
 */
export function createFrozenRuntime(options: { instantDelays?: (ms: number) => boolean } = {}): FrozenRuntime {
  const { instantDelays = () => false } = options
  let nowMs = 0
  let timers: { dueMs: number; run: () => void }[] = []
  const warnings: string[] = []
  const delays: number[] = []

  function advance(ms: number): void {
    nowMs += ms
    const due = timers.filter(({ dueMs }) => dueMs <= nowMs).sort((a, b) => a.dueMs - b.dueMs)
    timers = timers.filter(({ dueMs }) => dueMs > nowMs)
    for (const { run } of due) run()
  }

  return {
    warnings,
    delays,
    advance,
    fetch: (input, init) => globalThis.fetch(input, init),
    wallClockMs: () => FROZEN_UNIX_SECONDS * 1_000 + nowMs,
    monotonicMs: () => nowMs,
    after(delayMs, run) {
      delays.push(delayMs)
      const timer = { dueMs: nowMs + delayMs, run }
      timers.push(timer)
      if (instantDelays(delayMs)) queueMicrotask(() => timers.includes(timer) && advance(timer.dueMs - nowMs))
      return () => {
        timers = timers.filter((other) => other !== timer)
      }
    },
    randomBytes: (length) => Uint8Array.from({ length }, (_item, index) => index),
    warn: (message) => void warnings.push(message),
  }
}
