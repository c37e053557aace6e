import type { AuditEvent } from '@alter-vault/contracts'
import type { Database } from '../db/database.ts'
import { toAuditEvent } from './audit-event.ts'
import { parseCheckpointMessage } from './checkpoint.ts'
import { csvLine } from './csv.ts'
import { type EventFilter, type EventPlace, listEvents } from './event-store.ts'
import { encodeExportBatch, encodeExportCheckpoint, encodeExportHeader, encodeExportRow } from './export-file.ts'
import type { ExportExtent } from './export-store.ts'
import { decodeRows } from './log-hashes.ts'
import { findScope, streamBatches, streamCheckpoints } from './log-store.ts'
import { startOf } from './verify-log.ts'

type Reader = Pick<Database, 'forScope'>

/** What stands for a row or checkpoint that cannot be read: no verifier takes it for one. */
const UNREADABLE = '{"unreadable":true}\n'
const EVENTS_AT_ONCE = 500

/**
 * The rows file of an export. The heads are the stored ones, so that what somebody changed in the database does not get fitting
 * hashes here.
 */
export async function* writeRowsFile(db: Reader, scopeId: string, extent: ExportExtent): AsyncGenerator<string> {
  const found = await db.forScope(scopeId, (tx) => findScope(tx, scopeId))
  if (found === undefined) return
  const { scope } = found
  const { from, to } = extent.batches ?? { from: 1, to: 0 }
  let start = startOf(scope)
  for await (const { sequence, firstRow, count, head } of streamBatches(db, scopeId, {
    from: from - 1,
    to: from - 1,
  })) {
    start = { sequence: sequence + 1, firstRow: firstRow + count, previousHead: head }
  }
  yield encodeExportHeader({
    v: 1,
    scope,
    whole: extent.whole,
    from_sequence: from,
    to_sequence: to,
    first_row: start.firstRow,
    previous_head: start.previousHead.toString('hex'),
  })
  for await (const batch of streamBatches(db, scopeId, { from, to })) {
    let text = encodeExportBatch(batch)
    for (const [index, row] of decodeRows(batch.rows).entries()) {
      text += row === null ? UNREADABLE : encodeExportRow(row, batch.firstRow + index)
    }
    yield text
  }
}

/** The checkpoints file of an export. */
export async function* writeCheckpointsFile(db: Reader, scopeId: string, extent: ExportExtent): AsyncGenerator<string> {
  if (extent.checkpoints === null) return
  for await (const signed of streamCheckpoints(db, scopeId, extent.checkpoints)) {
    const checkpoint = parseCheckpointMessage(signed.message)
    yield checkpoint === null || checkpoint.key_id !== signed.keyId
      ? UNREADABLE
      : encodeExportCheckpoint(checkpoint, signed.messageHash, signed.signature)
  }
}

const CSV_KEEP = [
  'occurred_at',
  'event_id',
  'stream',
  'event',
  'outcome',
  'decision_effect',
  'primary_reason',
  'reason',
  'caller_kind',
  'key_id',
  'agent_id',
  'actor_id',
  'member_id',
  'app_user_id',
  'principal_type',
  'principal_id',
  'grant_id',
  'provider_id',
  'resource_kind',
  'approval_id',
  'intent_id',
  'trace_id',
  'run_id',
  'thread_id',
] as const satisfies readonly (keyof AuditEvent)[]

/** Details that are a word or a number. */
const CSV_DETAIL = [
  'method',
  'url',
  'response_status',
  'latency_ms',
  'upstream_ms',
  'bytes_in',
  'bytes_out',
  'caller',
  'caller_type',
  'client_ip',
  'user_agent',
  'grant_label',
  'initiator',
  'resource_type',
  'resource_id',
  'error_code',
] as const

/** A CSV export, newest row first, with a header. */
export async function* writeCsvFile(db: Reader, scopeId: string, filter: EventFilter): AsyncGenerator<string> {
  yield csvLine([...CSV_KEEP, ...CSV_DETAIL])
  for (let after: EventPlace | undefined; ; ) {
    const found = await db.forScope(scopeId, (tx) => listEvents(tx, scopeId, filter, { after, limit: EVENTS_AT_ONCE }))
    const events = found.rows.map(toAuditEvent)
    if (events.length > 0) {
      yield events
        .map((event) =>
          csvLine([...CSV_KEEP.map((name) => event[name]), ...CSV_DETAIL.map((name) => cellOf(event.detail?.[name]))]),
        )
        .join('')
    }
    if (found.next === undefined) return
    after = found.next
  }
}

const cellOf = (value: unknown): string | number | null =>
  typeof value === 'string' || typeof value === 'number' ? value : null
