import type { AuditFilter } from '@alter-vault/contracts'
import { parseInstant } from '../kernel/instant.ts'
import { invalidField } from '../kernel/vault-error.ts'
import { type EventFilter, FILTER_COLUMNS } from './event-store.ts'

const SPAN = /^([1-9]\d{0,6})([smhdw])$/
const SPAN_MS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** Where the members of a filter stand: in the query, or in a body. */
export type FilterPlace = 'query:' | '/'

/** The times of a query. Refusal: `validation_failed` for one that does not exist, and for `since` beside `start` or `end`. */
export function parseTimeRange(
  { since, start, end }: { [time in 'since' | 'start' | 'end']?: string | undefined },
  nowMs: number,
  place: FilterPlace = 'query:',
): Pick<EventFilter, 'start' | 'end'> {
  if (since !== undefined && (start !== undefined || end !== undefined)) {
    throw invalidField(`${place}since`, '"since" excludes "start" and "end".', 'conflict')
  }
  for (const [name, at] of Object.entries({ start, end })) {
    if (at !== undefined && parseInstant(at) === undefined) {
      throw invalidField(`${place}${name}`, `"${name}" must be a time that exists, with a zone.`)
    }
  }
  if (start !== undefined && end !== undefined && parseInstant(start)! >= parseInstant(end)!) {
    throw invalidField(`${place}end`, '"end" must be later than "start".', 'out_of_range')
  }
  return { start: since === undefined ? start : sinceOf(since, nowMs, place), end }
}

function sinceOf(since: string, nowMs: number, place: FilterPlace): string {
  const [, amount, unit] = SPAN.exec(since) ?? []
  if (amount === undefined || unit === undefined) {
    if (parseInstant(since) !== undefined) return since
    throw invalidField(`${place}since`, '"since" must be a span such as "24h" or a time with a zone.')
  }
  // Before the epoch there is nothing to find.
  return new Date(Math.max(0, nowMs - Number(amount) * SPAN_MS[unit]!)).toISOString()
}

/** What the members of a query ask of `audit_events`. Refusals as `parseTimeRange`. */
export function parseEventFilter(query: AuditFilter, nowMs: number): EventFilter {
  const { stream, status, q } = query
  return {
    ...parseTimeRange(query, nowMs),
    streams: stream && [stream],
    equal: {
      ...Object.fromEntries(FILTER_COLUMNS.map((column) => [column, query[column]])),
      decision_effect: query.policy_decision,
      primary_reason: query.reason_code,
      method: query.method?.toUpperCase(),
      host: query.host?.toLowerCase(),
    },
    status: status === undefined ? undefined : statusRange(status),
    text: q,
  }
}

function statusRange(status: string): { from: number; to: number } {
  const first = Number(status.slice(0, 1)) * 100
  return status.endsWith('xx') ? { from: first, to: first + 99 } : { from: Number(status), to: Number(status) }
}
