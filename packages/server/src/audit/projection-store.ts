import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'

/** The end of a lane that some reader is not done with. */
export type LaneTail = {
  scopeId: string
  chainId: string
  /** 0 while the lane has no row. */
  lastSeq: number
  isClosed: boolean
  checkpointedSeq: number
  checkpointedToEnd: boolean
  projectedToEnd: boolean
  /** The first row that is not projected. */
  nextSeq: number
}

/** Of one scope, in a transaction that sees it; or of all scopes, in one that sees none. */
export async function readLaneTails(tx: Tx, scopeId: string | null): Promise<LaneTail[]> {
  const { rows } = await sql<{
    app_id: string
    chain_id: string
    last_seq: number
    is_closed: boolean
    checkpointed_seq: number
    checkpointed_to_end: boolean
    projected_to_end: boolean
    next_seq: number
  }>`select * from audit_lane_tails(${scopeId}::uuid)`.execute(tx)
  return rows.map((row) => ({
    scopeId: row.app_id,
    chainId: row.chain_id,
    lastSeq: row.last_seq,
    isClosed: row.is_closed,
    checkpointedSeq: row.checkpointed_seq,
    checkpointedToEnd: row.checkpointed_to_end,
    projectedToEnd: row.projected_to_end,
    nextSeq: row.next_seq,
  }))
}

export type Projected = { rows: number; nextSeq: number; isDone: boolean }

/** Projects the next blocks of a lane, about `maxRows` rows. Undefined: another process is projecting it, and `wait` is false. */
export async function projectNextBlocks(
  tx: Tx,
  lane: { scopeId: string; chainId: string },
  { maxRows, wait }: { maxRows: number; wait: boolean },
): Promise<Projected | undefined> {
  const { rows } = await sql<{ rows_projected: number; next_seq: number; is_done: boolean }>`
    select * from project_audit_lane(${lane.scopeId}, ${lane.chainId}, ${maxRows}, ${wait})`.execute(tx)
  const row = rows[0]
  return row === undefined ? undefined : { rows: row.rows_projected, nextSeq: row.next_seq, isDone: row.is_done }
}

/** Longest wait for a lock from here to the end of the transaction. */
export async function limitLockWait(tx: Tx, ms: number): Promise<void> {
  await sql`select set_config('lock_timeout', ${String(Math.max(1, Math.floor(ms)))}, true)`.execute(tx)
}

/** When the first row that is not projected happened: everything before it is. Undefined when there is none. */
export async function readFirstUnprojected(
  tx: Tx,
  lane: { scopeId: string; chainId: string },
): Promise<string | undefined> {
  const { rows } = await sql<{ occurred_at: string | null }>`
    select substring(convert_from(substring(b.rows from 1 for 4096), 'SQL_ASCII') from '"occurred_at":"([^"]*)"') as occurred_at
    from audit_blocks b
    where b.app_id = ${lane.scopeId} and b.chain_id = ${lane.chainId} and b.count > 0 and b.first_seq >= coalesce((
      select p.next_seq from audit_projections p where p.app_id = ${lane.scopeId} and p.chain_id = ${lane.chainId}), 1)
    order by b.first_seq limit 1`.execute(tx)
  return rows[0]?.occurred_at ?? undefined
}

/** Forgets the projection of a scope; it is made anew from the blocks. */
export async function forgetProjection(tx: Tx, scopeId: string): Promise<void> {
  await tx.deleteFrom('audit_events').where('app_id', '=', scopeId).execute()
  await tx.updateTable('audit_projections').set({ next_seq: 1 }).where('app_id', '=', scopeId).execute()
  await tx.updateTable('audit_lanes').set({ projected_to_end: false }).where('app_id', '=', scopeId).execute()
}
