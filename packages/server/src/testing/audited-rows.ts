import { wholeDetail, wholeKeep } from '../audit/audit-event.ts'
import { decodeRows } from '../audit/log-hashes.ts'
import type { TestDatabase } from './test-database.ts'

/** What the log says of one event, keep and detail together. */
export type AuditedRow = { keep: Record<string, unknown>; detail: Record<string, unknown> }

/** Every audit row of a scope, in the order of their commits: ids of two processes are in none. */
export async function auditedRows(asOwner: TestDatabase['asOwner'], scopeId: string): Promise<AuditedRow[]> {
  const batches = await asOwner<{ rows: Buffer; app_id: string | null; organization_id: string | null }>(
    `select b.rows, s.app_id, s.organization_id from audit_batches b join audit_scopes s on s.scope_id = b.scope_id
     where b.scope_id = $1 order by b.committed_at, b.batch_id`,
    [scopeId],
  )
  return batches.flatMap(({ rows, ...scope }) =>
    decodeRows(rows).map((row) => ({
      keep: { ...wholeKeep(row!.keep), ...scope },
      detail: row!.detail === null ? {} : wholeDetail(row!.detail),
    })),
  )
}
