import type { Keyring } from '../crypto/keyring.ts'
import type { Database, Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { appendBatch, checkConditions, enterChange, insertBatch, insertScope, isGivenUp } from './append-store.ts'
import type { RowDraft, Scope } from './audit-row.ts'
import { type AppendMember, type AppendResult, type BatchWriter, createBatchWriter } from './batch-writer.ts'
import { bodiesPlace, encodeBodies, type KeptBody } from './body-frames.ts'
import { createRecentRows } from './recent-rows.ts'
import { createRowBatches, type RowBatch } from './row-batch.ts'

/** Why a conditional change was not made; the same refusals as an append gives. Nothing was written. */
export class ConditionRefused extends Error {
  readonly result: Extract<AppendResult, { kind: 'stale' | 'nonce_replayed' | 'budget_spent' }>
  constructor(result: ConditionRefused['result']) {
    super(`change refused: ${result.kind}`)
    this.name = 'ConditionRefused'
    this.result = result
  }
}

export type ChangeConditions = Pick<AppendMember, 'fences' | 'nonce' | 'charges'>
/** Notes an event, and bodies that were captured with it, in the change's own transaction; returns its id. */
export type RecordEvent = (draft: RowDraft, bodies?: readonly KeptBody[]) => string

export type AuditLogDeps = {
  db: Database
  clock: Clock
  log: Log
  /** Seals captured bodies. Without it none can be recorded. */
  keyring?: Pick<Keyring, 'sealFor'>
  /** Rows that may wait in one scope before calls are refused. */
  maxQueuedRows?: number
  /** Database sessions for appends, over all scopes. */
  sessions?: number
  /** Batches of one scope that may be under way at a time. */
  maxInFlight?: number
  /** How long a commit whose outcome is unknown is tried again before its callers are refused, milliseconds. */
  retryWithinMs?: number
}

export type AuditLog = ReturnType<typeof createAuditLog>

const CHANGE_TRIES = 5
/** Scopes whose writer is kept while it has nothing to do. */
const MAX_IDLE_WRITERS = 1_000
/** A generic plan from the start: the real lengths of the arrays make no better one, and planning costs more than running. */
/** An append without an answer for so long may have been stored: its session is ended, and the batch sent again on another. */
const APPEND_TIMEOUT_MS = 4_000
const SESSION_SETTINGS = ['plan_cache_mode=force_generic_plan', 'lock_timeout=2s']

/**
 * The write side of the audit log. `append` is the group commit of credential uses; `change` records what a management
 * transaction did in that same transaction. Refusals: `audit_unavailable` when rows cannot be made durable.
 */
export function createAuditLog(deps: AuditLogDeps) {
  const { db, clock, log, keyring, maxQueuedRows = 10_000, maxInFlight = 1, retryWithinMs = 6_000 } = deps
  const pool = db.openPool(deps.sessions ?? 4, SESSION_SETTINGS, APPEND_TIMEOUT_MS)
  const encode = createRowBatches(clock)
  const recent = createRecentRows()
  const writers = new Map<string, BatchWriter>()
  const knownScopes = new Map<string, Promise<void>>()
  let closed = false
  let newestMs = 0
  let answeredMs = Number.NEGATIVE_INFINITY
  // A database that was put back in time may lack scopes that it had; its sessions are new ones.
  pool.on('connect', () => knownScopes.clear())

  function knowScope(scope: Scope): Promise<void> {
    let known = knownScopes.get(scope.scopeId)
    if (known === undefined) {
      known = db.unscoped((tx) => insertScope(tx, scope))
      knownScopes.set(scope.scopeId, known)
      known.catch(() => knownScopes.delete(scope.scopeId))
    }
    return known
  }

  async function seal(scopeId: string, batchId: string, bodies: readonly KeptBody[]): Promise<Buffer> {
    if (keyring === undefined) throw new Error('this log was made without a keyring')
    const plaintext = encodeBodies(bodies)
    try {
      return await keyring.sealFor(scopeId, bodiesPlace(batchId), plaintext)
    } finally {
      plaintext.fill(0)
    }
  }

  function writerOf(scopeId: string): BatchWriter {
    let writer = writers.get(scopeId)
    if (writer !== undefined) return writer
    if (writers.size >= MAX_IDLE_WRITERS) {
      for (const [id, { isIdle }] of writers) if (isIdle()) writers.delete(id)
    }
    writer = createBatchWriter({
      scopeId,
      clock,
      log,
      encode,
      seal: (batchId, bodies) => seal(scopeId, batchId, bodies),
      async send(input) {
        const answer = await appendBatch(pool, input)
        if (answer.kind !== 'unknown' && answer.kind !== 'refused' && answer.kind !== 'try_again') {
          answeredMs = clock.monotonic()
        }
        return answer
      },
      onStored: (batch) => recent.note(scopeId, batch),
      maxInFlight,
      retryWithinMs,
    })
    writers.set(scopeId, writer)
    return writer
  }

  /**
   * Makes rows durable under conditions, in the next batch of the scope. Nothing may be opened or sent before the answer is
   * `stored`; sending must then begin while its `window` is open.
   */
  async function append(scope: Scope, member: AppendMember): Promise<AppendResult> {
    if (closed) throw unavailable(new Error('the server is stopping'))
    newestMs = Math.max(newestMs, clock.now())
    await knowScope(scope).catch((error: unknown) => {
      throw unavailable(error)
    })
    const writer = writerOf(scope.scopeId)
    if (writer.queued >= maxQueuedRows) throw unavailable(new Error('audit queue is full'))
    return new Promise((resolve, reject) => writer.append({ member, resolve, reject }))
  }

  /**
   * One transaction of a change and its rows. `fn` may run again after a deadlock or a lost connection, so it must do nothing
   * outside `tx`. With conditions the transaction holds the app's lock shared from its first statement: `fn` must then bump no
   * fence. Throws `ConditionRefused` when a condition fails.
   */
  async function change<T>(
    scope: Scope,
    fn: (tx: Tx, record: RecordEvent) => Promise<T>,
    conditions?: ChangeConditions,
  ): Promise<T> {
    await knowScope(scope)
    for (let attempt = 1; ; attempt++) {
      const drafts: RowDraft[] = []
      const bodies: KeptBody[] = []
      const record: RecordEvent = (draft, captured = []) => {
        const eventId = draft.eventId ?? newId(clock.now())
        drafts.push({ ...draft, eventId })
        bodies.push(...captured)
        return eventId
      }
      let written: { batch: RowBatch; value: T } | undefined
      try {
        const value = await inScope(scope, async (tx) => {
          if (conditions) await assertConditions(tx, scope, conditions)
          const made = await fn(tx, record)
          if (drafts.length > 0) {
            const batch = encode(drafts)
            const sealed = bodies.length === 0 ? null : await seal(scope.scopeId, batch.batchId, bodies)
            await insertBatch(tx, scope.scopeId, { ...batch, bodies: sealed })
            written = { batch, value: made }
          }
          return made
        })
        if (written) recent.note(scope.scopeId, written.batch)
        return value
      } catch (error) {
        const isUnknown = error instanceof VaultError && error.log.commit_unknown === true
        if (isUnknown && written) {
          const { batch, value } = written
          if (await wasStored(scope.scopeId, batch, error)) {
            recent.note(scope.scopeId, batch)
            return value
          }
        } else if (isUnknown || !isGivenUp(error)) throw error
        if (attempt >= CHANGE_TRIES) throw error
      }
    }
  }

  /** Whether a commit happened that may have: storing the same batch again waits for the old session. Nothing stays of that. */
  async function wasStored(scopeId: string, batch: RowBatch, cause: unknown): Promise<boolean> {
    const endMs = clock.monotonic() + retryWithinMs
    for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 1_000)) {
      try {
        let stored = true
        await db.forScope(scopeId, async (tx) => {
          stored = !(await insertBatch(tx, scopeId, { ...batch, bodies: null }))
          if (!stored) throw new NotStored()
        })
        return stored
      } catch (error) {
        if (error instanceof NotStored) return false
        if (closed || clock.monotonic() >= endMs) {
          throw new VaultError('service_unavailable', { retryAfterSeconds: 2, cause, log: { commit: 'unknown' } })
        }
        await new Promise((resolve) => setTimeout(resolve, pauseMs))
      }
    }
  }

  function inScope<T>(scope: Scope, fn: (tx: Tx) => Promise<T>): Promise<T> {
    const run = scope.appId === null ? db.forScope : db.forApp
    return run(scope.scopeId, async (tx) => {
      await enterChange(tx, scope)
      return fn(tx)
    })
  }

  async function retryOutcomes(): Promise<void> {
    await Promise.all([...writers.values()].map((writer) => writer.retry()))
  }

  return {
    append,
    change,
    /** The batches of this process that have no place in the log yet. */
    recent,
    /** Tries again to store outcomes that could not be stored; for a job, every second. */
    retryOutcomes,
    /** Writes what waits and refuses everything after. */
    async close(): Promise<void> {
      if (closed) return
      for (const writer of writers.values()) await writer.drain()
      await retryOutcomes()
      closed = true
      await pool.end()
    },
    /** When the store last answered an append, by the monotonic clock. */
    answeredMs: (): number => answeredMs,
    /** How far the wall clock stands behind the newest row that was handed over, in milliseconds; 0 when it does not. */
    clockBehindMs: (): number => Math.max(0, newestMs - clock.now()),
    /** Members that wait, over all scopes: for metrics and readiness. */
    queuedRows: (): number => [...writers.values()].reduce((sum, writer) => sum + writer.queued, 0),
  }
}

class NotStored extends Error {}

const unavailable = (cause: unknown): VaultError => new VaultError('audit_unavailable', { retryAfterSeconds: 1, cause })

async function assertConditions(tx: Tx, { scopeId }: Scope, conditions: ChangeConditions): Promise<void> {
  const { fences = [], nonce, charges = [] } = conditions
  const refusal = await checkConditions(tx, { scopeId, fences, nonces: nonce ? [nonce] : [], charges })
  switch (refusal?.kind) {
    case 'stale':
      throw new ConditionRefused(refusal)
    case 'nonces_seen':
      throw new ConditionRefused({ kind: 'nonce_replayed' })
    case 'budgets_spent':
      throw new ConditionRefused({ kind: 'budget_spent', counterIds: refusal.refused.map((c) => c.counterId) })
  }
}
