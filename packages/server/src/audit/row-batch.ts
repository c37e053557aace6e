import type { Clock } from '../kernel/clock.ts'
import { newId, randomHex } from '../kernel/ids.ts'
import { canonicalDetail, canonicalKeep, type RowDraft, type Scope } from './audit-row.ts'
import { DETAIL_PREFIX, genesisHash, KEEP_PREFIX, LINE_FEED, prefixed, rowHash, TAB } from './chain.ts'

/** Where a row went. */
export type StoredEvent = { eventId: string; chainId: string; seq: number; occurredAt: string }

/** The end of a lane as its only writer knows it. */
export type LaneHead = { nextSeq: number; hash: Buffer; lastMicros: number }

export const newLaneHead = (chainId: string): LaneHead => ({ nextSeq: 1, hash: genesisHash(chainId), lastMicros: 0 })

export type PlacedRows = { rows: Buffer; head: LaneHead; events: StoredEvent[] }

/** Gives each draft its place, time and salt and chains it to the head. Pure but for ids; the head moves only when stored. */
export function placeRows(
  drafts: readonly RowDraft[],
  scope: Scope,
  chainId: string,
  head: LaneHead,
  clock: Clock,
): PlacedRows {
  const events: StoredEvent[] = []
  const lines: Buffer[] = []
  let { nextSeq, hash, lastMicros } = head
  const nowMs = clock.now()
  for (const draft of drafts) {
    lastMicros = Math.max(nowMs * 1000, lastMicros + 1)
    const place = {
      scope,
      chainId,
      seq: nextSeq,
      occurredAt: formatMicros(lastMicros),
      eventId: draft.eventId ?? newId(nowMs),
      salt: randomHex(16),
    }
    const keep = prefixed(KEEP_PREFIX, canonicalKeep(draft, place))
    const detail = prefixed(DETAIL_PREFIX, canonicalDetail(draft, place))
    hash = rowHash(hash, keep.hash, detail.hash)
    lines.push(keep.bytes, TAB, detail.bytes, LINE_FEED)
    events.push({ eventId: place.eventId, chainId, seq: nextSeq, occurredAt: place.occurredAt })
    nextSeq += 1
  }
  return { rows: Buffer.concat(lines), head: { nextSeq, hash, lastMicros }, events }
}

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
