import { sql } from 'kysely'
import type { Charge } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'

/** How much of a budget is used in its window, as the transaction sees it. */
export async function readUsed(tx: Tx, appId: string, { counterId, slot }: Charge): Promise<number> {
  const { rows } = await sql<{ used: number }>`
    select sum_slots(advance_slots(c.used, ${slot} - c.slot, 0)) as used
    from counters c where c.app_id = ${appId} and c.counter_id = ${counterId}`.execute(tx)
  return rows[0]?.used ?? 0
}
