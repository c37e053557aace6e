import { sql } from 'kysely'
import { byteaArray, int4Array, int8Array, textArray, timestamptzArray, uuidArray } from '../db/binary-arrays.ts'
import type { Tx } from '../db/database.ts'
import type { Scope } from './audit-row.ts'
import type { WrittenRow } from './row-batch.ts'

/** How far the log of a scope has come. */
export type ScopeState = Scope & {
  sequence: number
  lastRow: number
  head: Buffer
  signedRow: number
  /** Rows have waited for a checkpoint for 60 s. */
  isSignatureDue: boolean
}

/** Scopes with batches without a place, or whose next checkpoint is due; `all`: also those where it is not due yet. */
export async function readDueScopes(tx: Tx, all: boolean): Promise<string[]> {
  const { rows } = await sql<{ scope_id: string }>`select scope_id from audit_due_scopes(${all})`.execute(tx)
  return rows.map((row) => row.scope_id)
}

/**
 * Takes the right to put a scope's batches in order, until the end of the transaction. Undefined: the scope has no log, or, without
 * `waitMs`, somebody else has the right. Rejects when it cannot be had in time.
 */
export async function lockScope(tx: Tx, scopeId: string, waitMs: number | null): Promise<ScopeState | undefined> {
  if (waitMs !== null)
    await sql`select set_config('lock_timeout', ${String(Math.max(1, Math.floor(waitMs)))}, true)`.execute(tx)
  const { rows } = await sql<{
    app_id: string | null
    organization_id: string | null
    sequence: number
    last_row: number
    head: Buffer
    signed_row: number
    is_due: boolean
  }>`select app_id, organization_id, sequence, last_row, head, signed_row,
      coalesce(unsigned_since <= clock_timestamp() - interval '60 seconds', false) as is_due
    from audit_scopes where scope_id = ${scopeId} for update ${waitMs === null ? sql`skip locked` : sql``}`.execute(tx)
  const row = rows[0]
  return (
    row && {
      scopeId,
      appId: row.app_id,
      organizationId: row.organization_id,
      sequence: row.sequence,
      lastRow: row.last_row,
      head: row.head,
      signedRow: row.signed_row,
      isSignatureDue: row.is_due,
    }
  )
}

export type Unsequenced = { batchId: string; count: number; digest: Buffer }

/** Batches without a place, oldest first: of `own` and those that have waited for three seconds, whose writer may be gone; or all. */
export async function readUnsequenced(
  tx: Tx,
  scopeId: string,
  own: readonly string[] | 'all',
  limit: number,
): Promise<Unsequenced[]> {
  const which =
    own === 'all'
      ? sql`true`
      : sql`(batch_id = any(${uuidArray(own)}) or committed_at < clock_timestamp() - interval '3 seconds')`
  const { rows } = await sql<{ batch_id: string; count: number; digest: Buffer }>`
    select batch_id, count, digest from audit_batches
    where scope_id = ${scopeId} and sequence is null and ${which} order by batch_id limit ${limit}`.execute(tx)
  return rows.map((row) => ({ batchId: row.batch_id, count: row.count, digest: row.digest }))
}

/** The stored rows of some batches, by batch. */
export async function readRows(tx: Tx, scopeId: string, batchIds: readonly string[]): Promise<Map<string, Buffer>> {
  if (batchIds.length === 0) return new Map()
  const rows = await tx
    .selectFrom('audit_batches')
    .select(['batch_id', 'rows'])
    .where('scope_id', '=', scopeId)
    .where('batch_id', 'in', [...batchIds])
    .execute()
  return new Map(rows.map((row) => [row.batch_id, row.rows]))
}

/** A batch and its place. A row that cannot be read is undefined, and cannot be found. */
export type PlacedBatch = { batchId: string; firstRow: number; head: Buffer; rows: readonly (WrittenRow | undefined)[] }

/** Gives batches the places behind `after` and makes their rows searchable. The caller holds the scope. */
export const sequenceBatches = (
  tx: Tx,
  scopeId: string,
  after: number,
  batches: readonly PlacedBatch[],
  lastRow: number,
): Promise<void> =>
  store(
    tx,
    [
      scopeId,
      after,
      uuidArray(batches.map(({ batchId }) => batchId)),
      int8Array(batches.map(({ firstRow }) => firstRow)),
      byteaArray(batches.map(({ head }) => head)),
      lastRow,
    ],
    batches,
    true,
  )

/** Makes the rows of batches searchable that have their places. */
export const projectBatches = (tx: Tx, scopeId: string, batches: readonly PlacedBatch[]): Promise<void> =>
  store(tx, [scopeId, 0, uuidArray([]), int8Array([]), byteaArray([]), 0], batches, false)

