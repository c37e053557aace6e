import { auditEvents } from '@alter-vault/contracts'
import type { Clock } from '../kernel/clock.ts'
import { newId, randomHex } from '../kernel/ids.ts'
import { canonicalDetail, canonicalKeep, type RowDraft } from './audit-row.ts'
import { createRowWriter } from './log-hashes.ts'

/** A row that was recorded. */
export type StoredEvent = { eventId: string; occurredAt: string }

/** What makes a row searchable: a few of its members, and the place of its line in its batch. `micros` since 1970. */
export type WrittenRow = ReturnType<typeof writtenRow>

type RowAt = { eventId: string; micros: number; lineAt: number; lineBytes: number }

/** Holds nothing of the draft but these members: rows wait in memory for a moment, and what a draft holds is large. */
export function writtenRow(draft: RowDraft, { eventId, micros, lineAt, lineBytes }: RowAt) {
  const { detail } = draft
  return {
    eventId,
    micros,
    lineAt,
    lineBytes,
    // Of a stored row its own word counts.
    stream: auditEvents[draft.event]?.stream as string | undefined,
    event: draft.event,
    outcome: draft.outcome,
    decisionEffect: draft.decisionEffect,
    primaryReason: draft.primaryReason,
    keyId: draft.keyId,
    agentId: draft.agentId,
    actorId: draft.actorId,
    memberId: draft.memberId,
    appUserId: draft.appUserId,
    grantId: draft.grantId,
    approvalId: draft.approvalId,
    intentId: draft.intentId,
    providerId: draft.providerId,
    traceId: draft.traceId,
    runId: draft.runId,
    threadId: draft.threadId,
    reason: draft.reason,
    method: detail?.method ?? detail?.declaredMethod,
    url: detail?.url ?? detail?.declaredUrl,
    status: detail?.responseStatus,
    tool: detail?.context?.tool,
    initiator: detail?.initiator,
    resourceType: detail?.resourceType,
  }
}

/** Rows of one commit, ready to be stored. */
export type RowBatch = {
  batchId: string
  count: number
  digest: Buffer
  rows: Buffer
  events: StoredEvent[]
  written: WrittenRow[]
}

/** Makes batches of this process; within it times of rows never repeat or go back. */
export function createRowBatches(clock: Pick<Clock, 'now'>) {
  let lastMicros = 0
  /** Gives each draft its id, time and salt. */
  return function encode(drafts: readonly RowDraft[]): RowBatch {
    const nowMs = clock.now()
    const firstMicros = Math.max(nowMs * 1000, lastMicros + 1)
    const writer = createRowWriter(drafts.length)
    const events: StoredEvent[] = []
    const written: WrittenRow[] = []
    for (const draft of drafts) {
      lastMicros = Math.max(nowMs * 1000, lastMicros + 1)
      const eventId = draft.eventId ?? newId(nowMs)
      const place = { occurredAt: formatMicros(lastMicros), eventId, salt: randomHex(16) }
      const line = writer.write(canonicalKeep(draft, place), canonicalDetail(draft, place))
      written.push(writtenRow(draft, { eventId, micros: lastMicros, ...line }))
      events.push({ eventId, occurredAt: place.occurredAt })
    }
    return {
      batchId: batchIdAt(firstMicros),
      count: drafts.length,
      digest: writer.digest(),
      rows: writer.rows(),
      events,
      written,
    }
  }
}

/** A UUIDv7 whose random part begins with the fraction of the millisecond (RFC 9562, 6.2): ids of a process are in order. */
function batchIdAt(micros: number): string {
  const ms = Math.floor(micros / 1000)
  const id = newId(ms)
  return `${id.slice(0, 15)}${((micros - ms * 1000) * 4).toString(16).padStart(3, '0')}${id.slice(18)}`
}

export type EncodeRows = ReturnType<typeof createRowBatches>

let cachedSecond = -1
let cachedPrefix = ''

/** RFC 3339 UTC with exactly 6 fraction digits. */
export function formatMicros(micros: number): string {
  const second = Math.floor(micros / 1_000_000)
  if (second !== cachedSecond) {
    cachedSecond = second
    cachedPrefix = new Date(second * 1000).toISOString().slice(0, 20)
  }
  return `${cachedPrefix}${String(micros - second * 1_000_000).padStart(6, '0')}Z`
}
