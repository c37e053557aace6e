import { appScope, type Charge, chargeOf, type RateMeter } from '../audit/index.ts'
import type { Caller } from '../management/index.ts'
import type { RuleCharge, SpentBudget } from '../policy/decide.ts'

/** Exact charges, to be stored with the intent, and the budgets of faster ones that are spent. */
export type TakenCharges = {
  exact: readonly Charge[]
  byCounter: ReadonlyMap<string, RuleCharge>
  spent: readonly SpentBudget[]
}

const NOTHING_TAKEN: TakenCharges = { exact: [], byCounter: new Map(), spent: [] }

/** The ring that an exact budget is charged to. */
export function counterChargeOf(charge: RuleCharge, nowMs: number): Charge {
  if (charge.fixedWindow === null) return chargeOf(charge, 1, nowMs)
  return { counterId: charge.counterId, slot: charge.fixedWindow, width: 1, add: 1, max: charge.limit }
}

/** Takes what faster budgets need from leased slices; exact ones are left for the intent's own transaction. */
export async function takeLeases(
  meter: RateMeter,
  caller: Pick<Caller, 'appId' | 'organizationId'>,
  charges: readonly RuleCharge[],
  nowMs: number,
): Promise<TakenCharges> {
  if (charges.length === 0) return NOTHING_TAKEN
  const exact: Charge[] = []
  const byCounter = new Map<string, RuleCharge>()
  const spent: SpentBudget[] = []
  for (const charge of charges) {
    if (charge.exact) {
      exact.push(counterChargeOf(charge, nowMs))
      byCounter.set(charge.counterId, charge)
      continue
    }
    const taken = await meter.take(appScope(caller.appId, caller.organizationId), charge)
    if (!taken.ok) spent.push({ charge, retryAtMs: nowMs + taken.retryAfterSeconds * 1000 })
  }
  return { exact, byCounter, spent }
}

/** The budgets behind counters that refused. */
export const spentOf = (counterIds: readonly string[], byCounter: TakenCharges['byCounter']): SpentBudget[] =>
  counterIds.flatMap((id) => byCounter.get(id) ?? []).map((charge) => ({ charge }))