async function store(tx: Tx, places: unknown[], batches: readonly PlacedBatch[], isNew: boolean): Promise<void> {
  const rows: WrittenRow[] = []
  const rowNos: number[] = []
  const rowBatches: string[] = []
  for (const { batchId, firstRow, rows: own } of batches) {
    for (const [index, row] of own.entries()) {
      if (row === undefined) continue
      rows.push(row)
      rowNos.push(firstRow + index)
      rowBatches.push(batchId)
    }
  }
  const waiting = new Map<string, number>()
  const answered: string[] = []
  for (const { event, eventId, intentId, micros } of isNew ? rows : []) {
    if (event === 'proxy.requested' || event === 'token.requested') waiting.set(eventId, micros)
    else if (intentId && !waiting.delete(intentId)) answered.push(intentId)
  }
  const urls = rows.map(({ url }) => asRead(url))
  const texts = (values: (string | null | undefined)[]) => textArray(values.map(asRead))
  await sql`select sequence_batches(${sql.join([
    ...places,
    int8Array(rowNos),
    uuidArray(rowBatches),
    int4Array(rows.map(({ lineAt }) => lineAt)),
    int4Array(rows.map(({ lineBytes }) => lineBytes)),
    uuidArray(rows.map(({ eventId }) => eventId)),
    timestamptzArray(rows.map(({ micros }) => micros)),
    textArray(rows.map(({ stream }) => stream)),
    textArray(rows.map(({ event }) => event)),
    textArray(rows.map(({ outcome }) => outcome)),
    textArray(rows.map(({ decisionEffect }) => decisionEffect)),
    textArray(rows.map(({ primaryReason }) => primaryReason)),
    uuidArray(rows.map(({ keyId }) => keyId)),
    uuidArray(rows.map(({ agentId }) => agentId)),
    uuidArray(rows.map(({ actorId }) => actorId)),
    uuidArray(rows.map(({ memberId }) => memberId)),
    uuidArray(rows.map(({ appUserId }) => appUserId)),
    uuidArray(rows.map(({ grantId }) => grantId)),
    uuidArray(rows.map(({ approvalId }) => approvalId)),
    uuidArray(rows.map(({ intentId }) => intentId)),
    texts(rows.map(({ providerId }) => providerId)),
    texts(rows.map(({ traceId }) => traceId)),
    texts(rows.map(({ runId }) => runId)),
    texts(rows.map(({ threadId }) => threadId)),
    texts(rows.map(({ reason }) => reason)),
    texts(rows.map(({ method }) => method)),
    textArray(urls.map(hostOf)),
    textArray(urls),
    int4Array(rows.map(({ status }) => status)),
    texts(rows.map(({ tool }) => tool)),
    texts(rows.map(({ initiator }) => initiator)),
    texts(rows.map(({ resourceType }) => resourceType)),
    uuidArray([...waiting.keys()]),
    timestamptzArray([...waiting.values()]),
    uuidArray(answered),
  ])})`.execute(tx)
}

const PLAIN = /^[\x20-\x7e]*$/

/** A text as it reads back from a stored row: well-formed, in NFC, without U+0000, which PostgreSQL has no place for. */
function asRead(text: string | null | undefined): string | null {
  if (text === null || text === undefined) return null
  return PLAIN.test(text) ? text : text.toWellFormed().normalize('NFC').replaceAll('\0', '\ufffd')
}

/** The host of a URL, lower-case and without its port; a bracketed address with its brackets. */
function hostOf(url: string | null): string | null {
  const rest = url?.split('://', 2)[1]
  if (rest === undefined || rest === '') return null
  return rest.startsWith('[') ? `${rest.split(']', 1)[0]!.toLowerCase()}]` : /^[^/?:]*/.exec(rest)![0].toLowerCase()
}

/** When the oldest batch without a place was made: everything before it is searchable. Undefined: there is none. */
export async function readFirstUnsequenced(tx: Tx, scopeId: string): Promise<string | undefined> {
  const { rows } = await sql<{ made_at: string }>`
    select to_char(uuid_extract_timestamp(batch_id) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as made_at
    from audit_batches where scope_id = ${scopeId} and sequence is null order by batch_id limit 1`.execute(tx)
  return rows[0]?.made_at
}

/** Forgets the searchable rows of a scope. */
export async function forgetEvents(tx: Tx, scopeId: string): Promise<void> {
  await tx.deleteFrom('audit_events').where('scope_id', '=', scopeId).execute()
}
