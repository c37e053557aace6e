import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'

/** What an app wants kept for how long; null for ever. Defaults: details 365 days, bodies 30. */
export type RetentionSettings = { organizationId: string; runtimeDays: number | null; bodyDays: number | null }

export type PruneLane = { scopeId: string; chainId: string }

/** Scopes that have lanes with details to prune one day, or that may have bodies. */
export async function readScopesWithLanes(tx: Tx): Promise<string[]> {
  const rows = await tx.selectFrom('audit_lanes').select('app_id').distinct().orderBy('app_id').execute()
  return rows.map((row) => row.app_id)
}

/** Undefined: the scope is no app, and nothing of it is pruned. */
export async function findRetentionSettings(tx: Tx, appId: string): Promise<RetentionSettings | undefined> {
  const app = await tx
    .selectFrom('apps')
    .select(['organization_id', 'settings'])
    .where('app_id', '=', appId)
    .executeTakeFirst()
  if (app === undefined) return undefined
  const { retain_runtime_days, retain_body_days } = app.settings as Record<string, unknown>
  return {
    organizationId: app.organization_id,
    runtimeDays: daysOf(retain_runtime_days, 365),
    bodyDays: daysOf(retain_body_days, 30),
  }
}

const daysOf = (value: unknown, otherwise: number): number | null =>
  value === null ? null : typeof value === 'number' ? value : otherwise

/** Lanes of a scope that were open before a time and are not pruned to their end. */
export async function readUnprunedLanes(tx: Tx, scopeId: string, before: Date): Promise<string[]> {
  const rows = await tx
    .selectFrom('audit_lanes')
    .select('chain_id')
    .where('app_id', '=', scopeId)
    .where('pruned_to_end', '=', false)
    .where('opened_at', '<', before)
    .orderBy('opened_at')
    .execute()
  return rows.map((row) => row.chain_id)
}

/** Replaces runtime details of the next blocks of a lane by their hashes. `isDone`: nothing is left that is old enough. */
export async function pruneNextBlocks(
  tx: Tx,
  { scopeId, chainId }: PruneLane,
  before: Date,
  maxBlocks: number,
): Promise<{ detailsPruned: number; isDone: boolean }> {
  const { rows } = await sql<{ details_pruned: number; blocks_seen: number }>`
    select * from prune_audit_lane(${scopeId}, ${chainId}, ${before}, ${maxBlocks})`.execute(tx)
  const { details_pruned, blocks_seen } = rows[0] ?? { details_pruned: 0, blocks_seen: 0 }
  return { detailsPruned: details_pruned, isDone: blocks_seen < maxBlocks }
}

/** Erases the bodies of the oldest blocks. Returns of how many blocks. */
export async function eraseBodies(tx: Tx, scopeId: string, before: Date, maxBlocks: number): Promise<number> {
  const { numAffectedRows } = await sql`
    delete from audit_bodies where app_id = ${scopeId} and (chain_id, first_seq) in (
      select chain_id, first_seq from audit_bodies
      where app_id = ${scopeId} and stored_at < ${before} order by stored_at limit ${maxBlocks})`.execute(tx)
  return Number(numAffectedRows ?? 0)
}
