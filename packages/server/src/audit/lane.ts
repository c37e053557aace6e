import type pg from 'pg'
import { openSendWindow, type SendWindow } from '../egress/send-window.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AppendAnswer, type AppendInput, appendBlock, type Charge, type SendClaim } from './append-store.ts'
import type { RowDraft, Scope } from './audit-row.ts'
import { encodeBodies, type SealedBody } from './body-frames.ts'
import { type LaneHead, newLaneHead, placeRows, type StoredEvent } from './row-batch.ts'

/*
 * One lane: the only writer of one chain of rows, writing by group commit.
 *
 *              append()                 one batch at a time            all durable
 *   [member] ───────────▶ queue ───────────────────────────▶ database ─────────────▶ answered `stored`
 *                           ▲                                   │
 *                           │   a member's condition failed:    │  commit unknown, or another process closed the lane:
 *                           └── it leaves with its refusal, ◀───┴─ the lane is dead; what is surely not written goes to the next
 *                               the rest goes again with           lane, its conditions with it; what stays unknown is refused
 *                               new seq and hashes
 *
 * A batch is what arrived while the previous one was written; a lone member waits for nobody. The head moves on success only.
 */

/** What one use wants recorded, and under which conditions. All of it is stored, or nothing. */
export type AppendMember = {
  rows: readonly RowDraft[]
  bodies?: readonly SealedBody[]
  fences?: readonly ReadVersion[]
  nonce?: { ts: number; digest: Buffer }
  charges?: readonly Charge[]
  claim?: SendClaim
}

export type Stored = {
  kind: 'stored'
  events: StoredEvent[]
  /** Opened when the batch was handed to the database: sending must begin before it closes, else never. */
  window: SendWindow
}

export type AppendResult =
  | Stored
  | { kind: 'stale'; subjects: string[] }
  | { kind: 'nonce_replayed' }
  | { kind: 'budget_spent'; counterIds: string[] }
  | { kind: 'claim_lost' }

type Waiting = { member: AppendMember; resolve: (result: AppendResult) => void; reject: (error: unknown) => void }

/** What a lane hands back when it can no longer write: the members that the next lane must take over. */
export type DeadLane = { orphans: Waiting[] }

const MAX_BATCH_MEMBERS = 512
const MAX_TRIES_AGAIN = 20

export type LaneDeps = {
  scope: Scope
  chainId: string
  clock: Clock
  log: Log
  /** A connection for one statement; rejects when none can be had (then nothing was written). */
  withClient: <T>(use: (client: pg.ClientBase) => Promise<T>) => Promise<T>
  /** Finds out whether a commit happened by closing the lane there. Rejects when the database cannot be asked in time. */
  settleUnknown: (firstSeq: number, head: LaneHead, expectedHead: Buffer) => Promise<'never_happened' | 'happened'>
  /** Called once, when the lane can write no more. */
  onDead: (dead: DeadLane) => void
}

export type Lane = ReturnType<typeof createLane>

