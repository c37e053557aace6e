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
    .where('due_at', '<=', sql<Date>`clock_timestamp()`)
    .orderBy('due_at')
    .limit(limit)
    .execute()
  return rows.map((row) => ({ scopeId: row.app_id, eventId: row.subject_id }))
}

/** What is known of an intent: whether its lane has ended, and whether an outcome was recorded after all. */
export async function readIntentState(
  tx: Tx,
  scopeId: string,
  eventId: string,
): Promise<{ isLaneClosed: boolean; hasOutcome: boolean } | undefined> {
  const { rows } = await sql<{ is_lane_closed: boolean; has_outcome: boolean }>`
    select l.closed_at is not null as is_lane_closed,
      exists (select from audit_events o
        where o.app_id = e.app_id and o.trace_id = e.trace_id and o.intent_id = e.event_id)
      or (e.trace_id is null and exists (select from audit_events o
        where o.app_id = e.app_id and o.occurred_at >= e.occurred_at and o.intent_id = e.event_id)) as has_outcome
    from audit_events e join audit_lanes l on l.app_id = e.app_id and l.chain_id = e.chain_id
    where e.app_id = ${scopeId} and e.event_id = ${eventId}`.execute(tx)
  const row = rows[0]
  return row && { isLaneClosed: row.is_lane_closed, hasOutcome: row.has_outcome }
}

/** Ends the wait of an intent. False: somebody else did. */
export async function endWait(tx: Tx, { scopeId, eventId }: LateIntent): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('due_work')
    .where('kind', '=', KIND)
    .where('app_id', '=', scopeId)
    .where('subject_id', '=', eventId)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** Looks again at an intent later. */
export async function postpone(tx: Tx, { scopeId, eventId }: LateIntent, seconds: number): Promise<void> {
  await tx
    .updateTable('due_work')
    .set({ due_at: sql`clock_timestamp() + make_interval(secs => ${seconds})` })
    .where('kind', '=', KIND)
    .where('app_id', '=', scopeId)
    .where('subject_id', '=', eventId)
    .execute()
}
