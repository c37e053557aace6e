import { auditEvents } from '@alter-vault/contracts'
import { openSendWindow, type SendWindow } from '../egress/send-window.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { AppendAnswer, AppendInput, Charge, ConditionAnswer, SendClaim } from './append-store.ts'
import type { RowDraft } from './audit-row.ts'
import type { KeptBody } from './body-frames.ts'
import { createKnownVersions } from './known-versions.ts'
import type { EncodeRows, RowBatch, StoredEvent } from './row-batch.ts'

/*
 * Group commit for one scope: a batch is what arrived while earlier ones were being written; a lone member waits for nobody.
 *
 *              append()             a few batches at a time          all durable
 *   [member] ───────────▶ queue ──────────────────────────▶ database ─────────────▶ answered `stored`
 *                                                             │  │
 *        a member's condition failed: it leaves with its ◀────┘  └──▶ commit unknown: the same call again with the same batch,
 *        refusal, the rest goes again as a new batch                  which finds it stored or stores it; at the deadline refused
 *
 * Outcomes that could not be stored are kept and tried again until they are (`retry`).
 */

/** What one use wants recorded, and under which conditions. All of it is stored, or nothing. */
export type AppendMember = {
  rows: readonly RowDraft[]
  bodies?: readonly KeptBody[]
  fences?: readonly ReadVersion[]
  nonce?: { ts: number; digest: Buffer } | null
  charges?: readonly Charge[]
  claim?: SendClaim
  /** The rows are the outcome of an intent; `window` is the one that it opened. */
  outcomeOf?: { intentId: string; window: SendWindow }
}

export type Stored = {
  kind: 'stored'
  events: StoredEvent[]
  /** Opened when the batch was first handed to the database: sending must begin before it closes, else never. */
  window: SendWindow
}

export type AppendResult =
  | Stored
  | { kind: 'stale'; subjects: string[] }
  | { kind: 'nonce_replayed' }
  | { kind: 'budget_spent'; counterIds: string[] }
  | { kind: 'claim_lost' }
  /** The intent was declared unknown before: the outcome is recorded as `proxy.late_answer`, and its answer must be withheld. */
  | { kind: 'late_answer' }

export type Waiting = {
  member: AppendMember
  resolve: (result: AppendResult) => void
  reject: (error: unknown) => void
  isLate?: boolean
}

const MAX_BATCH_MEMBERS = 512
/** An outcome that is older than its intent by this has to settle it: a sweeper may have done so. */
const LATE_AFTER_MS = 60_000
const FIRST_PAUSE_MS = 10
const LONGEST_PAUSE_MS = 500
const MAX_KEPT_OUTCOMES = 1_000

export type BatchWriterDeps = {
  scopeId: string
  clock: Clock
  log: Log
  encode: EncodeRows
  /** Seals what a batch captured. */
  seal: (batchId: string, bodies: readonly KeptBody[]) => Promise<Buffer>
  send: (input: AppendInput) => Promise<AppendAnswer>
  /** Hears of batches that are durable. */
  onStored: (batch: RowBatch) => void
  maxInFlight: number
  /** How long a batch whose commit is unknown is tried again before its members are refused, milliseconds. */
  retryWithinMs: number
}

/** A batch as it is tried, with the bodies already sealed. */
type Trial = { batch: RowBatch | null; bodies: Buffer | null; window: SendWindow }
type Unstored = { members: Waiting[]; trial: Trial | undefined }

export type BatchWriter = ReturnType<typeof createBatchWriter>

