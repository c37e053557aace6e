import { type Database, isLockTimeout } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { AuditLog } from './audit-log.ts'
import type { Scope } from './audit-row.ts'
import { nextHead } from './log-hashes.ts'
import { streamBatches } from './log-store.ts'
import { readWrittenRows } from './read-written-rows.ts'
import {
  forgetEvents,
  lockScope,
  type PlacedBatch,
  projectBatches,
  readDueScopes,
  readFirstUnsequenced,
  readRows,
  readUnsequenced,
  type ScopeState,
  sequenceBatches,
} from './sequence-store.ts'
import type { SignCheckpoint } from './sign-checkpoint.ts'

/*
 * A batch is written without a place. A moment later whoever holds the scope gives it one:
 *
 *   unsequenced batches, oldest first ──▶ sequence, first row, head ──▶ rows in audit_events, one transaction
 *                                                                  └──▶ with 1,000 new rows or after 60 s a signed checkpoint
 *
 * Each second every process does so for its own batches, whose rows it has in memory; those of others it reads from the database
 * once they are three seconds old, because their writer may be gone. A query does it at once for all.
 */

type Deps = {
  db: Pick<Database, 'forScope' | 'unscoped'>
  audit: Pick<AuditLog, 'change' | 'recent'>
  checkpoints: Pick<SignCheckpoint, 'sign'>
  clock: Clock
  log: Log
  /** How long a query waits until what was durable when it came is searchable, milliseconds. */
  catchUpMs?: number
}

/** How much of a scope's log is searchable. */
export type CaughtUp = { complete: true; projected_to: null } | { complete: false; projected_to: string | null }

export type Sequencer = ReturnType<typeof createSequencer>

const BATCHES_AT_ONCE = 500
const ROWS_AT_ONCE = 4_000
const CHECKPOINT_ROWS = 1_000
const MAX_REMEMBERED = 100_000

type Wanted = {
  /** Null: not while somebody else holds the scope. */
  waitMs: number | null
  /** Also batches that others have just written. */
  ofOthers: boolean
  /** A checkpoint over the last batch, if it has none. */
  sign: boolean
}
type Done = { rows: number; isComplete: boolean }

