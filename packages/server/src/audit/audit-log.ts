import type pg from 'pg'
import type { Database, Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { closeLaneAt, readRefusal } from './append-store.ts'
import type { RowDraft, Scope } from './audit-row.ts'
import { encodeBodies, type SealedBody } from './body-frames.ts'
import { beginChange, findStaleSubjects, storeChangeBlock } from './change-store.ts'
import { type AppendMember, type AppendResult, createLane, type Lane } from './lane.ts'
import { createLaneClients } from './lane-clients.ts'
import { type LaneHead, newLaneHead, placeRows } from './row-batch.ts'

/** Why a conditional change was not made; the same refusals as an append gives. Nothing was written. */
export class ConditionRefused extends Error {
  readonly result: Exclude<AppendResult, { kind: 'stored' }>
  constructor(result: Exclude<AppendResult, { kind: 'stored' }>) {
    super(`change refused: ${result.kind}`)
    this.name = 'ConditionRefused'
    this.result = result
  }
}

export type ChangeConditions = Pick<AppendMember, 'fences' | 'nonce' | 'charges'>
/** Notes an event, and bodies that were captured with it, in the change's own transaction; returns its id. */
export type RecordEvent = (draft: RowDraft, bodies?: readonly SealedBody[]) => string

export type AuditLogDeps = {
  db: Database
  clock: Clock
  log: Log
  processId: string
  /** Rows that may wait for a lane before calls are refused (control-plane.md 7.1). */
  maxQueuedRows?: number
  laneSessions?: number
  /** How long calls wait for a commit whose outcome is unknown to be settled, milliseconds. */
  settleWithinMs?: number
}

export type AuditLog = ReturnType<typeof createAuditLog>

const IDLE_LANE_MS = 600_000
const CHANGE_TRIES = 5

/** A lane whose batches are transactions of their own: one writer at a time, by a lock in this process. */
type ChangeLane = { chainId: string; head: LaneHead; usedAtMs: number }

/**
 * The write side of the audit log. `append` is the group commit of credential uses; `change` records what a management
 * transaction did in that same transaction. Refusals: `audit_unavailable` when rows cannot be made durable.
 */
export function createAuditLog(deps: AuditLogDeps) {
  const { db, clock, log, processId } = deps
  const maxQueuedRows = deps.maxQueuedRows ?? 10_000
  const settleWithinMs = deps.settleWithinMs ?? 10_000
  const clients = createLaneClients(() => db.connectClient(), deps.laneSessions ?? 4)
  const callLanes = new Map<string, Promise<Lane>>()
  const changeLanes = new Map<string, Serial<ChangeLane>>()
  const unsettled = new Set<Promise<unknown>>()
  let closed = false
  let newestMs = 0

  async function openLane(scope: Scope, purpose: 'calls' | 'changes'): Promise<string> {
    const chainId = newId(clock.now())
    await clients.withClient(async (client) => {
      await client.query('insert into audit_lanes (app_id, chain_id, process_id, purpose) values ($1, $2, $3, $4)', [
        scope.scopeId,
        chainId,
        processId,
        purpose,
      ])
    })
    return chainId
  }

  function callLane(scope: Scope): Promise<Lane> {
    const present = callLanes.get(scope.scopeId)
    if (present) return present
    const opening = openLane(scope, 'calls').then((chainId) =>
      createLane({
        scope,
        chainId,
        clock,
        log,
        withClient: (use) =>
          clients.withClient(use, (answer) => (answer as { kind?: string } | undefined)?.kind !== 'unknown'),
        settleUnknown: (firstSeq, head, expectedHead) => settle(scope, chainId, firstSeq, head, expectedHead),
        onDead: ({ orphans }) => {
          if (callLanes.get(scope.scopeId) === opening) callLanes.delete(scope.scopeId)
          if (orphans.length === 0) return
          callLane(scope).then(
            (next) => {
              for (const orphan of orphans) next.append(orphan)
            },
            (error: unknown) => {
              for (const orphan of orphans) orphan.reject(unavailable(error))
            },
          )
        },
      }),
    )
    callLanes.set(scope.scopeId, opening)
    opening.catch(() => {
      if (callLanes.get(scope.scopeId) === opening) callLanes.delete(scope.scopeId)
    })
    return opening
  }

  /** Closes a lane where its commit became unknown. Goes on in the background when callers stop waiting for it. */
  function settle(scope: Scope, chainId: string, firstSeq: number, head: LaneHead, expectedHead: Buffer | null) {
    const settling = (async () => {
      for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 2_000)) {
        try {
          return await clients.withClient((client) =>
            closeLaneAt(client, { scopeId: scope.scopeId, chainId, firstSeq, previousHead: head.hash, expectedHead }),
          )
        } catch (error) {
          if (closed) throw error
          await new Promise((resolve) => setTimeout(resolve, pauseMs))
        }
      }
    })()
    unsettled.add(settling)
    settling.then(
      () => unsettled.delete(settling),
      () => unsettled.delete(settling),
    )
    let timer: NodeJS.Timeout | undefined
    const tooLong = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('commit outcome not settled in time')), settleWithinMs)
    })
    return Promise.race([settling, tooLong]).finally(() => clearTimeout(timer))
  }

  /**
   * Makes rows durable under conditions, in the next batch of the scope's lane. Nothing may be opened or sent before the
   * answer is `stored`; sending must then begin while its `window` is open.
   */
  async function append(scope: Scope, member: AppendMember): Promise<AppendResult> {
    if (closed) throw unavailable(new Error('the server is stopping'))
    newestMs = Math.max(newestMs, clock.now())
    const lane = await callLane(scope).catch((error: unknown) => {
      throw unavailable(error)
    })
    if (lane.queued >= maxQueuedRows) throw unavailable(new Error('audit queue is full'))
    return new Promise((resolve, reject) => {
      const waiting = { member, resolve, reject }
      if (!lane.dead) return lane.append(waiting)
      callLane(scope).then(
        (next) => next.append(waiting),
        (error: unknown) => reject(unavailable(error)),
      )
    })
  }

  /**
   * One transaction of a change and its rows. `fn` may run again after a deadlock, so it must do nothing outside `tx`.
   * With conditions the transaction holds the app's lock shared from its first statement: `fn` must then bump no fence.
   * Throws `ConditionRefused` when a condition fails.
   */
  async function change<T>(
    scope: Scope,
    fn: (tx: Tx, record: RecordEvent) => Promise<T>,
    conditions?: ChangeConditions,
  ): Promise<T> {
    // A conditional change waits for its lane while it holds the shared lock; sharing a lane with changes that take the lock
    // exclusively at commit would let each wait for the other.
    const lane = changeLane(scope, conditions ? 'conditional' : 'plain')
    for (let attempt = 1; ; attempt++) {
      const drafts: RowDraft[] = []
      const bodies: SealedBody[] = []
      const record: RecordEvent = (draft, captured = []) => {
        const eventId = draft.eventId ?? newId(clock.now())
        drafts.push({ ...draft, eventId })
        bodies.push(...captured)
        return eventId
      }
      let release: (() => void) | undefined
      let written: { lane: ChangeLane; next: LaneHead; value: T } | undefined
      try {
        const value = await inScope(scope, async (tx) => {
          if (conditions) await checkConditions(tx, scope, conditions)
          const made = await fn(tx, record)
          if (drafts.length > 0) {
            release = await lane.lock()
            const current = await lane.get()
            const placed = placeRows(drafts, scope, current.chainId, current.head, clock)
            await storeChangeBlock(tx, scope.scopeId, {
              chainId: current.chainId,
              firstSeq: current.head.nextSeq,
              count: drafts.length,
              head: placed.head.hash,
              rows: placed.rows,
              bodies: bodies.length > 0 ? encodeBodies(bodies) : null,
            })
            written = { lane: current, next: placed.head, value: made }
          }
          return made
        })
        if (written) {
          written.lane.head = written.next
          written.lane.usedAtMs = clock.monotonic()
        }
        return value
      } catch (error) {
        const kind = conditionKind(error)
        if (written && kind === 'unknown') {
          const { lane: used, next } = written
          lane.clear()
          const verdict = await settle(scope, used.chainId, used.head.nextSeq, used.head, next.hash).catch(() => {
            throw new VaultError('service_unavailable', {
              retryAfterSeconds: 2,
              cause: error,
              log: { commit: 'unknown' },
            })
          })
          if (verdict === 'happened') return written.value
          if (attempt < CHANGE_TRIES) continue
        }
        if (kind === 'lane_closed') lane.clear()
        if ((kind === 'lane_closed' || kind === 'try_again') && attempt < CHANGE_TRIES) continue
        throw error
      } finally {
        release?.()
      }
    }
  }

  function changeLane(scope: Scope, kind: 'plain' | 'conditional'): Serial<ChangeLane> {
    const name = `${kind}:${scope.scopeId}`
    const present = changeLanes.get(name)
    if (present) return present
    const lane = createSerial(async () => {
      const chainId = await openLane(scope, 'changes')
      return { chainId, head: newLaneHead(chainId), usedAtMs: clock.monotonic() }
    })
    changeLanes.set(name, lane)
    return lane
  }

  function inScope<T>(scope: Scope, fn: (tx: Tx) => Promise<T>): Promise<T> {
    return db.forApp(scope.scopeId, async (tx) => {
      await beginChange(tx, scope.organizationId)
      return fn(tx)
    })
  }

  async function closeChain(scopeId: string, chainId: string, head: LaneHead): Promise<void> {
    await clients.withClient((client) =>
      closeLaneAt(client, { scopeId, chainId, firstSeq: head.nextSeq, previousHead: head.hash, expectedHead: null }),
    )
  }

  /** Closes lanes that wrote nothing for 10 minutes. */
  async function closeIdleLanes(olderThanMs = IDLE_LANE_MS): Promise<void> {
    for (const [scopeId, opening] of callLanes) {
      const lane = await opening.catch(() => undefined)
      if (!lane || lane.dead || lane.idleMs() < olderThanMs) continue
      callLanes.delete(scopeId)
      await lane.drain()
      if (!lane.dead) await closeChain(scopeId, lane.chainId, lane.head)
    }
    for (const [name, serial] of changeLanes) {
      const release = await serial.lock()
      try {
        const lane = serial.peek()
        if (lane === undefined || clock.monotonic() - lane.usedAtMs < olderThanMs) continue
        serial.clear()
        await closeChain(scopeOfChangeLane(name), lane.chainId, lane.head)
      } finally {
        release()
      }
    }
  }

  /** Writes what waits, closes this process's lanes, and refuses everything after. */
  async function close(): Promise<void> {
    for (const opening of callLanes.values()) await opening.then((lane) => lane.drain()).catch(() => undefined)
    closed = true
    for (const [scopeId, opening] of callLanes) {
      const lane = await opening.catch(() => undefined)
      if (lane && !lane.dead) await closeChain(scopeId, lane.chainId, lane.head).catch(() => undefined)
    }
    for (const [name, serial] of changeLanes) {
      const release = await serial.lock()
      const lane = serial.peek()
      if (lane) await closeChain(scopeOfChangeLane(name), lane.chainId, lane.head).catch(() => undefined)
      serial.clear()
      release()
    }
    await Promise.allSettled(unsettled)
    await clients.close()
  }

  return {
    append,
    change,
    closeIdleLanes,
    close,
    /** How far the wall clock stands behind the newest row that was handed over, in milliseconds; 0 when it does not. */
    clockBehindMs: (): number => Math.max(0, newestMs - clock.now()),
    /** Rows that wait, over all lanes: for metrics and readiness. */
    async queuedRows(): Promise<number> {
      const lanes = await Promise.all([...callLanes.values()].map((opening) => opening.catch(() => undefined)))
      return lanes.reduce((sum, lane) => sum + (lane?.queued ?? 0), 0)
    },
  }

  async function checkConditions(tx: Tx, scope: Scope, conditions: ChangeConditions): Promise<void> {
    const input = {
      scopeId: scope.scopeId,
      block: null,
      fences: conditions.fences ?? [],
      nonces: conditions.nonce ? [conditions.nonce] : [],
      charges: conditions.charges ?? [],
      claims: [],
    }
    try {
      const subjects = await findStaleSubjects(tx, input)
      if (subjects.length > 0) throw new ConditionRefused({ kind: 'stale', subjects })
    } catch (error) {
      if (error instanceof ConditionRefused) throw error
      const refusal = readRefusal(error, input)
      if (refusal.kind === 'nonces_seen') throw new ConditionRefused({ kind: 'nonce_replayed' })
      if (refusal.kind === 'budgets_spent') {
        throw new ConditionRefused({ kind: 'budget_spent', counterIds: refusal.refused.map((c) => c.counterId) })
      }
      throw error
    }
  }
}