export function createLane(deps: LaneDeps) {
  const { scope, chainId, clock } = deps
  let head = newLaneHead(chainId)
  let queue: Waiting[] = []
  let writing = false
  let dead = false
  let handedOver = false
  let idleSinceMs = clock.monotonic()
  const drained: (() => void)[] = []

  function append(waiting: Waiting): void {
    // Whoever asked for this lane before it died may come only now.
    if (handedOver) {
      deps.onDead({ orphans: [waiting] })
      return
    }
    queue.push(waiting)
    if (!writing) {
      writing = true
      setImmediate(() => void pump())
    }
  }

  async function pump(): Promise<void> {
    while (queue.length > 0 && !dead) {
      const batch = queue.splice(0, MAX_BATCH_MEMBERS)
      await write(batch).catch((error: unknown) => {
        deps.log.error({ err: error, chain_id: chainId }, 'audit batch failed')
        for (const waiting of batch) waiting.reject(unavailable(error))
      })
    }
    writing = false
    idleSinceMs = clock.monotonic()
    for (const done of drained.splice(0)) done()
  }

  async function write(batch: Waiting[]): Promise<void> {
    let members = refuseWithinBatch(batch)
    let memberFailures = 0
    let triesAgain = 0
    while (members.length > 0) {
      if (memberFailures >= 2) {
        // Outcomes carry no condition and must not wait behind members that keep failing.
        const outcomes = members.filter(({ member }) => !isConditional(member))
        if (outcomes.length > 0 && outcomes.length < members.length) {
          queue.unshift(...members.filter(({ member }) => isConditional(member)))
          members = outcomes
        }
      }
      const input = inputOf(members)
      const window = openSendWindow(clock)
      const answer = await deps
        .withClient((client) => appendBlock(client, input.append))
        .catch((cause: unknown): AppendAnswer => ({ kind: 'refused', cause }))
      switch (answer.kind) {
        case 'stored':
          head = input.head
          resolveStored(members, input.events, window)
          return
        case 'unknown': {
          if (input.append.block === null) {
            // Conditions alone leave no block by which to find out, and a nonce that was settled cannot be settled again.
            for (const waiting of members) waiting.reject(unavailable(answer.cause))
            return
          }
          deps.log.warn({ err: answer.cause, chain_id: chainId }, 'audit commit outcome unknown, closing the lane')
          const before = head
          dead = true
          const verdict = await deps.settleUnknown(before.nextSeq, before, input.head.hash).catch((error: unknown) => {
            for (const waiting of members) waiting.reject(unavailable(error))
            return 'unsettled' as const
          })
          if (verdict === 'happened') resolveStored(members, input.events, window)
          die(verdict === 'never_happened' ? members : [])
          return
        }
        case 'lane_closed':
          deps.log.warn({ chain_id: chainId }, 'lane was closed by another process, opening a new one')
          dead = true
          die(members)
          return
        case 'try_again':
          triesAgain += 1
          if (triesAgain > MAX_TRIES_AGAIN) {
            for (const waiting of members) waiting.reject(unavailable(new Error('lock not had in time')))
            return
          }
          continue
        case 'refused':
          for (const waiting of members) waiting.reject(unavailable(answer.cause))
          return
        default:
          memberFailures += 1
          members = refuse(members, answer)
      }
    }
  }

  function inputOf(members: readonly Waiting[]) {
    const drafts: RowDraft[] = []
    const fences = new Map<string, number>()
    const charges = new Map<string, Charge>()
    const nonces: { ts: number; digest: Buffer }[] = []
    const claims: SendClaim[] = []
    const bodies: SealedBody[] = []
    for (const { member } of members) {
      drafts.push(...member.rows)
      for (const fence of member.fences ?? []) fences.set(fence.subject, fence.version)
      if (member.nonce) nonces.push(member.nonce)
      for (const charge of member.charges ?? []) {
        const present = charges.get(charge.counterId)
        charges.set(charge.counterId, present ? mergeCharges(present, charge) : charge)
      }
      if (member.claim) claims.push(member.claim)
      if (member.bodies) bodies.push(...member.bodies)
    }
    const placed = placeRows(drafts, scope, chainId, head, clock)
    const append: AppendInput = {
      scopeId: scope.scopeId,
      block:
        drafts.length === 0
          ? null
          : {
              chainId,
              firstSeq: head.nextSeq,
              count: drafts.length,
              head: placed.head.hash,
              rows: placed.rows,
              bodies: bodies.length === 0 ? null : encodeBodies(bodies),
            },
      fences: [...fences].map(([subject, version]) => ({ subject, version })),
      nonces,
      charges: [...charges.values()],
      claims,
    }
    return { append, head: placed.head, events: placed.events }
  }

  function die(members: Waiting[]): void {
    handedOver = true
    const orphans = [...members, ...queue]
    queue = []
    deps.onDead({ orphans })
  }

  return {
    chainId,
    append,
    get queued() {
      return queue.length
    },
    get dead() {
      return dead
    },
    get head() {
      return head
    },
    /** How long nothing was written, in milliseconds; 0 while something waits. */
    idleMs: () => (writing || queue.length > 0 ? 0 : clock.monotonic() - idleSinceMs),
    /** Resolves when nothing waits and nothing is being written. */
    drain: () =>
      writing || queue.length > 0 ? new Promise<void>((resolve) => drained.push(resolve)) : Promise.resolve(),
  }
}

