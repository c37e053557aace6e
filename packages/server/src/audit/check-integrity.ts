import type { Database } from '../db/database.ts'
import type { AuditLog } from './audit-log.ts'
import type { RowDraft, Scope } from './audit-row.ts'
import { findLastCheckpoint, readPublicKeys } from './checkpoint-store.ts'
import { type LaneBlock, readLaneRows } from './lane-row.ts'
import { readLaneExtents, streamBlocks, streamCheckpoints } from './log-store.ts'
import { type Verification, verifyLanes } from './verify-lanes.ts'

type Deps = { db: Pick<Database, 'forApp' | 'readForApp' | 'unscoped'>; audit: Pick<AuditLog, 'change'> }

/** Who asked for the check; goes into its row. */
export type CheckAuthor = Pick<RowDraft, 'callerKind' | 'memberId'> & {
  clientIp?: string | null
  userAgent?: string | null
}

export type CheckIntegrity = ReturnType<typeof createCheckIntegrity>

/**
 * Proves the log of a scope as it stands now, in bounded memory, and writes down that it did. A break is never repaired: it is
 * written down as `system.integrity_failed`, and the log goes on.
 */
export function createCheckIntegrity({ db, audit }: Deps) {
  /** Reads only. What is appended meanwhile is not looked at. */
  async function verifyScope(scopeId: string): Promise<Verification> {
    const keys = await db.unscoped(readPublicKeys)
    const { lanes, last } = await db.readForApp(scopeId, async (tx) => ({
      lanes: await readLaneExtents(tx, scopeId),
      last: await findLastCheckpoint(tx, scopeId),
    }))
    const ends = new Map(lanes.map((lane) => [lane.chainId, lane.lastBlockSeq]))
    return verifyLanes(
      {
        scopeId,
        chainIds: ends.keys(),
        blocks: async function* (chainId): AsyncGenerator<LaneBlock> {
          // Bigints below 1 are no place of a block, but somebody may have put one there.
          const range = { from: Number.MIN_SAFE_INTEGER, to: ends.get(chainId) ?? 0 }
          for await (const { firstSeq, count, headHash, rows } of streamBlocks(db, scopeId, chainId, range)) {
            yield { firstSeq, count, headHash, rows: readLaneRows(rows) }
          }
        },
        checkpoints: streamCheckpoints(db, scopeId, { from: Number.MIN_SAFE_INTEGER, to: last?.number ?? 0 }),
      },
      keys,
    )
  }

  return {
    verifyScope,
    async checkIntegrity(scope: Scope, author: CheckAuthor): Promise<Verification> {
      const result = await verifyScope(scope.scopeId)
      const { callerKind, memberId, clientIp = null, userAgent = null } = author
      const row = {
        stream: 'system',
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
