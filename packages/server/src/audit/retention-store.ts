import { appSettings } from '@alter-vault/contracts'
import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'

/** What an app wants kept for how long; null for ever. */
export type RetentionSettings = { organizationId: string; runtimeDays: number | null; bodyDays: number }

/** Undefined: the scope is no app, and nothing of it is pruned. */
export async function findRetentionSettings(tx: Tx, appId: string): Promise<RetentionSettings | undefined> {
  const app = await tx
    .selectFrom('apps')
    .select(['organization_id', 'settings'])
    .where('app_id', '=', appId)
    .executeTakeFirst()
  if (app === undefined) return undefined
  const { retain_runtime_days: runtimeDays, retain_body_days: bodyDays } = appSettings(app.settings)
  return { organizationId: app.organization_id, runtimeDays, bodyDays }
}

/** Replaces runtime details of the next batches of a scope by their hashes. `isDone`: nothing is left that is old enough. */
export async function pruneNextBatches(
  tx: Tx,
  scopeId: string,
  before: Date,
  maxBatches: number,
): Promise<{ detailsPruned: number; isDone: boolean }> {
  const { rows } = await sql<{ details_pruned: number; batches_seen: number }>`
    select * from prune_batches(${scopeId}, ${before}, ${maxBatches})`.execute(tx)
  const { details_pruned, batches_seen } = rows[0] ?? { details_pruned: 0, batches_seen: 0 }
  return { detailsPruned: details_pruned, isDone: batches_seen < maxBatches }
}

/** Erases the bodies of the oldest batches. Returns of how many batches. */
export async function eraseBodies(tx: Tx, scopeId: string, before: Date, maxBatches: number): Promise<number> {
  const { numAffectedRows } = await sql`
    update audit_batches set bodies = null where scope_id = ${scopeId} and batch_id in (
      select batch_id from audit_batches
      where scope_id = ${scopeId} and bodies is not null and sequence is not null and committed_at < ${before}
      order by committed_at limit ${maxBatches})`.execute(tx)
  return Number(numAffectedRows ?? 0)
}

/** Forgets intents that were settled apart: no outcome comes a month after its intent. */
export async function forgetLapsed(tx: Tx, scopeId: string): Promise<void> {
  await sql`delete from audit_settled where scope_id = ${scopeId} and settled_at < now() - interval '30 days'`.execute(
    tx,
  )
}
