import type { AuditSigningKeys } from '../crypto/audit-signing-key.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { createAuditLog } from './audit-log.ts'
import { createAuditReads } from './audit-reads.ts'
import { createProcessRegistry } from './process-store.ts'
import { createAuditRoutes } from './routes.ts'

export type AuditDeps = {
  db: Database
  keyring: Pick<Keyring, 'openFor'>
  signingKeys: AuditSigningKeys
  clock: Clock
  log: Log
  processId: string
  pace: Pace
}

/**
 * How often a process says that it lives and looks for those that do not, after which silence one is taken for dead, and how often
 * intents without outcome are looked at.
 */
export type Pace = { heartbeatMs: number; fenceEveryMs: number; deadAfterSeconds: number; sweepEveryMs: number }

export const PACE: Pace = { heartbeatMs: 10_000, fenceEveryMs: 15_000, deadAfterSeconds: 60, sweepEveryMs: 60_000 }

const QUEUE_LIMIT = 10_000

/** The audit log: its write side, its read side, and the work that keeps both going. */
export function createAudit({ pace, ...deps }: AuditDeps) {
  const registry = createProcessRegistry({ ...deps, deadAfterSeconds: pace.deadAfterSeconds })
  const log = createAuditLog(deps)
  const reads = createAuditReads({ ...deps, audit: log })
  // Closed from the end: the lanes before the checkpoints, so that their ends are signed too.
  const open = new AsyncDisposableStack()
  return {
    ...log,
    async start(): Promise<void> {
      await registry.register()
      open.defer(registry.end)
      open.defer(reads.close)
      open.defer(log.close)
      await reads.listSigningKeys()
    },
    close: () => open.disposeAsync(),
    routes: createAuditRoutes(reads),
    jobs: [
      { name: 'heartbeat', everyMs: pace.heartbeatMs, run: registry.beat },
      { name: 'fence dead processes', everyMs: pace.fenceEveryMs, run: registry.fenceDeadProcesses },
      { name: 'close idle lanes', everyMs: 60_000, run: () => log.closeIdleLanes() },
      { name: 'audit checkpoints', everyMs: 1_000, run: () => reads.issueDueCheckpoints() },
      { name: 'audit projection', everyMs: 1_000, run: reads.project },
      { name: 'audit outcomes', everyMs: pace.sweepEveryMs, run: reads.sweepOutcomes },
      { name: 'audit retention', everyMs: 3_600_000, run: reads.applyRetention },
    ],
    ready: [{ name: 'audit_writer', check: async () => (await log.queuedRows()) < QUEUE_LIMIT }],
    metrics: [{ name: 'alter_audit_queued_rows', help: 'Audit rows that wait to be written.', read: log.queuedRows }],
  }
}
