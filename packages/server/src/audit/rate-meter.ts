import type { Clock } from '../kernel/clock.ts'
import type { Charge } from './append-store.ts'
import type { Scope } from './audit-row.ts'
import type { AppendMember, AppendResult } from './batch-writer.ts'

/** At most `limit` uses in any window of `windowMs`. */
export type Budget = { counterId: string; limit: number; windowMs: number }

export type MeterAnswer =
  | { ok: true; remaining: number; resetSeconds: number }
  | { ok: false; retryAfterSeconds: number }

/** Slots in one window; a use is forgotten up to one slot after it left the window, never earlier. */
const SLOTS = 30
/** A process never takes more than this part of a limit at once. */
const SLICE_PART = 20
const MAX_COUNTERS = 50_000

/** The ring of slots in which a budget is counted at a time; shared by leases and by charges of one use. */
export function chargeOf(budget: Budget, add: number, nowMs: number): Charge {
  const slotMs = Math.max(1, Math.ceil(budget.windowMs / SLOTS))
  return {
    counterId: budget.counterId,
    slot: Math.floor(nowMs / slotMs),
    width: Math.ceil(budget.windowMs / slotMs) + 1,
    add,
    max: budget.limit,
  }
}

type Lease = {
  slot: number
  left: number
  slice: number
  usedInWindow: number
  asking: Promise<boolean> | undefined
  waiting: number
  refusedUntilMs: number
}

export type RateMeter = ReturnType<typeof createRateMeter>

/**
 * Counts uses against budgets that all processes share. A process leases slices of at most 5 % of the limit from the counter's
 * row and uses them up in memory within the slot they were charged to: the limit is never exceeded, at worst refused a little
 * early. A slice doubles while it is used up and halves with each new slot, so little of it is left unused.
 */
export function createRateMeter(deps: {
  clock: Clock
  append: (scope: Scope, member: AppendMember) => Promise<AppendResult>
}) {
  const leases = new Map<string, Lease>()

  function leaseOf(counterId: string): Lease {
    let lease = leases.get(counterId)
    if (lease) leases.delete(counterId)
    else lease = { slot: -1, left: 0, slice: 1, usedInWindow: 0, asking: undefined, waiting: 0, refusedUntilMs: 0 }
    leases.set(counterId, lease)
    if (leases.size > MAX_COUNTERS) leases.delete(leases.keys().next().value!)
    return lease
  }

  /** Whether something was charged. */
  async function ask(scope: Scope, budget: Budget, lease: Lease): Promise<boolean> {
    const most = Math.max(1, Math.floor(budget.limit / SLICE_PART))
    for (const add of new Set([Math.min(Math.max(lease.slice, lease.waiting), most), 1])) {
      const charge = chargeOf(budget, add, deps.clock.now())
      const result = await deps.append(scope, { rows: [], charges: [charge] })
      if (result.kind === 'stored') {
        lease.slot = charge.slot
        lease.left = add
        lease.slice = Math.min(add * 2, most)
        return true
      }
    }
    const slotMs = Math.ceil(budget.windowMs / SLOTS)
    lease.refusedUntilMs = (Math.floor(deps.clock.now() / slotMs) + 1) * slotMs
    return false
  }

  function useOne(budget: Budget, lease: Lease, nowMs: number): MeterAnswer {
    lease.left -= 1
    lease.usedInWindow += 1
    return {
      ok: true,
      remaining: Math.max(0, budget.limit - lease.usedInWindow),
      resetSeconds: Math.ceil(nowMs / 1000) + Math.ceil(budget.windowMs / 1000),
    }
  }

  /**
   * Waits for a charge and uses of it. What was charged while a use waited counts for it, also when the commit outlasted the slot; what is
   * left over belongs to the slot.
   */
  async function takeCharged(scope: Scope, budget: Budget, lease: Lease, slotMs: number): Promise<MeterAnswer> {
    lease.waiting += 1
    try {
      for (;;) {
        const nowMs = deps.clock.now()
        if (nowMs < lease.refusedUntilMs) {
          return { ok: false, retryAfterSeconds: Math.max(1, Math.ceil((lease.refusedUntilMs - nowMs) / 1000)) }
        }
        if (lease.asking === undefined) {
          const slot = Math.floor(nowMs / slotMs)
          if (lease.slot !== slot) {
            lease.slice = Math.max(1, lease.slice >> 1)
            lease.usedInWindow = lease.slot < slot - SLOTS ? 0 : Math.floor(lease.usedInWindow * (1 - 1 / SLOTS))
          }
          lease.asking = ask(scope, budget, lease).finally(() => {
            lease.asking = undefined
          })
        }
        const isCharged = await lease.asking
        if (isCharged && lease.left > 0) return useOne(budget, lease, deps.clock.now())
      }
    } finally {
      lease.waiting -= 1
    }
  }

  return {
    /** Takes one use. Throws what `append` throws when the store is away. */
    async take(scope: Scope, budget: Budget): Promise<MeterAnswer> {
      const slotMs = Math.max(1, Math.ceil(budget.windowMs / SLOTS))
      const lease = leaseOf(budget.counterId)
      const nowMs = deps.clock.now()
      if (lease.slot === Math.floor(nowMs / slotMs) && lease.left > 0) return useOne(budget, lease, nowMs)
      return takeCharged(scope, budget, lease, slotMs)
    },
  }
}
