import type { AuditEvent } from '@alter-vault/contracts'
import type { Database } from '../db/database.ts'
import { toAuditEvent } from './audit-event.ts'
import { genesisHash, rowHash } from './chain.ts'
import { parseCheckpointMessage } from './checkpoint.ts'
import { csvLine } from './csv.ts'
import { type EventFilter, type EventPlace, listEvents } from './event-store.ts'
import { encodeExportCheckpoint, encodeExportHeader, encodeExportRow } from './export-file.ts'
import type { ExportExtent, LaneRange } from './export-store.ts'
import { readLaneRows, storedLines } from './lane-row.ts'
import { findBlockAt, streamBlocks, streamCheckpoints } from './log-store.ts'

type Reader = Pick<Database, 'forApp'>

/** What stands for a row or checkpoint that cannot be read: no verifier takes it for one. */
const UNREADABLE = '{"unreadable":true}\n'
const EVENTS_AT_ONCE = 500

/**
 * The rows file of an export. Hashes are those of the rows as they are; at the end of a block it is the stored head, so that what
 * somebody changed in the database does not get fitting hashes here.
 */
export async function* writeRowsFile(db: Reader, scopeId: string, extent: ExportExtent): AsyncGenerator<string> {
  const lanes: (LaneRange & { previous: Buffer; blockSeq: number })[] = []
  for (const lane of extent.lanes) lanes.push({ ...lane, ...(await hashBefore(db, scopeId, lane)) })
  yield encodeExportHeader({
    v: 1,
    scope_id: scopeId,
    whole: extent.whole,
    lanes: lanes.map(({ chain_id, from_seq, to_seq, previous }) => ({
      chain_id,
      from_seq,
      to_seq,
      previous_hash: previous.toString('hex'),
    })),
  })
  for (const lane of lanes) yield* writeLane(db, scopeId, lane)
}

/** The hash of the row before a range, and the first row of the block that the range begins in. */
async function hashBefore(
  db: Reader,
  scopeId: string,
  { chain_id: chainId, from_seq: fromSeq }: LaneRange,
): Promise<{ previous: Buffer; blockSeq: number }> {
  const genesis = { previous: genesisHash(chainId), blockSeq: 1 }
  if (fromSeq === 1) return genesis
  const block = await db.forApp(scopeId, (tx) => findBlockAt(tx, scopeId, chainId, fromSeq))
  if (block === undefined) return genesis
  const { firstSeq: blockSeq } = block
  let previous = block.previousHead ?? genesis.previous
  for await (const { rows } of streamBlocks(db, scopeId, chainId, { from: blockSeq, to: blockSeq })) {
    for (const row of readLaneRows(rows)) {
      if (row !== null && row.seq < fromSeq) previous = rowHash(previous, row.keepHash, row.detailHash)
    }
  }
  return { previous, blockSeq }
}

async function* writeLane(
  db: Reader,
  scopeId: string,
  lane: LaneRange & { previous: Buffer; blockSeq: number },
): AsyncGenerator<string> {
  let hash = lane.previous
  for await (const block of streamBlocks(db, scopeId, lane.chain_id, { from: lane.blockSeq, to: lane.to_seq })) {
    const rows = readLaneRows(block.rows)
    let text = ''
    let index = 0
    for (const line of storedLines(block.rows)) {
      const row = rows[index++]
      if (line === null || row === null || row === undefined) {
        text += UNREADABLE
        continue
      }
      if (row.seq < lane.from_seq || row.seq > lane.to_seq) continue
      hash = index === rows.length ? block.headHash : rowHash(hash, row.keepHash, row.detailHash)
      const detail = row.isPruned ? null : line.detail.toString('utf8')
      text += encodeExportRow(line.keep.toString('utf8'), detail, row.detailHash.toString('hex'), hash.toString('hex'))
    }
    if (text !== '') yield text
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
    const found = await db.forApp(scopeId, (tx) => listEvents(tx, scopeId, filter, { after, limit: EVENTS_AT_ONCE }))
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
