import type { ByteBudget, ByteBudgetLimits } from '../kernel/byte-budget.ts'
import { VaultError } from '../kernel/vault-error.ts'

const MIB = 1024 * 1024

/** The memory that one answer takes, from its first byte until it has left. */
export type AnswerRoom = {
  /** False when an answer of this owner may not grow by so much. */
  take(owner: string, bytes: number): boolean
  release(): void
}

/** A key may have a quarter: five answers of the greatest length with the default. */
export const answerBudget = (bodyMemoryMib: number): ByteBudgetLimits => ({
  totalBytes: bodyMemoryMib * 2 * MIB,
  ownerBytes: (bodyMemoryMib / 2) * MIB,
})

/** What has to fit for a call to be sent at all. */
const WORTH_SENDING_BYTES = MIB

/** Refuses a caller whose earlier answers are still in memory: what would be answered to this call could not be kept. */
export function assertRoom(budget: ByteBudget, owner: string): void {
  if (budget.fits(owner, WORTH_SENDING_BYTES)) return
  throw new VaultError('service_unavailable', {
    message: 'Too many bytes of earlier answers, of this caller or of all, have not been read yet. Nothing was sent.',
    retryAfterSeconds: 1,
  })
}

export function createAnswerRoom(budget: ByteBudget): AnswerRoom {
  let owner = ''
  let held = 0
  return {
    take(taker, bytes) {
      if (!budget.take(taker, bytes)) return false
      owner = taker
      held += bytes
      return true
    },
    release() {
      if (held > 0) budget.give(owner, held)
      held = 0
    },
  }
}
