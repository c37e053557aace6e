import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { AuditLog } from './audit-log.ts'
import { appScope, type RowDraft } from './audit-row.ts'
import { dropExpiredExports } from './export-store.ts'
import {
  eraseBodies,
  findRetentionSettings,
  forgetLapsed,
  pruneNextBatches,
  type RetentionSettings,
} from './retention-store.ts'

const DAY_MS = 86_400_000
const BATCHES_AT_ONCE = 500

type Deps = {
  db: Pick<Database, 'forApp'>
  audit: Pick<AuditLog, 'change'>
  clock: Pick<Clock, 'now'>
}

export type Applied = { detailsPruned: number; bodyBatchesErased: number }

/**
 * Forgets what an app no longer wants kept: details of runtime rows give way to their hashes inside the
 * batches, bodies are erased. Every hash and signature stays good. What is forgotten and the row that says so are one transaction.
 */
export function createApplyAuditRetention({ db, audit, clock }: Deps) {
  async function applyTo(scopeId: string, settings: RetentionSettings, isAborted: () => boolean): Promise<Applied> {
    const scope = appScope(scopeId, settings.organizationId)
    const total: Applied = { detailsPruned: 0, bodyBatchesErased: 0 }
    if (settings.runtimeDays !== null) {
      const before = daysAgo(settings.runtimeDays)
      for (let isDone = false; !isDone && !isAborted(); ) {
        const batch = await audit.change(scope, async (tx, record) => {
          const done = await pruneNextBatches(tx, scopeId, before, BATCHES_AT_ONCE)
          if (done.detailsPruned > 0) record(retentionRow('details_pruned', done.detailsPruned, before))
          return done
        })
        total.detailsPruned += batch.detailsPruned
        isDone = batch.isDone
      }
    }
    const before = daysAgo(settings.bodyDays)
    for (let erased = BATCHES_AT_ONCE; erased === BATCHES_AT_ONCE && !isAborted(); ) {
      erased = await audit.change(scope, async (tx, record) => {
        const batches = await eraseBodies(tx, scopeId, before, BATCHES_AT_ONCE)
        if (batches > 0) record(retentionRow('body_batches_erased', batches, before))
        return batches
      })
      total.bodyBatchesErased += erased
    }
    return total
  }

  const daysAgo = (days: number) => new Date(clock.now() - days * DAY_MS)

  /** Ends between two steps when the signal is aborted. */
  return async function applyRetention(appId: string, signal?: AbortSignal): Promise<Applied> {
    const settings = await db.forApp(appId, async (tx) => {
      await forgetLapsed(tx, appId)
      await dropExpiredExports(tx, appId, new Date(clock.now()))
      return findRetentionSettings(tx, appId)
    })
    if (settings === undefined) return { detailsPruned: 0, bodyBatchesErased: 0 }
    return applyTo(appId, settings, () => signal?.aborted === true)
  }
}

const retentionRow = (field: string, count: number, before: Date): RowDraft => ({
  event: 'retention.applied',
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
