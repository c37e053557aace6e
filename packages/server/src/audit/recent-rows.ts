import type { RowBatch, WrittenRow } from './row-batch.ts'

/** Rows kept over all scopes; what is more is made searchable from the stored batches. */
const MAX_ROWS = 20_000
/** With so many rows a scope is sequenced at once: what is kept longer is copied by the garbage collector again and again. */
const MANY_ROWS = 1024

export type RecentRows = ReturnType<typeof createRecentRows>

/**
 * The batches of this process that have no place in the log yet. Nothing depends on it: a batch that is not here is read from the
 * database.
 */
export function createRecentRows(maxRows = MAX_ROWS) {
  const scopes = new Map<string, { batches: Map<string, readonly WrittenRow[]>; rows: number }>()
  let rows = 0
  let onMany: ((scopeId: string) => void) | undefined

  return {
    /** Called when many rows of a scope wait. */
    onMany(listener: (scopeId: string) => void): void {
      onMany = listener
    },
    /** Takes note of a batch that is durable. */
    note(scopeId: string, { batchId, count, written }: RowBatch): void {
      if (rows + count > maxRows) return
      const scope = scopes.get(scopeId) ?? { batches: new Map<string, readonly WrittenRow[]>(), rows: 0 }
      scopes.set(scopeId, scope)
      scope.batches.set(batchId, written)
      const before = scope.rows
      scope.rows += count
      rows += count
      if (before < MANY_ROWS && scope.rows >= MANY_ROWS) onMany?.(scopeId)
    },
    scopeIds: (): string[] => [...scopes.keys()],
    batchIds: (scopeId: string): string[] => [...(scopes.get(scopeId)?.batches.keys() ?? [])],
    find: (scopeId: string, batchId: string): readonly WrittenRow[] | undefined =>
      scopes.get(scopeId)?.batches.get(batchId),
    forget(scopeId: string, batchIds: Iterable<string>): void {
      const scope = scopes.get(scopeId)
      if (scope === undefined) return
      for (const batchId of batchIds) {
        const count = scope.batches.get(batchId)?.length ?? 0
        scope.batches.delete(batchId)
        scope.rows -= count
        rows -= count
      }
      if (scope.batches.size === 0) scopes.delete(scopeId)
    },
  }
}
