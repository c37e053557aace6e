import type { AuditSigningKeys } from '../crypto/audit-signing-key.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import { forgetNonces } from '../db/installation-store.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { createAuditLog } from './audit-log.ts'
import { createAuditReads } from './audit-reads.ts'
import { installationScope } from './audit-row.ts'
import { chargeOf } from './rate-meter.ts'
import { createAuditRoutes } from './routes.ts'

export type AuditDeps = {
  db: Database
  installationId: string
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
/** So long an append that the store has answered says that it takes more. */
const ANSWERED_RECENTLY_MS = 5_000

/** The audit log: its write side, its read side, and the work that keeps both going. */
export function createAudit({ pace, installationId, ...deps }: AuditDeps) {
  const { clock } = deps
  const log = createAuditLog(deps)
  const reads = createAuditReads({ ...deps, audit: log })
  // What fails now is done by the job.
  log.recent.onMany((scopeId) => void reads.sequenceRecent(scopeId).catch(() => undefined))
  const probed = { counterId: 'readiness', limit: 2 ** 31 - 1, windowMs: 60_000 }
  let probing: Promise<unknown> | undefined

  /** Whether appends are answered: one that needs no row is tried when none was of late. */
  async function isWriting(): Promise<boolean> {
    if (log.queuedRows() >= QUEUE_LIMIT) return false
    if (clock.monotonic() - log.answeredMs() < ANSWERED_RECENTLY_MS) return true
    probing ??= log
      .append(installationScope(installationId), { rows: [], charges: [chargeOf(probed, 1, clock.now())] })
      .finally(() => {
        probing = undefined
      })
    await probing
    return true
  }

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
    ready: [{ name: 'audit_writer', check: isWriting }],
    metrics: [{ name: 'alter_audit_queued_rows', help: 'Audit rows that wait to be written.', read: log.queuedRows }],
  }
}
