import type { Database } from '../db/database.ts'
import type { AuditLog } from './audit-log.ts'
import type { RowDraft, Scope } from './audit-row.ts'
import { findLastCheckpoint, readPublicKeys } from './checkpoint-store.ts'
import { decodeRows } from './log-hashes.ts'
import { findScope, streamBatches, streamCheckpoints } from './log-store.ts'
import type { Sequencer } from './sequence-batches.ts'
import { type LogBatch, type Verification, verifyLog } from './verify-log.ts'

type Deps = {
  db: Pick<Database, 'forScope' | 'readForApp' | 'unscoped'>
  audit: Pick<AuditLog, 'change'>
  sequencer: Pick<Sequencer, 'catchUp'>
}

/** Who asked for the check; goes into its row. */
export type CheckAuthor = Pick<RowDraft, 'callerKind' | 'memberId'> & {
  clientIp?: string | null
  userAgent?: string | null
}

/**
 * Proves the log of a scope as it stands now, in bounded memory, and writes down that it did. A break is never repaired: it is
 * written down as `system.integrity_failed`, and the log goes on.
 */
export function createCheckIntegrity({ db, audit, sequencer }: Deps) {
  /** What is appended meanwhile is not looked at. */
  async function verifyScope(scope: Scope): Promise<Verification> {
    const { scopeId } = scope
    await sequencer.catchUp(scopeId)
    const keys = await db.unscoped(readPublicKeys)
    const { sequence, last } = await db.readForApp(scopeId, async (tx) => ({
      sequence: (await findScope(tx, scopeId))?.sequence ?? 0,
      last: await findLastCheckpoint(tx, scopeId),
    }))
    // Numbers below 1 are no places, but somebody may have put a batch there.
    const from = Number.MIN_SAFE_INTEGER
    return verifyLog(
      {
        scope,
        batches: storedBatches(scopeId, { from, to: sequence }),
        lastSequence: sequence,
        checkpoints: streamCheckpoints(db, scopeId, { from, to: last?.number ?? 0 }),
      },
      keys,
    )
  }

  async function* storedBatches(scopeId: string, range: { from: number; to: number }): AsyncGenerator<LogBatch> {
    for await (const batch of streamBatches(db, scopeId, range)) yield { ...batch, rows: decodeRows(batch.rows) }
  }

  return {
    verifyScope,
    async checkIntegrity(scope: Scope, author: CheckAuthor): Promise<Verification> {
      const result = await verifyScope(scope)
      const { callerKind, memberId, clientIp = null, userAgent = null } = author
      const row = {
        callerKind: callerKind ?? null,
        memberId: memberId ?? null,
        resourceKind: null,
      } as const
      const { status, rows_checked, details_pruned, checkpoints_checked, unsigned_tail_rows, first_error } = result
      const found = { status, rows_checked, details_pruned, checkpoints_checked, unsigned_tail_rows, first_error }
      const changes = Object.entries(found).map(([field, value]) => ({ field, from: null, to: JSON.stringify(value) }))
      const detail = { clientIp, userAgent, resourceType: 'audit_log', resourceId: scope.scopeId, changes }
      await audit.change(scope, async (_tx, record) => {
        record({ ...row, event: 'integrity.checked', outcome: 'success', detail })
        if (first_error !== null) {
          record({
            ...row,
            event: 'system.integrity_failed',
            outcome: 'changed',
            primaryReason: first_error.kind,
            detail: { ...detail, errorCode: first_error.kind },
          })
        }
      })
      return result
    },
  }
}
