import { type RawBuilder, type SelectQueryBuilder, sql } from 'kysely'
import type { Page, PagePlace, Placed } from '../kernel/page.ts'

/** The rows of a page, newest first, one more than it holds if there is one. `by` names the columns of their time and id. */
export function newestFirst<DB, TB extends keyof DB, Row>(
  query: SelectQueryBuilder<DB, TB, Row>,
  by: { time?: string; id: string },
  { after, limit, offset }: Page,
): Promise<Placed<Row>[]> {
  const time = sql.ref(by.time ?? 'created_at')
  const id = sql.ref(by.id)
  const rest = after === undefined ? query : query.where(isAfter(sql`${time}, ${id}`, after))
  return rest
    .select([sql<string>`${time}::text`.as('place_at'), sql<string>`${id}`.as('place_id')])
    .orderBy(time, 'desc')
    .orderBy(id, 'desc')
    .limit(limit + 1)
    .offset(offset)
    .execute() as Promise<Placed<Row>[]>
}

/** Whether a row, by its time and id, comes after a place in a list whose newest rows come first. */
export const isAfter = (timeAndId: RawBuilder<unknown>, { at, id }: PagePlace) =>
  sql<boolean>`(${timeAndId}) < (${at}::timestamptz, ${id}::uuid)`
