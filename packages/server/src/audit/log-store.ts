import { sql } from 'kysely'
import type { Database, Tx } from '../db/database.ts'
import type { Scope } from './audit-row.ts'
import type { SignedCheckpoint } from './checkpoint.ts'
import { readCheckpoints } from './checkpoint-store.ts'

/** A batch that has its place, as it is stored. */
export type SequencedRows = {
  sequence: number
  batchId: string
  firstRow: number
  count: number
  head: Buffer
  rows: Buffer
}

/** Batches that are read at once: few enough to keep the event loop free while they are hashed. */
const BATCHES_AT_ONCE = 64
const BYTES_AT_ONCE = 1_000_000
const CHECKPOINTS_AT_ONCE = 200

/** The scope of a log and its last sequence. Undefined: it has none. */
export async function findScope(tx: Tx, scopeId: string): Promise<{ scope: Scope; sequence: number } | undefined> {
  const row = await tx.selectFrom('audit_scopes').selectAll().where('scope_id', '=', scopeId).executeTakeFirst()
  return row && { scope: { scopeId, appId: row.app_id, organizationId: row.organization_id }, sequence: row.sequence }
}

/**
 * Batches of a scope in order, a few at a time, each few in a transaction of their own: batches are never changed but for pruned
 * details, which keep their hashes. Both ends included.
 */
export async function* streamBatches(
  db: Pick<Database, 'forScope'>,
  scopeId: string,
  { from, to }: { from: number; to: number },
): AsyncGenerator<SequencedRows> {
  for (let next = from; next <= to; ) {
    const batches = await db.forScope(scopeId, async (tx) => {
      const { rows } = await sql<{
        sequence: number
        batch_id: string
        first_row: number
        count: number
        head: Buffer
        rows: Buffer
      }>`
        select sequence, batch_id, first_row, count, head, rows from (
          select *, sum(octet_length(rows)) over (order by sequence) - octet_length(rows) as bytes_before
          from (
            select sequence, batch_id, first_row, count, head, rows from audit_batches
            where scope_id = ${scopeId} and sequence >= ${next} and sequence <= ${to}
            order by sequence limit ${BATCHES_AT_ONCE}) few
        ) b where bytes_before < ${BYTES_AT_ONCE} order by sequence`.execute(tx)
      return rows
    })
    for (const { batch_id: batchId, first_row: firstRow, ...batch } of batches) yield { ...batch, batchId, firstRow }
    const last = batches.at(-1)
    if (last === undefined) return
    next = last.sequence + 1
  }
}

/** The checkpoints of a scope between two numbers, oldest first. */
export async function* streamCheckpoints(
  db: Pick<Database, 'forScope'>,
  scopeId: string,
  { from, to }: { from: number; to: number },
): AsyncGenerator<SignedCheckpoint> {
  for (let next = from; next <= to; ) {
    const some = await db.forScope(scopeId, (tx) =>
      readCheckpoints(tx, scopeId, { from: next, to, limit: CHECKPOINTS_AT_ONCE }),
    )
    yield* some
    const last = some.at(-1)
    if (last === undefined) return
    next = last.number + 1
  }
}
