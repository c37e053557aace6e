import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'

const KIND = 'audit_intent'

/** An intent whose outcome is late. */
export type LateIntent = { scopeId: string; eventId: string }

/** Intents that have waited for an outcome past their time, oldest first. */
export async function readLateIntents(tx: Tx, limit: number): Promise<LateIntent[]> {
  const rows = await tx
    .selectFrom('due_work')
    .select(['app_id', 'subject_id'])
    .where('kind', '=', KIND)
    .where('due_at', '<=', sql<Date>`now()`)
    .orderBy('due_at')
    .limit(limit)
    .execute()
  return rows.map((row) => ({ scopeId: row.app_id, eventId: row.subject_id }))
}

/** True when an outcome of the intent was recorded after all. Undefined: there is no such intent. */
export async function findOutcome(tx: Tx, { scopeId, eventId }: LateIntent): Promise<boolean | undefined> {
  const { rows } = await sql<{ has_outcome: boolean }>`
    select exists (select from audit_events o
        where o.scope_id = e.scope_id and o.trace_id = e.trace_id and o.intent_id = e.event_id)
      or (e.trace_id is null and exists (select from audit_events o
        where o.scope_id = e.scope_id and o.occurred_at >= e.occurred_at and o.intent_id = e.event_id)) as has_outcome
    from audit_events e where e.scope_id = ${scopeId} and e.event_id = ${eventId}`.execute(tx)
  return rows[0]?.has_outcome
}

/** Takes the right to write the one outcome of an intent. False: somebody else has it. */
export async function settleIntent(tx: Tx, { scopeId, eventId }: LateIntent): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await tx
    .insertInto('audit_settled')
    .values({ scope_id: scopeId, intent_id: eventId })
    .onConflict((conflict) => conflict.doNothing())
    .executeTakeFirst()
  return numInsertedOrUpdatedRows === 1n
}

/** Ends the wait of an intent. */
export async function endWait(tx: Tx, { scopeId, eventId }: LateIntent): Promise<void> {
  await tx
    .deleteFrom('due_work')
    .where('kind', '=', KIND)
    .where('app_id', '=', scopeId)
    .where('subject_id', '=', eventId)
    .execute()
}
