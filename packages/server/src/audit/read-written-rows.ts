import { isUuid } from '../kernel/ids.ts'
import type { RowDraft } from './audit-row.ts'
import { decodeLine } from './log-hashes.ts'
import { type WrittenRow, writtenRow } from './row-batch.ts'

const LINE_FEED = 0x0a
const IDS = ['keyId', 'agentId', 'actorId', 'memberId', 'appUserId', 'grantId', 'approvalId', 'intentId'] as const
const TEXTS = [
  'event',
  'outcome',
  'decisionEffect',
  'primaryReason',
  'providerId',
  'traceId',
  'runId',
  'threadId',
  'reason',
] as const
const DETAIL_TEXTS = ['method', 'declaredMethod', 'url', 'declaredUrl', 'initiator', 'resourceType'] as const

/**
 * The rows of a stored batch as their writer knew them. One that cannot be read is undefined: a log that somebody has damaged stays
 * searchable, and the integrity check names the place.
 */
export function readWrittenRows(rows: Buffer): (WrittenRow | undefined)[] {
  const read: (WrittenRow | undefined)[] = []
  for (let lineAt = 0; lineAt < rows.length; ) {
    const at = rows.indexOf(LINE_FEED, lineAt)
    const end = at < 0 ? rows.length : at
    read.push(readRow(rows.subarray(lineAt, end), lineAt))
    lineAt = end + 1
  }
  return read
}

function readRow(line: Buffer, lineAt: number): WrittenRow | undefined {
  try {
    const stored = decodeLine(line)!
    const { event_id: eventId, occurred_at: occurredAt, stream, ...keep } = JSON.parse(stored.keep)
    const detail = stored.detail === null ? {} : inCamelCase(JSON.parse(stored.detail))
    const draft = { ...inCamelCase(keep), detail } as RowDraft
    const { context, responseStatus } = draft.detail!
    const isWhole =
      isUuid(eventId) &&
      typeof stream === 'string' &&
      IDS.every((name) => draft[name] === undefined || isUuid(draft[name]!)) &&
      TEXTS.every((name) => isTextOrNone(draft[name])) &&
      DETAIL_TEXTS.every((name) => isTextOrNone(draft.detail![name])) &&
      isTextOrNone(context?.tool) &&
      (responseStatus === undefined || Number.isInteger(responseStatus))
    const micros = microsOf(occurredAt)
    return isWhole ? { ...writtenRow(draft, { eventId, micros, lineAt, lineBytes: line.length }), stream } : undefined
  } catch {
    return undefined
  }
}

const isTextOrNone = (value: unknown): boolean => value === undefined || typeof value === 'string'

const inCamelCase = (members: object): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(members).map(([name, value]) => [
      name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()),
      value,
    ]),
  )

/** Of `2026-01-01T00:00:00.000001Z`. */
function microsOf(time: string): number {
  const ms = Date.parse(`${time.slice(0, 19)}Z`)
  const micros = ms * 1000 + Number(time.slice(20, 26))
  if (!Number.isSafeInteger(micros)) throw new RangeError(time)
  return micros
}