/** Change lanes are kept by kind and scope: `plain:<scope id>`. */
const scopeOfChangeLane = (name: string): string => name.slice(name.indexOf(':') + 1)

const unavailable = (cause: unknown): VaultError => new VaultError('audit_unavailable', { retryAfterSeconds: 1, cause })

const NO_INPUT = { scopeId: '', block: null, fences: [], nonces: [], charges: [], claims: [] }

/** Reads through the database face's translation to what PostgreSQL said. */
function conditionKind(error: unknown): string {
  if (error instanceof ConditionRefused) return 'condition'
  if (error instanceof VaultError) {
    if (error.log.commit_unknown === true) return 'unknown'
    return error.cause === undefined || error.code !== 'service_unavailable'
      ? 'refusal'
      : readRefusal(error.cause, NO_INPUT).kind
  }
  return (error as pg.DatabaseError).code === undefined ? 'refusal' : readRefusal(error, NO_INPUT).kind
}

type Serial<T> = ReturnType<typeof createSerial<T>>

/** A value that is made when first needed, and a lock that lets one holder at a time use it. */
function createSerial<T>(make: () => Promise<T>) {
  let tail: Promise<void> = Promise.resolve()
  let value: T | undefined
  return {
    async lock(): Promise<() => void> {
      const before = tail
      let release!: () => void
      tail = new Promise((resolve) => {
        release = resolve
      })
      await before
      return release
    },
    async get(): Promise<T> {
      value ??= await make()
      return value
    },
    peek: () => value,
    clear(): void {
      value = undefined
    },
  }
}
