import type { Client } from 'pg'
import { decodeRows, genesisHash, keepHash, rowHash } from '../../packages/server/src/audit/chain.ts'

/** A row of the audit log as it is stored, with the transaction that stored it. */
export type LoggedRow = {
  chainId: string
  seq: number
  /** 64-bit id of the transaction, as text. */
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

type BlockRow = {
  chain_id: string
  first_seq: string
  count: number
  head_hash: Buffer
  rows: Buffer
  transaction_id: string
}

/**
 * Every row of an app's log, read from the blocks themselves past every index. Throws when a lane has a gap, goes on past its closing
 * block, or holds a row that its hash does not prove.
 */
export async function readAuditLog(owner: Client, appId: string): Promise<LoggedRow[]> {
  // Test clusters never come near 2^32 transactions, so the row's 32-bit xmin is the whole id.
  const { rows: blocks } = await owner.query<BlockRow>(
    `select chain_id, first_seq, count, head_hash, rows, xmin::text as transaction_id
     from audit_blocks where app_id = $1 order by chain_id, first_seq`,
    [appId],
  )
  const lanes = new Map<string, { next: number; hash: Buffer; closed: boolean }>()
  const rows: LoggedRow[] = []
  for (const block of blocks) {
    const chainId = block.chain_id
    const lane = lanes.get(chainId) ?? { next: 1, hash: genesisHash(chainId), closed: false }
    lanes.set(chainId, lane)
    const place = `lane ${chainId} at ${block.first_seq}`
    if (lane.closed) throw new Error(`${place} goes on past its end`)
    if (Number(block.first_seq) !== lane.next) throw new Error(`${place} has a gap: expected ${lane.next}`)
    const stored = decodeRows(block.rows)
    if (stored.length !== block.count) throw new Error(`${place} says ${block.count} rows and holds ${stored.length}`)
    for (const { keep, detail, detailHash } of stored) {
      const said = JSON.parse(keep) as Record<string, string | null> & { seq: number }
      if (said.seq !== lane.next) throw new Error(`${place} holds the row ${said.seq} where ${lane.next} belongs`)
      lane.hash = rowHash(lane.hash, keepHash(keep), detailHash)
      lane.next += 1
      rows.push({
        chainId,
        seq: said.seq,
        transactionId: block.transaction_id,
        event: said.event ?? '',
        eventId: said.event_id ?? '',
        outcome: said.outcome ?? '',
        grantId: said.grant_id ?? null,
        keyId: said.key_id ?? null,
        agentId: said.agent_id ?? null,
        approvalId: said.approval_id ?? null,
        intentId: said.intent_id ?? null,
        primaryReason: said.primary_reason ?? null,
        reason: said.reason ?? null,
        detail: detail === null ? {} : (JSON.parse(detail) as Record<string, unknown>),
      })
    }
    if (!block.head_hash.equals(lane.hash)) throw new Error(`${place} does not have the hash of its rows`)
    lane.closed = block.count === 0
  }
  return rows
}

/** Rows about one URL, and those that answer to them, in the order of their lanes. */
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
