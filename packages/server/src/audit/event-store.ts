import type { AuditEvent } from '@alter-vault/contracts'
import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { isAfter } from '../db/newest-first.ts'
import type { PagePlace, Placed } from '../kernel/page.ts'
import { type FoundEvent, wholeDetail, wholeKeep } from './audit-event.ts'
import { decodeLine } from './log-hashes.ts'

/** Where an event is ordered: newest first by time and id. */
export type EventPlace = PagePlace

/** What a list of events asks for. Absent members ask for nothing. */
export type EventFilter = {
  streams?: readonly string[] | undefined
  start?: string | undefined
  end?: string | undefined
  /** What must be equal, by column. */
  equal?: Readonly<Partial<Record<EqualColumn, string | undefined>>>
  /** `2xx` as 200 to 299. */
  status?: { from: number; to: number } | undefined
  /** Found anywhere in the reason or the URL, whatever its case. */
  text?: string | undefined
}

/** Columns that a filter names as they are. */
export const FILTER_COLUMNS = [
  'event',
  'outcome',
  'agent_id',
  'actor_id',
  'key_id',
  'app_user_id',
  'member_id',
  'grant_id',
  'provider_id',
  'approval_id',
  'trace_id',
  'run_id',
  'thread_id',
  'tool',
  'initiator',
  'resource_type',
] as const
export type EqualColumn = (typeof FILTER_COLUMNS)[number] | 'decision_effect' | 'primary_reason' | 'method' | 'host'

type EventRow = {
  scope_id: string
  app_id: string | null
  organization_id: string | null
  event_id: string
  row_no: number
  batch_id: string
  line: Buffer | null
}

function toFound(row: EventRow): FoundEvent[] {
  const stored = row.line === null ? null : decodeLine(row.line)
  // The batch is gone or was rewritten by somebody else: the integrity check says so, a list leaves the row out.
  if (stored === null) return []
  const scope = { scopeId: row.scope_id, appId: row.app_id, organizationId: row.organization_id }
  try {
    const { keep, detail, detailHash } = stored
    const parts = { keep: wholeKeep(keep), detail: detail === null ? null : wholeDetail(detail), detailHash }
    return [{ ...parts, eventId: row.event_id, scope, rowNo: row.row_no, batchId: row.batch_id }]
  } catch {
    return []
  }
}

/** An event with its line out of its batch. */
const FOUND = sql`e.scope_id, s.app_id, s.organization_id, e.event_id, e.row_no, e.batch_id, (
  select substring(b.rows from e.line_at + 1 for e.line_bytes) from audit_batches b
  where b.scope_id = e.scope_id and b.batch_id = e.batch_id) as line`

/** A time as a cursor holds it. */
const PLACE_AT = sql<string>`to_char(e.occurred_at at time zone 'utc', 'YYYY-MM-DD HH24:MI:SS.US"+00"')`
/** RFC 3339 with six fraction digits, as rows write it. */
const AT = sql<string>`to_char(e.occurred_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`

/** A page of events. `next` is where the following page begins; undefined on the last one. */
export type EventsFound = { rows: FoundEvent[]; next: EventPlace | undefined }

/** Events newest first, at most `limit`. */
export async function listEvents(
  tx: Tx,
  scopeId: string,
  filter: EventFilter,
  { after, limit }: { after: EventPlace | undefined; limit: number },
): Promise<EventsFound> {
  const conditions = conditionsOf(filter)
  if (after !== undefined) {
    conditions.push(isAfter(sql`e.occurred_at, e.event_id`, after))
  }
  const { rows } = await sql<EventRow & { at: string }>`
    select ${FOUND}, ${PLACE_AT} as at
    from (
      select * from audit_events e
      where e.scope_id = ${scopeId} ${sql.join(
        conditions.map((condition) => sql`and ${condition}`),
        sql` `,
      )}
      order by e.occurred_at desc, e.event_id desc limit ${limit + 1}
    ) e join audit_scopes s on s.scope_id = e.scope_id order by e.occurred_at desc, e.event_id desc`.execute(tx)
  const page = rows.slice(0, limit)
  const last = page.at(-1)
  const hasMore = rows.length > limit && last !== undefined
  return { rows: page.flatMap(toFound), next: hasMore ? { at: last.at, id: last.event_id } : undefined }
}