export function createBatchWriter(deps: BatchWriterDeps) {
  const { scopeId, clock, log } = deps
  const known = createKnownVersions()
  const queue: Waiting[] = []
  let inFlight = 0
  let scheduled = false
  let unstored: Unstored[] = []
  const idle: (() => void)[] = []

  function append(waiting: Waiting): void {
    queue.push(waiting)
    if (scheduled || inFlight >= deps.maxInFlight) return
    scheduled = true
    setImmediate(pump)
  }

  function pump(): void {
    scheduled = false
    while (queue.length > 0 && inFlight < deps.maxInFlight) {
      inFlight += 1
      void writeAll(queue.splice(0, MAX_BATCH_MEMBERS)).finally(() => {
        inFlight -= 1
        pump()
      })
    }
    if (inFlight === 0 && queue.length === 0) for (const done of idle.splice(0)) done()
  }

  const writeAll = (members: Waiting[], first?: Trial): Promise<void> =>
    write(first === undefined ? refuseWithinBatch(members) : members, first).catch((error: unknown) => {
      log.error({ err: error, scope_id: scopeId }, 'audit batch failed')
      fail(members, undefined, error)
    })

  async function write(members: Waiting[], first?: Trial): Promise<void> {
    let trial = first
    let refusals = 0
    while (members.length > 0) {
      if (refusals >= 2) {
        // Outcomes carry no condition and must not wait behind members that keep failing.
        const outcomes = members.filter(({ member }) => !isConditional(member))
        if (outcomes.length > 0 && outcomes.length < members.length) {
          queue.unshift(...members.filter(({ member }) => isConditional(member)))
          members = outcomes
        }
      }
      trial ??= await prepare(members)
      const answer = await store(members, trial)
      switch (answer.kind) {
        case 'stored':
          if (trial.batch !== null) deps.onStored(trial.batch)
          resolveStored(members, trial)
          return
        case 'unknown':
          log.warn(
            { err: answer.cause, scope_id: scopeId, batch_id: trial.batch?.batchId },
            'audit commit still unknown',
          )
          return fail(members, trial, answer.cause)
        case 'refused':
        case 'try_again':
          return fail(members, undefined, answer.cause)
        default:
          refusals += 1
          members = refuse(members, answer)
          trial = undefined
      }
    }
  }

  async function prepare(members: readonly Waiting[]): Promise<Trial> {
    const rows = members.flatMap(({ member }) => member.rows)
    const kept = members.flatMap(({ member }) => member.bodies ?? [])
    const batch = rows.length === 0 ? null : deps.encode(rows)
    const bodies = batch === null || kept.length === 0 ? null : await deps.seal(batch.batchId, kept)
    return { batch, bodies, window: openSendWindow(clock) }
  }

  /** Tries until it is known whether the batch is stored, or the time for that is over. */
  async function store(members: readonly Waiting[], trial: Trial): Promise<AppendAnswer> {
    const endMs = clock.monotonic() + deps.retryWithinMs
    let unknown: AppendAnswer | undefined
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      const input = inputOf(members, trial)
      const answer = await deps.send(input)
      if (answer.kind === 'stored' && answer.mark !== null) known.learn(answer.mark, input.fences)
      const isOver = answer.kind !== 'unknown' && answer.kind !== 'try_again' && answer.kind !== 'refused'
      if (isOver) return answer
      // Conditions alone leave no batch to find, and a nonce that was settled cannot be settled again.
      if (trial.batch === null && answer.kind === 'unknown') return { kind: 'refused', cause: answer.cause }
      if (answer.kind === 'unknown') unknown = answer
      if (answer.kind === 'refused' && unknown === undefined) return answer
      if (clock.monotonic() >= endMs) return unknown ?? answer
      await new Promise((resolve) => setTimeout(resolve, pauseMs))
    }
  }

  function inputOf(members: readonly Waiting[], { batch, bodies }: Trial): AppendInput {
    const fences = new Map<string, number>()
    const charges = new Map<string, Charge>()
    const nonces: { ts: number; digest: Buffer }[] = []
    const claims: SendClaim[] = []
    const settled: string[] = []
    for (const { member } of members) {
      for (const fence of member.fences ?? []) fences.set(fence.subject, fence.version)
      if (member.nonce) nonces.push(member.nonce)
      for (const charge of member.charges ?? []) {
        const present = charges.get(charge.counterId)
        charges.set(charge.counterId, present ? mergeCharges(present, charge) : charge)
      }
      if (member.claim) claims.push(member.claim)
      const { outcomeOf } = member
      if (outcomeOf && outcomeOf.window.ageMs() > LATE_AFTER_MS) settled.push(outcomeOf.intentId)
    }
    const versions = [...fences].map(([subject, version]) => ({ subject, version }))
    return {
      scopeId,
      batch: batch && { ...batch, bodies },
      mark: known.markOf(versions),
      fences: versions,
      nonces: nonces.length > 1 ? nonces.sort(byTimeAndDigest) : nonces,
      charges: [...charges.values()],
      claims,
      settled,
    }
  }

  /** Refuses members. Outcomes among them are kept; with `trial` all of its batch, because it may be stored already. */
  function fail(members: Waiting[], trial: Trial | undefined, cause: unknown): void {
    for (const { reject } of members) reject(unavailable(cause))
    const outcomes = members.filter(({ member }) => member.outcomeOf !== undefined)
    if (outcomes.length === 0) return
    const kept = unstored.reduce((sum, entry) => sum + entry.members.length, 0)
    if (kept + members.length > MAX_KEPT_OUTCOMES) {
      log.error({ scope_id: scopeId, outcomes: outcomes.length }, 'outcomes could not be stored and are not kept')
    } else unstored.push(trial === undefined ? { members: outcomes, trial } : { members, trial })
  }

  return {
    append,
    get queued() {
      return queue.length
    },
    /** Nothing is queued, being written or kept. */
    isIdle: () => queue.length === 0 && inFlight === 0 && unstored.length === 0,
    /** Tries once more to store the outcomes that are kept. */
    async retry(): Promise<void> {
      const taken = unstored
      unstored = []
      for (const { members, trial } of taken) await writeAll(members, trial)
    },
    /** Resolves when nothing waits and nothing is being written. */
    drain: () =>
      inFlight > 0 || queue.length > 0 ? new Promise<void>((resolve) => idle.push(resolve)) : Promise.resolve(),
  }
}