const isConditional = (member: AppendMember): boolean =>
  (member.fences?.length ?? 0) > 0 ||
  member.nonce !== undefined ||
  (member.charges?.length ?? 0) > 0 ||
  member.claim !== undefined

const unavailable = (cause: unknown): VaultError => new VaultError('audit_unavailable', { retryAfterSeconds: 1, cause })

function resolveStored(members: readonly Waiting[], events: readonly StoredEvent[], window: SendWindow): void {
  let from = 0
  for (const { member, resolve } of members) {
    resolve({ kind: 'stored', events: events.slice(from, from + member.rows.length), window })
    from += member.rows.length
  }
}

const mergeCharges = (a: Charge, b: Charge): Charge => ({
  ...a,
  slot: Math.max(a.slot, b.slot),
  add: a.add + b.add,
  max: Math.min(a.max, b.max),
})

/** Members that cannot stand beside an earlier one: the older of two versions of a fence, the second use of a nonce or claim. */
function refuseWithinBatch(batch: readonly Waiting[]): Waiting[] {
  const newest = new Map<string, number>()
  for (const { member } of batch) {
    for (const { subject, version } of member.fences ?? []) {
      newest.set(subject, Math.max(newest.get(subject) ?? version, version))
    }
  }
  const nonces = new Set<string>()
  const claims = new Set<string>()
  return batch.filter(({ member, resolve }) => {
    const stale = (member.fences ?? []).filter((fence) => newest.get(fence.subject) !== fence.version)
    if (stale.length > 0) {
      resolve({ kind: 'stale', subjects: stale.map((fence) => fence.subject) })
      return false
    }
    if (member.nonce) {
      const name = `${member.nonce.ts}:${member.nonce.digest.toString('latin1')}`
      if (nonces.has(name)) {
        resolve({ kind: 'nonce_replayed' })
        return false
      }
      nonces.add(name)
    }
    if (member.claim) {
      if (claims.has(member.claim.attemptId)) {
        resolve({ kind: 'claim_lost' })
        return false
      }
      claims.add(member.claim.attemptId)
    }
    return true
  })
}

/** Takes the members that a refusal concerns out of the batch, each with its answer, and returns the rest. */
function refuse(
  members: readonly Waiting[],
  answer: Extract<AppendAnswer, { kind: 'stale' | 'nonces_seen' | 'budgets_spent' | 'claims_lost' }>,
): Waiting[] {
  switch (answer.kind) {
    case 'stale': {
      const subjects = new Set(answer.subjects)
      return members.filter(({ member, resolve }) => {
        const stale = (member.fences ?? []).filter((fence) => subjects.has(fence.subject))
        if (stale.length === 0) return true
        resolve({ kind: 'stale', subjects: stale.map((fence) => fence.subject) })
        return false
      })
    }
    case 'nonces_seen':
      return withoutIndexed(members, answer.indexes, (member) => member.nonce !== undefined, { kind: 'nonce_replayed' })
    case 'claims_lost':
      return withoutIndexed(members, answer.indexes, (member) => member.claim !== undefined, { kind: 'claim_lost' })
    case 'budgets_spent': {
      const left = new Map(answer.refused.map((counter) => [counter.counterId, counter.left]))
      return members.filter(({ member, resolve }) => {
        const spent: string[] = []
        for (const charge of member.charges ?? []) {
          const remaining = left.get(charge.counterId)
          if (remaining !== undefined && charge.add > remaining) spent.push(charge.counterId)
        }
        if (spent.length > 0) {
          resolve({ kind: 'budget_spent', counterIds: spent })
          return false
        }
        for (const charge of member.charges ?? []) {
          const remaining = left.get(charge.counterId)
          if (remaining !== undefined) left.set(charge.counterId, remaining - charge.add)
        }
        return true
      })
    }
  }
}

/** Indexes count only the members that carry the thing, in order. */
function withoutIndexed(
  members: readonly Waiting[],
  indexes: readonly number[],
  carries: (member: AppendMember) => boolean,
  result: AppendResult,
): Waiting[] {
  let at = -1
  return members.filter(({ member, resolve }) => {
    if (!carries(member)) return true
    at += 1
    if (!indexes.includes(at)) return true
    resolve(result)
    return false
  })
}
