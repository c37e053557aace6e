import type { AuditSigningKeys } from '../crypto/audit-signing-key.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import { forgetNonces } from '../db/installation-store.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { createAuditLog } from './audit-log.ts'
import { createAuditReads } from './audit-reads.ts'
import { createAuditRoutes } from './routes.ts'

export type AuditDeps = {
  db: Database
  keyring: Pick<Keyring, 'sealFor' | 'openFor'>
  signingKeys: AuditSigningKeys
  clock: Clock
  log: Log
  pace: Pace
}

/** How often intents without an outcome are looked at. */
export type Pace = { sweepEveryMs: number }

export const PACE: Pace = { sweepEveryMs: 60_000 }

const QUEUE_LIMIT = 10_000

/** The audit log: its write side, its read side, and the work that keeps both going. */
export function createAudit({ pace, ...deps }: AuditDeps) {
  const log = createAuditLog(deps)
  const reads = createAuditReads({ ...deps, audit: log })
  // What fails now is done by the job.
  log.recent.onMany((scopeId) => void reads.sequenceRecent(scopeId).catch(() => undefined))
  // Closed from the end: writing before signing, so that the last rows are signed too.
  const open = new AsyncDisposableStack()
  return {
    ...log,
    async start(): Promise<void> {
      open.defer(reads.close)
      open.defer(log.close)
      await reads.listSigningKeys()
    },
    close: () => open.disposeAsync(),
    routes: createAuditRoutes(reads),
    jobs: [
      { name: 'audit sequence', everyMs: 1_000, run: (signal: AbortSignal) => reads.sequenceDue({ signal }) },
      { name: 'kept outcomes', everyMs: 1_000, run: log.retryOutcomes },
      { name: 'unknown outcomes', everyMs: pace.sweepEveryMs, run: reads.sweepOutcomes },
      { name: 'lapsed nonces', everyMs: 300_000, run: () => deps.db.unscoped(forgetNonces) },
    ],
    forgetInApp: reads.applyRetention,
    ready: [{ name: 'audit_writer', check: async () => log.queuedRows() < QUEUE_LIMIT }],
    metrics: [{ name: 'alter_audit_queued_rows', help: 'Audit rows that wait to be written.', read: log.queuedRows }],
  }
}
