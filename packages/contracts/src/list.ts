import Type from 'typebox'
import { Count, Nullable, Uuid } from './primitives.ts'

export const DEFAULT_PAGE_SIZE = 50
export const MAX_PAGE_SIZE = 1_000
/** The farthest row that `offset` reaches; lists that were cut there say `is_truncated`. Cursors have no such end. */
export const MAX_OFFSET = 10_000

/** Query members of every management list. */
export const pageQuery = {
  limit: Type.Optional(Type.Integer({ minimum: 1, maximum: MAX_PAGE_SIZE })),
  cursor: Type.Optional(Type.String({ minLength: 1, maxLength: 512 })),
}
/** Query members of the lists that also take an offset. An offset and a cursor exclude each other. */
export const offsetQuery = { ...pageQuery, offset: Type.Optional(Count) }

/** One page. `next_cursor` is null on the last one. */
export const ListOf = <T extends Type.TSchema>(item: T) =>
  Type.Object({
    items: Type.Array(item),
    has_more: Type.Boolean(),
    next_cursor: Nullable(Type.String()),
    /** Only when an offset was asked for: it lay beyond {@link MAX_OFFSET} and was cut. */
    is_truncated: Type.Optional(Type.Boolean()),
  })

/** An id in a path. What is no id is answered like an unknown one, 404. */
export const PathId = Uuid
/** Who made or changed an object: `member:<id>`, `key:<id>` or `system`. */
export const Author = Nullable(Type.String())
