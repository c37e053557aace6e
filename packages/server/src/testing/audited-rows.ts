import { decodeRows } from '../audit/chain.ts'
import type { TestDatabase } from './test-database.ts'

/** What the log says of one event, keep and detail together. */
export type AuditedRow = { keep: Record<string, unknown>; detail: Record<string, unknown> }

/** Every audit row of a scope, in the order of its lanes. */
export async function auditedRows(asOwner: TestDatabase['asOwner'], scopeId: string): Promise<AuditedRow[]> {
  const blocks = await asOwner<{ rows: Buffer }>(
    'select rows from audit_blocks where app_id = $1 order by committed_at, chain_id, first_seq',
    [scopeId],
  )
  return blocks.flatMap((block) =>
    decodeRows(block.rows).map((row) => ({ keep: JSON.parse(row.keep), detail: JSON.parse(row.detail ?? '{}') })),
  )
}