const isConditional = (member: AppendMember): boolean =>
  (member.fences?.length ?? 0) > 0 ||
  Boolean(member.nonce) ||
  (member.charges?.length ?? 0) > 0 ||
  member.claim !== undefined

const unavailable = (cause: unknown): VaultError => new VaultError('audit_unavailable', { retryAfterSeconds: 1, cause })

function resolveStored(members: readonly Waiting[], { batch, window }: Trial): void {
  let from = 0
  for (const { member, resolve, isLate } of members) {
    const to = from + member.rows.length
    resolve(isLate ? { kind: 'late_answer' } : { kind: 'stored', events: batch?.events.slice(from, to) ?? [], window })
    from = to
  }
}

const byTimeAndDigest = (a: { ts: number; digest: Buffer }, b: { ts: number; digest: Buffer }): number =>
  a.ts - b.ts || a.digest.compare(b.digest)

const mergeCharges = (a: Charge, b: Charge): Charge => ({
  ...a,
  slot: Math.max(a.slot, b.slot),
  add: a.add + b.add,
  max: Math.min(a.max, b.max),
})

/** Members that cannot stand beside an earlier one: the older of two versions of a fence, the second use of a nonce or claim. */
function refuseWithinBatch(members: readonly Waiting[]): Waiting[] {
  const newest = new Map<string, number>()
  let differs = false
  for (const { member } of members) {
    for (const { subject, version } of member.fences ?? []) {
      const other = newest.get(subject)
      if (other !== undefined && other !== version) differs = true
      if (other === undefined || other < version) newest.set(subject, version)
    }
  }
  const nonces = new Set<string>()
  const claims = new Set<string>()
  return members.filter(({ member, resolve }) => {
    const stale = differs ? (member.fences ?? []).filter((fence) => newest.get(fence.subject) !== fence.version) : []
    if (stale.length > 0) {
      resolve({ kind: 'stale', subjects: stale.map((fence) => fence.subject) })
      return false
    }
    if (member.nonce && !addedTo(nonces, `${member.nonce.ts}:${member.nonce.digest.toString('latin1')}`)) {
      resolve({ kind: 'nonce_replayed' })
      return false
    }
    if (member.claim && !addedTo(claims, member.claim.attemptId)) {
      resolve({ kind: 'claim_lost' })
      return false
    }
    return true
  })
}

const addedTo = (names: Set<string>, name: string): boolean => names.size < names.add(name).size

/** Takes the members that a refusal concerns out of the batch, each with its answer, and returns the rest. */
function refuse(members: readonly Waiting[], answer: ConditionAnswer): Waiting[] {
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
    case 'nonces_seen': {
      // In the order in which they were sent.
      const sent = members
        .filter(({ member }) => member.nonce)
        .sort((a, b) => byTimeAndDigest(a.member.nonce!, b.member.nonce!))
      return without(
        members,
        answer.indexes.map((index) => sent[index]!),
        { kind: 'nonce_replayed' },
      )
    }
    case 'claims_lost': {
      const sent = members.filter(({ member }) => member.claim)
      return without(
        members,
        answer.indexes.map((index) => sent[index]!),
        { kind: 'claim_lost' },
      )
    }
    case 'settled_before': {
      const settled = new Set(answer.intentIds)
      return members.map((waiting) =>
        waiting.member.outcomeOf && settled.has(waiting.member.outcomeOf.intentId) ? asLateAnswer(waiting) : waiting,
      )
    }
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

function without(members: readonly Waiting[], refused: readonly Waiting[], result: AppendResult): Waiting[] {
  for (const { resolve } of refused) resolve(result)
  return members.filter((waiting) => !refused.includes(waiting))
}

/** The intent has its one outcome: what came after it is recorded as that, under conditions no more. */
function asLateAnswer(waiting: Waiting): Waiting {
  const { outcomeOf, ...member } = waiting.member
  const rows = member.rows.map(
    (row): RowDraft =>
      row.intentId === outcomeOf?.intentId && auditEvents[row.event].stream === 'runtime'
        ? { ...row, event: 'proxy.late_answer' }
        : row,
  )
  return { ...waiting, member: { ...member, rows }, isLate: true }
}
