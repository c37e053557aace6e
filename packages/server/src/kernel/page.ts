import { DEFAULT_PAGE_SIZE, MAX_OFFSET } from '@alter-vault/contracts'
import { isUuid } from './ids.ts'
import { invalidField, VaultError } from './vault-error.ts'

/** Where a page ended: a row's time as PostgreSQL writes it, to the microsecond, and its id. */
export type PagePlace = { at: string; id: string }

/** A row and where it is in its list. */
export type Placed<Row> = Row & { place_at: string; place_id: string }

/** Which rows a list asks for, newest first. */
export type Page = {
  limit: number
  /** Rows after this one only. */
  after: PagePlace | undefined
  offset: number
  /** Set when an offset was asked for: whether it was cut. */
  isTruncated: boolean | undefined
}

export type ListPage<T> = { items: T[]; has_more: boolean; next_cursor: string | null; is_truncated?: boolean }

const TIMESTAMP = /^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(\.\d{1,6})?\+00$/

/** Reads the query of a list. Refusals: `invalid_cursor`; `validation_failed` when an offset meets a cursor. */
export function parsePage(query: {
  limit?: number | undefined
  cursor?: string | undefined
  offset?: number | undefined
}): Page {
  const limit = query.limit ?? DEFAULT_PAGE_SIZE
  const after = query.cursor === undefined ? undefined : decodeCursor(query.cursor)
  if (query.offset === undefined) return { limit, after, offset: 0, isTruncated: undefined }
  if (after !== undefined) throw invalidField('query:offset', '"offset" and "cursor" exclude each other.', 'conflict')
  return { limit, after, offset: Math.min(query.offset, MAX_OFFSET), isTruncated: query.offset > MAX_OFFSET }
}

/** Makes a page of rows of which one more than `limit` was read, if there was one. */
export function toPage<Row, T>(
  rows: readonly Placed<Row>[],
  page: Pick<Page, 'limit' | 'isTruncated'>,
  toItem: (row: Row) => T,
): ListPage<T> {
  const shown = rows.slice(0, page.limit)
  const last = shown.at(-1)
  const hasMore = rows.length > page.limit && last !== undefined
  return {
    items: shown.map(({ place_at: _at, place_id: _id, ...row }) => toItem(row as Row)),
    has_more: hasMore,
    next_cursor: hasMore ? encodeCursor({ at: last.place_at, id: last.place_id }) : null,
    ...(page.isTruncated === undefined ? {} : { is_truncated: page.isTruncated }),
  }
}

/** An opaque text for the place; whoever changes it gets `invalid_cursor` or another page, never other people's rows. */
export function encodeCursor({ at, id }: PagePlace): string {
  return Buffer.from(JSON.stringify([at, id])).toString('base64url')
}

export function decodeCursor(cursor: string): PagePlace {
  try {
    const place: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    if (Array.isArray(place) && place.length === 2) {
      const [at, id] = place
      if (typeof at === 'string' && TIMESTAMP.test(at) && typeof id === 'string' && isUuid(id)) return { at, id }
    }
  } catch {
    // Not JSON: refused below like every other cursor that was not ours.
  }
  throw new VaultError('invalid_cursor', { message: '"cursor" is not one that a list gave. Start without it.' })
}
