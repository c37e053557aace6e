import fc from 'fast-check'
import { expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { createTestDatabase } from '../testing/test-database.ts'
import type { Decision, GateStatus, GroupStatus } from './approval.ts'
import { createApprovalFixture } from './approval-fixture.ts'
import type { ClaimedApproval } from './claim-approved.ts'
import { endWaitingApprovals } from './end-waiting-approvals.ts'

const PEOPLE = ['ann', 'bob', 'cy']

const ANSWER = {
  statusCode: 200,
  headers: [],
  body: Buffer.alloc(0),
  bodyTruncated: false,
  durationMs: 1,
  credentialHint: null,
}

type PlainKind = 'sweep' | 'cancel' | 'withdraw' | 'claim' | 'end_lease' | 'wait_too_long'
type Event =
  | { kind: 'decide'; gate: number; person: number; decision: Decision }
  | { kind: 'end_window'; gate: number }
  | { kind: PlainKind }
  | { kind: 'intend' | 'execute' | 'fail'; claim: 'latest' | 'first' }

/** What should happen, said without any of the code that does it. */
function createModel(quorums: readonly number[]) {
  const gates = quorums.map((quorum) => ({
    status: 'pending' as GateStatus,
    quorum,
    windowOver: false,
    decisions: new Map<string, Decision>(),
  }))
  const model = { group: 'pending' as GroupStatus, gates, claims: 0, leaseOver: false, tooLate: false, sends: 0 }
  const endPending = (to: 'denied' | 'expired') => {
    model.group = to
    for (const gate of gates) if (gate.status === 'pending') gate.status = to
  }
  const expireIfOver = () => {
    if (model.group !== 'pending' || !gates.some((gate) => gate.status === 'pending' && gate.windowOver)) return false
    endPending('expired')
    return true
  }
  const owns = (claim: 'latest' | 'first') => model.group === 'executing' && (claim === 'latest' || model.claims === 1)
  return {
    model,
    apply(event: Event) {
      switch (event.kind) {
        case 'decide': {
          const gate = gates[event.gate % gates.length]!
          const person = PEOPLE[event.person]!
          if (gate.status !== 'pending' || gate.decisions.has(person) || expireIfOver()) return
          gate.decisions.set(person, event.decision)
          if (event.decision === 'deny') return endPending('denied')
          const approvals = [...gate.decisions.values()].filter((decision) => decision === 'approve').length
          if (approvals === gate.quorum) gate.status = 'approved'
          if (gates.every((one) => one.status === 'approved')) model.group = 'approved'
          return
        }
        case 'end_window':
          gates[event.gate % gates.length]!.windowOver = true
          return
        case 'sweep':
          expireIfOver()
          return
        case 'cancel':
          if (model.group === 'pending' && !expireIfOver()) endPending('denied')
          return
        case 'withdraw':
          if (model.group === 'pending') endPending('denied')
          return
        case 'claim':
          if (model.group === 'executing' && !model.leaseOver) return
          if (model.group === 'executing' && model.sends > 0) model.group = 'failed'
          else if (model.group === 'approved' || model.group === 'executing') {
            model.group = model.tooLate ? 'failed' : 'executing'
            if (!model.tooLate) model.claims++
            model.leaseOver = false
          }
          return
        case 'end_lease':
          if (model.group === 'executing') model.leaseOver = true
          return
        case 'wait_too_long':
          if (model.group === 'executing' || model.group === 'approved') model.tooLate = true
          return
        case 'intend':
          if (owns(event.claim) && !model.leaseOver && model.sends === 0) model.sends++
          return
        case 'execute':
          if (owns(event.claim) && model.sends > 0) model.group = 'executed'
          return
        case 'fail':
          if (owns(event.claim)) model.group = 'failed'
          return
      }
    },
  }
}

const claim = fc.constantFrom('latest' as const, 'latest' as const, 'first' as const)
const ofClaim = <K extends 'intend' | 'execute' | 'fail'>(kind: K) => fc.record({ kind: fc.constant(kind), claim })
const plain = (...kinds: PlainKind[]) => fc.constantFrom(...kinds).map((kind) => ({ kind }))
const decision = fc.record({
  kind: fc.constant('decide' as const),
  gate: fc.nat(2),
  person: fc.nat(PEOPLE.length - 1),
  decision: fc.constantFrom<Decision>('approve', 'approve', 'approve', 'approve', 'deny'),
})
const windowEnd = fc.record({ kind: fc.constant('end_window' as const), gate: fc.nat(2) })

const execution: fc.Arbitrary<Event> = fc.oneof(
  { weight: 5, arbitrary: plain('claim', 'claim', 'end_lease', 'end_lease', 'wait_too_long') },
  { weight: 4, arbitrary: ofClaim('intend') },
  { weight: 1, arbitrary: ofClaim('execute') },
  { weight: 1, arbitrary: ofClaim('fail') },
)
const event: fc.Arbitrary<Event> = fc.oneof(
  { weight: 6, arbitrary: decision },
  { weight: 1, arbitrary: windowEnd },
  { weight: 2, arbitrary: plain('sweep', 'cancel', 'withdraw') },
  { weight: 4, arbitrary: execution },
)

/** Every gate approved by as many people as it needs. */
const approveAll = (wanted: readonly number[]): Event[] =>
  wanted.flatMap((quorum, gate) =>
    PEOPLE.slice(0, quorum).map((_, person) => ({ kind: 'decide', gate, person, decision: 'approve' }) as const),
  )

type Course = { quorums: number[]; events: Event[] }

const approved = (...events: Event[]): Course => ({
  quorums: [1],
  events: [...approveAll([1]), { kind: 'claim' }, ...events],
})

/** From the start, or from the first claim on. */
const course: fc.Arbitrary<Course> = fc.oneof(
  fc.record({
    quorums: fc.array(fc.integer({ min: 1, max: 2 }), { minLength: 1, maxLength: 3 }),
    events: fc.array(event, { minLength: 1, maxLength: 14 }),
  }),
  fc.array(execution, { minLength: 3, maxLength: 12 }).map((events) => approved(...events)),
)

const [latest, first] = ['latest' as const, 'first' as const]
/** What a process that dies leaves, in order, and what its ghost may still try. */
const DEATHS: Course[] = [
  approved(
    { kind: 'intend', claim: latest },
    { kind: 'end_lease' },
    { kind: 'claim' },
    { kind: 'execute', claim: latest },
  ),
  approved(
    { kind: 'end_lease' },
    { kind: 'claim' },
    { kind: 'intend', claim: first },
    { kind: 'execute', claim: first },
  ),
  approved(
    { kind: 'end_lease' },
    { kind: 'claim' },
    { kind: 'intend', claim: latest },
    { kind: 'execute', claim: first },
    { kind: 'fail', claim: first },
    { kind: 'execute', claim: latest },
  ),
  approved({ kind: 'wait_too_long' }, { kind: 'end_lease' }, { kind: 'claim' }, { kind: 'intend', claim: latest }),
]

test('any course of events leads where the state machine says, and sends at most once', {
  timeout: 120_000,
}, async () => {
  await using db = await createTestDatabase()
  const fixture = await createApprovalFixture(db)
  const [server, other] = [fixture.startProcess(), fixture.startProcess()]
  const { appId, grantId } = fixture.ids
  const operator = { memberId: newId(), clientIp: '198.51.100.9', userAgent: null }
  const approvers = [{ type: 'role' as const, role: 'approver' as const }]

  await fc.assert(
    fc.asyncProperty(course, async ({ quorums, events }) => {
      const gates = quorums.map((quorum) => fixture.gate({ approvers, link_mode: 'sign_in' }, { quorum }))
      const pending = await server.approvals.requestApproval(fixture.request({ gates }))
      const id = pending.approval_group_id
      const ref = { appId, approvalGroupId: id }
      const gateIds = pending.gates.map((gate) => gate.approval_id)
      const { model, apply } = createModel(quorums)
      const claims: ClaimedApproval[] = []
      let turn = 0

      for (const step of events) {
        // Either process may be the one that acts.
        const actor = turn++ % 2 === 0 ? server : other
        switch (step.kind) {
          case 'decide': {
            const gateId = gateIds[step.gate % gateIds.length]!
            const person = fixture.person(PEOPLE[step.person]!)
            await actor.decide(ref, gateId, person, await fixture.decisionOf(id, step.decision)).catch(refused)
            break
          }
          case 'end_window':
            await fixture.endWindow(gateIds[step.gate % gateIds.length]!)
            break
          case 'sweep':
            await actor.approvals.runDueWork()
            break
          case 'cancel':
            await actor.approvals.cancelApproval(operator, appId, id).catch(refused)
            break
          case 'withdraw':
            await actor.audit.change(fixture.scope, (tx, record) =>
              endWaitingApprovals(tx, appId, { type: 'grant', id: grantId }, record),
            )
            break
          case 'claim': {
            const claimed = await actor.approvals.claimApproved(ref)
            if (claimed !== undefined) claims.push(claimed)
            break
          }
          case 'end_lease':
            await fixture.endLease(id)
            break
          case 'wait_too_long':
            await fixture.approvedLongAgo(id)
            break
          case 'intend':
          case 'execute':
          case 'fail': {
            const claimed = step.claim === 'latest' ? claims.at(-1) : claims[0]
            if (claimed === undefined) break
            if (step.kind === 'intend') await fixture.intend(actor, { ...claimed, intentEventId: newId() })
            else if (step.kind === 'fail') await actor.approvals.recordFailed(claimed, 'provider_unreachable')
            else await actor.approvals.recordExecuted(claimed, ANSWER).catch(notSent)
          }
        }
        apply(step)
        const group = await fixture.read(id)
        expect([group.status, ...group.gates.map((gate) => gate.status)]).toEqual([
          model.group,
          ...model.gates.map((gate) => gate.status),
        ])
      }
      const attempts = await fixture.attempts(id)
      expect(attempts.filter((attempt) => attempt.sent_at !== null)).toHaveLength(model.sends)
      expect(attempts.filter((attempt) => attempt.ended_at === null).length).toBe(model.group === 'executing' ? 1 : 0)
    }),
    { numRuns: 60, examples: DEATHS.map((death): [Course] => [death]) },
  )
  expect([...server.faults, ...other.faults]).toEqual([])

  function notSent(error: unknown): void {
    if (!String(error).includes('was never sent')) throw error
  }
  function refused(error: unknown): void {
    if (!(error instanceof Error) || error.name !== 'VaultError') throw error
  }
})
