import type { Clock } from '../kernel/clock.ts'

/**
 * The time in which sending may begin after a decision was handed over to be made durable. Outside it a revocation may
 * have been acknowledged without knowing of this call, so the call is never sent.
 */
export type SendWindow = {
  isOpen(): boolean
  /** Milliseconds until it closes by the monotonic clock, at least 0. */
  remainingMs(): number
  /** Milliseconds since it opened, by whichever clock says more. */
  ageMs(): number
}

/** A process that sleeps stops its monotonic clock, a stepped clock breaks wall time: both must agree that it is early enough. */
export const SEND_WINDOW_MS = 2_000

/** Opens now. Call it when the batch is handed over, not when its commit is known. */
export function openSendWindow(clock: Clock, lengthMs: number = SEND_WINDOW_MS): SendWindow {
  const startedAt = clock.monotonic()
  const startedWall = clock.now()
  return {
    isOpen() {
      const elapsed = clock.monotonic() - startedAt
      const elapsedWall = clock.now() - startedWall
      // A wall clock that went back says nothing about how long it really took.
      return elapsed >= 0 && elapsed < lengthMs && elapsedWall >= 0 && elapsedWall < lengthMs
    },
    ageMs: () => Math.max(clock.monotonic() - startedAt, clock.now() - startedWall),
    remainingMs: () => Math.max(0, lengthMs - (clock.monotonic() - startedAt)),
  }
}
