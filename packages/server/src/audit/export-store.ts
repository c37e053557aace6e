import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'

/** What an NDJSON export holds: batches and checkpoints by number, both ends included; null: there are none. */
export type ExportExtent = {
  whole: boolean
  batches: { from: number; to: number } | null
  checkpoints: { from: number; to: number } | null
}

export type StoredExport = {
  exportId: string
  format: 'ndjson' | 'csv'
  filters: Record<string, unknown>
  extent: ExportExtent | null
  rowCount: number
  createdAt: Date
  expiresAt: Date
}

export async function insertExport(
  tx: Tx,
  scopeId: string,
  made: StoredExport & { memberId: string | null },
): Promise<void> {
  await tx
    .insertInto('audit_exports')
    .values({
      scope_id: scopeId,
      export_id: made.exportId,
      format: made.format,
      filters: JSON.stringify(made.filters),
      extent: made.extent === null ? null : JSON.stringify(made.extent),
      row_count: made.rowCount,
      member_id: made.memberId,
      created_at: made.createdAt,
      expires_at: made.expiresAt,
    })
    .execute()
}

/** Exports that have not run out, newest first. */
export async function readExports(
  tx: Tx,
  scopeId: string,
  now: Date,
  which: { exportId?: string } = {},
): Promise<StoredExport[]> {
  const rows = await tx
    .selectFrom('audit_exports')
    .selectAll()
    .where('scope_id', '=', scopeId)
    .where('expires_at', '>', now)
    .$if(which.exportId !== undefined, (query) => query.where('export_id', '=', which.exportId!))
    .orderBy('created_at', 'desc')
    .limit(1_000)
    .execute()
  return rows.map((row) => ({
    exportId: row.export_id,
    format: row.format,
    filters: row.filters as Record<string, unknown>,
    extent: row.extent as ExportExtent | null,
    rowCount: row.row_count,
    createdAt: row.created_at,
    expiresAt: row.expires_at,
  }))
}

/** When a member's exports since a time were made, oldest first. */
export async function readExportTimes(tx: Tx, scopeId: string, memberId: string, since: Date): Promise<Date[]> {
  const rows = await tx
    .selectFrom('audit_exports')
    .select('created_at')
    .where('scope_id', '=', scopeId)
    .where('member_id', '=', memberId)
    .where('created_at', '>', since)
    .orderBy('created_at')
    .execute()
  return rows.map((row) => row.created_at)
}

/** Forgets exports that ran out. */
export async function dropExpiredExports(tx: Tx, scopeId: string, now: Date): Promise<void> {
  await tx.deleteFrom('audit_exports').where('scope_id', '=', scopeId).where('expires_at', '<=', now).execute()
}

/** The batches from the first to the last that has a row in a time range. */
export async function findBatchesByTime(
  tx: Tx,
  scopeId: string,
  range: { start: string | null; end: string | null },
): Promise<{ from: number; to: number } | null> {
  const { rows } = await sql<{ first: number | null; last: number | null }>`
    select min(b.sequence) as first, max(b.sequence) as last
    from (
      select min(row_no) as first_row, max(row_no) as last_row from audit_events
      where scope_id = ${scopeId} and occurred_at >= coalesce(${range.start}::timestamptz, '-infinity')
        and occurred_at < coalesce(${range.end}::timestamptz, 'infinity')
    ) found
    join audit_events e on e.scope_id = ${scopeId} and e.row_no in (found.first_row, found.last_row)
    join audit_batches b on b.scope_id = e.scope_id and b.batch_id = e.batch_id`.execute(tx)
  const { first = null, last = null } = rows[0] ?? {}
  return first === null || last === null ? null : { from: first, to: last }
}

/** How many rows some batches have. */
export async function countRows(tx: Tx, scopeId: string, { from, to }: { from: number; to: number }): Promise<number> {
  const { rows } = await sql<{ rows: number }>`
    select coalesce(sum(count), 0)::int as rows from audit_batches
    where scope_id = ${scopeId} and sequence >= ${from} and sequence <= ${to}`.execute(tx)
  return rows[0]?.rows ?? 0
}

/** Times that split a range into parts of at most `rows` rows; the first one is where the range begins. */
export async function proposeSplit(
  tx: Tx,
  scopeId: string,
  range: { start: string | null; end: string | null },
  rows: number,
): Promise<string[]> {
  const found = await sql<{ at: string }>`
    select to_char(occurred_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as at
    from (
      select occurred_at, row_number() over (order by occurred_at, event_id) as n from audit_events
      where scope_id = ${scopeId} and occurred_at >= coalesce(${range.start}::timestamptz, '-infinity')
        and occurred_at < coalesce(${range.end}::timestamptz, 'infinity')
    ) e where n % ${rows} = 1 order by n limit 100`.execute(tx)
  return found.rows.map((row) => row.at)
}
