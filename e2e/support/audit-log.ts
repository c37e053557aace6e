import type { Client } from 'pg'
import { wholeDetail, wholeKeep } from '../../packages/server/src/audit/audit-event.ts'
import { batchDigest, decodeRows, rowDigest } from '../../packages/server/src/audit/log-hashes.ts'

/** A row of the audit log as it is stored, with the transaction that stored its batch. */
export type LoggedRow = {
  batchId: string
  /** 64-bit id of the transaction, as text; empty where the column `written_by` was not added to audit_batches. */
  transactionId: string
  event: string
  eventId: string
  outcome: string
  grantId: string | null
  keyId: string | null
  agentId: string | null
  approvalId: string | null
  intentId: string | null
  primaryReason: string | null
  reason: string | null
  detail: Record<string, unknown>
}

type BatchRow = { batch_id: string; count: number; digest: Buffer; rows: Buffer; written_by: string | null }

/**
 * Every row of an app's log, read from the batches themselves past every index, in the order in which they were written. Throws when a
 * batch holds other rows than its digest proves, or a row is there twice.
 */
export async function readAuditLog(owner: Client, appId: string): Promise<LoggedRow[]> {
  const { rows: batches } = await owner.query<BatchRow>(
    `select batch_id, count, digest, rows, to_jsonb(b) - 'rows' ->> 'written_by' as written_by
     from audit_batches b where scope_id = $1 order by batch_id`,
    [appId],
  )
  const rows: LoggedRow[] = []
  const eventIds = new Set<string>()
  for (const { batch_id: batchId, count, digest, rows: bytes, written_by } of batches) {
    const stored = decodeRows(bytes).map((row) => row!)
    if (stored.length !== count) throw new Error(`batch ${batchId} says ${count} rows and holds ${stored.length}`)
    const proven = batchDigest(stored.map(({ keep, detailHash }) => rowDigest(keep, detailHash)))
    if (!proven.equals(digest)) throw new Error(`batch ${batchId} does not have the digest of its rows`)
    for (const { keep, detail } of stored) {
      const said = wholeKeep(keep)
      if (eventIds.has(said.event_id)) throw new Error(`batch ${batchId} holds ${said.event_id} once more`)
      eventIds.add(said.event_id)
      rows.push({
        batchId,
        transactionId: written_by ?? '',
        event: said.event,
        eventId: said.event_id,
        outcome: said.outcome,
        grantId: said.grant_id,
        keyId: said.key_id,
        agentId: said.agent_id,
        approvalId: said.approval_id,
        intentId: said.intent_id,
        primaryReason: said.primary_reason,
        reason: said.reason,
        detail: detail === null ? {} : wholeDetail(detail),
      })
    }
  }
  return rows
}

/** Rows about one URL, and those that answer to them, in the order in which they were written. */
export function rowsAbout(rows: readonly LoggedRow[], url: string): LoggedRow[] {
  const named = rows.filter((row) => row.detail.url === url || row.detail.declared_url === url)
  const intents = new Set(named.map(({ eventId }) => eventId))
  const approvals = new Set(named.flatMap(({ approvalId }) => approvalId ?? []))
  return rows.filter(
    (row) =>
      named.includes(row) ||
      (row.intentId !== null && intents.has(row.intentId)) ||
      (row.approvalId !== null && approvals.has(row.approvalId)),
  )
}
