import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { AuditLog } from './audit-log.ts'
import { appScope, type RowDraft, type Scope } from './audit-row.ts'
import {
  eraseBodies,
  findRetentionSettings,
  pruneNextBlocks,
  type RetentionSettings,
  readScopesWithLanes,
  readUnprunedLanes,
} from './retention-store.ts'

const DAY_MS = 86_400_000
const BLOCKS_AT_ONCE = 1_000

type Deps = {
  db: Pick<Database, 'forApp' | 'unscoped'>
  audit: Pick<AuditLog, 'change'>
  clock: Pick<Clock, 'now'>
  log: Log
}

export type Applied = { detailsPruned: number; bodyBlocksErased: number }

export type ApplyRetention = ReturnType<typeof createApplyRetention>

/**
 * Forgets what an app no longer wants kept: details of runtime rows give way to their hashes inside the
 * blocks, bodies are erased. Every hash and signature stays good. What is forgotten and the row that says so are one transaction.
 */
export function createApplyRetention({ db, audit, clock, log }: Deps) {
  async function applyTo(scopeId: string, settings: RetentionSettings, isAborted: () => boolean): Promise<Applied> {
    const scope = appScope(scopeId, settings.organizationId)
    const total: Applied = { detailsPruned: 0, bodyBlocksErased: 0 }
    if (settings.runtimeDays !== null) {
      const before = daysAgo(settings.runtimeDays)
      for (const chainId of await db.forApp(scopeId, (tx) => readUnprunedLanes(tx, scopeId, before))) {
        // A damaged lane stays as it is; the others go on.
        total.detailsPruned += await pruneLane(scope, chainId, before, isAborted).catch((error: unknown) => {
          log.error({ err: error, scope_id: scopeId, chain_id: chainId }, 'a lane could not be pruned')
          return 0
        })
      }
    }
    if (settings.bodyDays !== null) {
      const before = daysAgo(settings.bodyDays)
      for (let erased = BLOCKS_AT_ONCE; erased === BLOCKS_AT_ONCE && !isAborted(); ) {
        erased = await audit.change(scope, async (tx, record) => {
          const blocks = await eraseBodies(tx, scopeId, before, BLOCKS_AT_ONCE)
          if (blocks > 0) record(retentionRow('body_blocks_erased', blocks, before))
          return blocks
        })
        total.bodyBlocksErased += erased
      }
    }
    return total
  }

  async function pruneLane(scope: Scope, chainId: string, before: Date, isAborted: () => boolean): Promise<number> {
    let pruned = 0
    for (let isDone = false; !isDone && !isAborted(); ) {
      const batch = await audit.change(scope, async (tx, record) => {
        const done = await pruneNextBlocks(tx, { scopeId: scope.scopeId, chainId }, before, BLOCKS_AT_ONCE)
        if (done.detailsPruned > 0) record(retentionRow('details_pruned', done.detailsPruned, before))
        return done
      })
      pruned += batch.detailsPruned
      isDone = batch.isDone
    }
    return pruned
  }

  const daysAgo = (days: number) => new Date(clock.now() - days * DAY_MS)

  return {
    /** Applies the settings of every app. A failing app is logged and does not hold up the others. */
    async applyRetention(signal?: AbortSignal): Promise<Applied> {
      const isAborted = () => signal?.aborted === true
      const total: Applied = { detailsPruned: 0, bodyBlocksErased: 0 }
      for (const scopeId of await db.unscoped(readScopesWithLanes)) {
        if (isAborted()) break
        try {
          const settings = await db.forApp(scopeId, (tx) => findRetentionSettings(tx, scopeId))
          if (settings === undefined) continue
          const applied = await applyTo(scopeId, settings, isAborted)
          total.detailsPruned += applied.detailsPruned
          total.bodyBlocksErased += applied.bodyBlocksErased
        } catch (error) {
          log.error({ err: error, scope_id: scopeId }, 'retention could not be applied')
        }
      }
      return total
    },
  }
}

const retentionRow = (field: string, count: number, before: Date): RowDraft => ({
  event: 'retention.applied',
  stream: 'system',
  callerKind: 'system',
  outcome: 'changed',
  detail: {
    initiator: 'system',
    resourceType: 'audit_log',
    changes: [
      { field, from: null, to: String(count) },
      { field: 'before', from: null, to: JSON.stringify(before.toISOString()) },
    ],
  },
})
