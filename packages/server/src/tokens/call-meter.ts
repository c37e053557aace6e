import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'

const WINDOW_MS = 60_000
const WINDOW_SECONDS = 60
const MAX_METERED = 10_000

/**
 * Counts the management calls of each member in a sliding minute, per process: this protects the server, it is no promise to
 * anyone. The minute before counts by the share of it that still lies in the window.
 */
export function createCallMeter(clock: Pick<Clock, 'monotonic'>, limit: number) {
  const minutes = new Map<string, { minute: number; now: number; before: number }>()
  return {
    /** Counts one call. Refusal: `rate_limit_exceeded`. */
    charge(memberId: string): void {
      const at = clock.monotonic()
      const minute = Math.floor(at / WINDOW_MS)
      const last = minutes.get(memberId)
      const counted =
        last?.minute === minute ? last : { minute, now: 0, before: last?.minute === minute - 1 ? last.now : 0 }
      const share = 1 - (at - minute * WINDOW_MS) / WINDOW_MS
      if (counted.now + counted.before * share >= limit) {
        throw new VaultError('rate_limit_exceeded', {
          message: `More than ${limit} management calls in a minute.`,
          retryAfterSeconds: Math.ceil(WINDOW_SECONDS * (1 - share)) || WINDOW_SECONDS,
          fields: { scope: 'member', limit, window_seconds: WINDOW_SECONDS },
        })
      }
      counted.now += 1
      minutes.delete(memberId)
      minutes.set(memberId, counted)
      if (minutes.size > MAX_METERED) minutes.delete(minutes.keys().next().value!)
    },
  }
}