/** Puts batches in order, makes their rows searchable and signs where that leads. */
export function createSequencer({ db, audit, checkpoints, clock, log, catchUpMs = 2_000 }: Deps) {
  const { recent } = audit
  /** The last sequence that this process knows of each scope. */
  const remembered = new Map<string, number>()

  /** One step in one scope. Undefined: somebody else is at it, or the scope has no log. */
  async function step(scopeId: string, { waitMs, ofOthers, sign }: Wanted): Promise<Done | undefined> {
    const inMemory = recent.batchIds(scopeId)
    const own = inMemory.slice(0, BATCHES_AT_ONCE)
    const made = await db.forScope(scopeId, async (tx) => {
      const before = await lockScope(tx, scopeId, waitMs)
      if (before === undefined) return undefined
      const found = await readUnsequenced(tx, scopeId, ofOthers ? 'all' : own, BATCHES_AT_ONCE)
      const state: ScopeState = { ...before }
      const stored = await readRows(
        tx,
        scopeId,
        found.map(({ batchId }) => batchId).filter((batchId) => !recent.find(scopeId, batchId)),
      )
      const batches: PlacedBatch[] = []
      let isComplete = found.length < BATCHES_AT_ONCE && own.length === inMemory.length
      for (const { batchId, count, digest } of found) {
        const text = stored.get(batchId)
        const rows = text === undefined ? recent.find(scopeId, batchId) : readWrittenRows(text).slice(0, count)
        if (rows === undefined) continue
        if (batches.length > 0 && state.lastRow - before.lastRow + count > ROWS_AT_ONCE) {
          isComplete = false
          break
        }
        const place = { sequence: state.sequence + 1, firstRow: state.lastRow + 1, count }
        state.head = nextHead(state.head, place, digest)
        state.sequence = place.sequence
        state.lastRow += count
        batches.push({ batchId, firstRow: place.firstRow, head: state.head, rows })
      }
      if (batches.length > 0) await sequenceBatches(tx, scopeId, before.sequence, batches, state.lastRow)
      const unsigned = state.lastRow - state.signedRow
      if (unsigned > 0 && (sign || state.isSignatureDue || unsigned >= CHECKPOINT_ROWS))
        await checkpoints.sign(tx, state)
      return { before, state, batches, isComplete, found }
    })
    if (made === undefined) return undefined
    const { before, state, batches, isComplete, found } = made
    if (found.length < BATCHES_AT_ONCE) {
      // What was looked for and not found has been given its place by somebody else.
      const left = new Set(found.map(({ batchId }) => batchId))
      recent.forget(
        scopeId,
        own.filter((batchId) => !left.has(batchId)),
      )
    }
    recent.forget(
      scopeId,
      batches.map(({ batchId }) => batchId),
    )
    const expected = remembered.get(scopeId) ?? 0
    if (remembered.size >= MAX_REMEMBERED) remembered.clear()
    remembered.set(scopeId, state.sequence)
    if (before.sequence < expected) await recordLoss(before, expected)
    return { rows: state.lastRow - before.lastRow, isComplete }
  }

  async function recordLoss({ scopeId, appId, organizationId, sequence }: ScopeState, expected: number): Promise<void> {
    log.error({ scope_id: scopeId, expected, found: sequence }, 'the audit log ends before a place that it had reached')
    const scope: Scope = { scopeId, appId, organizationId }
    await audit.change(scope, async (_tx, record) =>
      record({
        event: 'audit.history_lost',
        callerKind: 'system',
        outcome: 'changed',
        detail: {
          initiator: 'system',
          resourceType: 'audit_log',
          resourceId: scopeId,
          changes: [{ field: 'sequence', from: String(expected), to: String(sequence) }],
        },
      }),
    )
  }

  /** Steps while there is more. Returns how many rows were given their numbers. */
  async function sequence(scopeId: string, wanted: Wanted, isAborted = () => false): Promise<number> {
    let rows = 0
    while (!isAborted()) {
      const done = await step(scopeId, wanted)
      if (done === undefined) break
      rows += done.rows
      if (done.isComplete) break
    }
    return rows
  }

  const whole = { waitMs: null, ofOthers: true, sign: true }
  const due = { waitMs: null, ofOthers: false, sign: false }
  // Another process holds the scope for a moment only; what is left lying here would be read by others from what is stored.
  const recentRows = { ...due, waitMs: catchUpMs }
  let running: Promise<number> | undefined

  async function sequenceDueScopes(all: boolean, isAborted: () => boolean): Promise<number> {
    const own = new Map(recent.scopeIds().map((scopeId) => [scopeId, recent.batchIds(scopeId)]))
    let rows = 0
    for (const scopeId of await db.unscoped((tx) => readDueScopes(tx, all))) {
      own.delete(scopeId)
      if (isAborted()) return rows
      rows += await sequence(scopeId, all ? whole : due, isAborted).catch((error: unknown) => {
        if (isUnavailable(error)) throw error
        log.error({ err: error, scope_id: scopeId }, 'the batches of a scope could not be sequenced')
        return 0
      })
    }
    // Where nothing waits, others have seen to what is in memory here.
    for (const [scopeId, batchIds] of own) recent.forget(scopeId, batchIds)
    return rows
  }

  return {
    /** What is due in every scope. `all`: everything, signed, also what is not due yet. Returns how many rows got their numbers. */
    async sequenceDue({
      all = false,
      signal,
    }: {
      all?: boolean
      signal?: AbortSignal | undefined
    } = {}): Promise<number> {
      await running?.catch(() => undefined)
      running = sequenceDueScopes(all, () => signal?.aborted === true).finally(() => {
        running = undefined
      })
      return running
    },

    /** What this process has just written in one scope. */
    async sequenceRecent(scopeId: string): Promise<void> {
      await sequence(scopeId, recentRows)
    },

    /** Everything in one scope, with a checkpoint at its end. */
    async sequenceAndSign(scopeId: string): Promise<void> {
      await sequence(scopeId, { waitMs: catchUpMs, ofOthers: true, sign: true })
    },

    /** Makes everything searchable that is durable now, for at most two seconds. */
    async catchUp(scopeId: string): Promise<CaughtUp> {
      const endMs = clock.monotonic() + catchUpMs
      for (;;) {
        const waitMs = endMs - clock.monotonic()
        if (waitMs <= 0) break
        const done = await step(scopeId, { waitMs, ofOthers: true, sign: false }).catch((error: unknown) => {
          if (error instanceof VaultError && isLockTimeout(error.cause)) return { rows: 0, isComplete: false }
          throw error
        })
        if (done === undefined || done.isComplete) return { complete: true, projected_to: null }
      }
      const first = await db.forScope(scopeId, (tx) => readFirstUnsequenced(tx, scopeId))
      return first === undefined ? { complete: true, projected_to: null } : { complete: false, projected_to: first }
    },

    /** Makes the searchable rows of a scope anew from what is stored. */
    async projectAgain(scopeId: string): Promise<void> {
      await db.forScope(scopeId, async (tx) => {
        const state = await lockScope(tx, scopeId, catchUpMs)
        await forgetEvents(tx, scopeId)
        for await (const batch of streamBatches(db, scopeId, { from: 1, to: state?.sequence ?? 0 })) {
          await projectBatches(tx, scopeId, [{ ...batch, rows: readWrittenRows(batch.rows).slice(0, batch.count) }])
        }
      })
    },
  }
}

const isUnavailable = (error: unknown): boolean => error instanceof VaultError && !isLockTimeout(error.cause)
