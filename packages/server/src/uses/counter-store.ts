import { sql } from 'kysely'
import type { Charge } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'

/** Longer than the longest window of a rule, 31 days: nothing that such a counter holds can count any more. */
const IDLE_DAYS = 32

/** Deletes counters that nothing was charged to lately. Returns how many. */
export async function dropIdleCounters(tx: Tx, scopeId: string): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    delete from counters
    where app_id = ${scopeId} and charged_at < clock_timestamp() - make_interval(days => ${IDLE_DAYS})`.execute(tx)
  return Number(numAffectedRows)
}

/** How much of a budget is used in its window, as the transaction sees it. */
export async function readUsed(tx: Tx, appId: string, { counterId, slot }: Charge): Promise<number> {
  const { rows } = await sql<{ used: number }>`
    select sum_slots(advance_slots(c.used, ${slot} - c.slot, 0)) as used
    from counters c where c.app_id = ${appId} and c.counter_id = ${counterId}`.execute(tx)
  return rows[0]?.used ?? 0
}