function conditionsOf({ streams, start, end, equal = {}, status, text }: EventFilter) {
  const conditions = []
  if (streams !== undefined) conditions.push(sql<boolean>`e.stream = any(${[...streams]}::text[])`)
  // Lets the planner use the index of what is not a call.
  if (streams?.includes('runtime') === false) conditions.push(sql<boolean>`e.stream <> 'runtime'`)
  if (start !== undefined) conditions.push(sql<boolean>`e.occurred_at >= ${start}::timestamptz`)
  if (end !== undefined) conditions.push(sql<boolean>`e.occurred_at < ${end}::timestamptz`)
  for (const [column, value] of Object.entries(equal)) {
    if (value !== undefined) conditions.push(sql<boolean>`${sql.ref(`e.${column}`)} = ${value}`)
  }
  if (status !== undefined) conditions.push(sql<boolean>`e.status between ${status.from} and ${status.to}`)
  if (text !== undefined) {
    const pattern = `%${text.replace(/[\\%_]/g, '\\$&')}%`
    conditions.push(sql<boolean>`(e.reason ilike ${pattern} or e.url ilike ${pattern})`)
  }
  return conditions
}

/** How many events fit a filter, counting no further than `atMost`. */
export async function countEvents(tx: Tx, scopeId: string, filter: EventFilter, atMost: number): Promise<number> {
  const { rows } = await sql<{ n: number }>`
    select count(*)::int as n from (
      select 1 from audit_events e
      where e.scope_id = ${scopeId} ${sql.join(
        conditionsOf(filter).map((condition) => sql`and ${condition}`),
        sql` `,
      )} limit ${atMost}) found`.execute(tx)
  return rows[0]?.n ?? 0
}

export async function findEvent(tx: Tx, scopeId: string, eventId: string): Promise<FoundEvent | undefined> {
  const { rows } = await sql<EventRow>`
    select ${FOUND}
    from audit_events e join audit_scopes s on s.scope_id = e.scope_id
    where e.scope_id = ${scopeId} and e.event_id = ${eventId} limit 1`.execute(tx)
  return rows.flatMap(toFound)[0]
}

/** The rows of a trace in the order they happened, at most `limit`. */
export async function readTrace(tx: Tx, scopeId: string, traceId: string, limit: number): Promise<FoundEvent[]> {
  const { rows } = await sql<EventRow>`
    select ${FOUND}
    from (
      select * from audit_events e where e.scope_id = ${scopeId} and e.trace_id = ${traceId}
      order by e.occurred_at, e.event_id limit ${limit}
    ) e join audit_scopes s on s.scope_id = e.scope_id order by e.occurred_at, e.event_id`.execute(tx)
  return rows.flatMap(toFound)
}

/** A trace as a list shows it. The place is that of its first row, which later rows do not move. */
export type TraceRow = {
  trace_id: string
  started_at: string
  last_at: string
  event_count: number
  provider_ids: string[]
  agent_ids: string[]
  outcomes: AuditEvent['outcome'][]
}

/** Traces by their first row, newest first, one more than `limit` if there is one. */
export async function listTraces(
  tx: Tx,
  scopeId: string,
  filter: Pick<EventFilter, 'start' | 'end' | 'equal'>,
  { after, limit }: { after: EventPlace | undefined; limit: number },
): Promise<Placed<TraceRow>[]> {
  const conditions = conditionsOf(filter)
  if (after !== undefined) {
    conditions.push(isAfter(sql`e.occurred_at, e.event_id`, after))
  }
  const { rows } = await sql<Placed<TraceRow>>`
    select e.trace_id, ${AT} as started_at, ${PLACE_AT} as place_at, e.event_id as place_id, t.*
    from (
      select * from audit_events e
      where e.scope_id = ${scopeId} and e.trace_id is not null ${sql.join(
        conditions.map((condition) => sql`and ${condition}`),
        sql` `,
      )}
        and not exists (
          select from audit_events o where o.scope_id = e.scope_id and o.trace_id = e.trace_id
            and (o.occurred_at, o.event_id) < (e.occurred_at, e.event_id))
      order by e.occurred_at desc, e.event_id desc limit ${limit + 1}
    ) e cross join lateral (
      select to_char(max(o.occurred_at) at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as last_at,
        count(*)::int as event_count,
        coalesce(array_agg(distinct o.provider_id) filter (where o.provider_id is not null), '{}') as provider_ids,
        coalesce(array_agg(distinct o.agent_id::text) filter (where o.agent_id is not null), '{}') as agent_ids,
        array_agg(distinct o.outcome) as outcomes
      from audit_events o where o.scope_id = e.scope_id and o.trace_id = e.trace_id
    ) t
    order by e.occurred_at desc, e.event_id desc`.execute(tx)
  return rows
}

/** The sealed bodies of a batch; undefined when none were kept or they were erased. */
export async function findBodies(tx: Tx, scopeId: string, batchId: string): Promise<Buffer | undefined> {
  const row = await tx
    .selectFrom('audit_batches')
    .select('bodies')
    .where('scope_id', '=', scopeId)
    .where('batch_id', '=', batchId)
    .executeTakeFirst()
  return row?.bodies ?? undefined
}
