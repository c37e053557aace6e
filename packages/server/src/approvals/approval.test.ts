import { describe, expect, test } from 'vitest'
import {
  type Attempt,
  decideGate,
  type Gate,
  type Group,
  hasResult,
  isFinal,
  isLegalMove,
  isVisibleTo,
  planExecution,
  refusalOfBearer,
  withdrawnReason,
} from './approval.ts'

const NOW = new Date('2026-03-02T12:00:00.000Z')
const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1_000)
const HASH = Buffer.alloc(32, 7)

const gate = (changes: Partial<Gate> = {}): Gate => ({
  approvalId: 'gate-1',
  position: 0,
  status: 'pending',
  version: 1,
  quorum: 1,
  configuration: {
    approvers: [],
    window_seconds: 3_600,
    channels: [],
    link_mode: 'bearer',
    require_reason: false,
    decision_reason: 'optional',
    edit_allowed: false,
    approve_for_window: null,
    step_up: null,
    four_eyes: false,
    show_body: true,
    show_result: false,
  },
  rules: [],
  linkNonce: Buffer.alloc(16),
  expiresAt: at(60),
  decidedAt: null,
  decisionReason: null,
  decisions: [],
  ...changes,
})

const group = (changes: Partial<Group> = {}): Group => ({
  appId: 'app',
  approvalGroupId: 'group',
  executorApprovalId: 'gate-1',
  status: 'pending',
  version: 1,
  actionHash: HASH,
  actionLine: 'POST api.stripe.com/v1/refunds',
  grantId: 'grant',
  keyId: 'key',
  agentId: 'agent',
  appUserId: null,
  providerId: 'stripe',
  reason: null,
  traceId: 'trace',
  policyEpoch: 1,
  requestedAt: at(-60),
  expiresAt: at(60),
  decidedAt: null,
  decisionReason: null,
  executedAt: null,
  executionError: null,
  intentEventId: null,
  hasSealedResult: false,
  requestErased: false,
  resultExpiresAt: null,
  gates: [gate()],
  ...changes,
})

const given = (approverKey: string, decision: 'approve' | 'deny') => ({
  approverKey,
  approverKind: 'member' as const,
  decision,
  reason: null,
  decidedAt: at(-5),
})
const attempt = (decision: 'approve' | 'deny', reason: string | null = null) => ({
  approverKey: 'ann',
  decision,
  actionHash: HASH,
  reason,
})

describe('the state machine', () => {
  test('has exactly the arrows that are drawn', () => {
    const states = ['pending', 'approved', 'executing', 'denied', 'expired', 'executed', 'failed'] as const
    const arrows = states.flatMap((from) => states.filter((to) => isLegalMove(from, to)).map((to) => `${from}→${to}`))
    expect(arrows).toEqual([
      'pending→approved',
      'pending→denied',
      'pending→expired',
      'approved→executing',
      'executing→executed',
      'executing→failed',
    ])
    expect(states.filter(isFinal)).toEqual(['denied', 'expired', 'executed', 'failed'])
  })
})

describe('deciding a gate', () => {
  test('the last millisecond of the window counts, its end does not', () => {
    const held = group()
    const inTime = decideGate(held, held.gates[0]!, attempt('approve'), new Date(at(60).getTime() - 1))
    expect(inTime).toMatchObject({ kind: 'recorded', groupStatus: 'approved' })
    expect(decideGate(held, held.gates[0]!, attempt('approve'), at(60))).toEqual({
      kind: 'window_ended',
      code: 'approval_expired',
    })
    expect(decideGate(held, held.gates[0]!, attempt('deny'), at(60))).toEqual({
      kind: 'window_ended',
      code: 'approval_already_decided',
    })
  })

  test('the window of another pending gate ends this one too; that of an approved gate does not', () => {
    const other = gate({ approvalId: 'gate-2', expiresAt: at(-1) })
    const open = group({ gates: [gate(), other] })
    expect(decideGate(open, open.gates[0]!, attempt('approve'), NOW).kind).toBe('window_ended')
    const half = group({ gates: [gate(), { ...other, status: 'approved' }] })
    expect(decideGate(half, half.gates[0]!, attempt('approve'), NOW)).toMatchObject({ groupStatus: 'approved' })
  })

  test('what one person said stands, whatever became of the gate and the window', () => {
    const mine = gate({ quorum: 2, decisions: [given('ann', 'approve')] })
    for (const now of [NOW, at(120)]) {
      const held = group({ gates: [mine] })
      expect(decideGate(held, mine, attempt('approve'), now)).toEqual({ kind: 'unchanged' })
      expect(decideGate(held, mine, attempt('deny'), now)).toEqual({
        kind: 'refused',
        code: 'approval_already_decided',
      })
    }
  })

  test('a second person may agree with how the gate ended, and not differ', () => {
    const cases = [
      ['approved', 'approve', { kind: 'unchanged' }],
      ['approved', 'deny', { kind: 'refused', code: 'approval_already_decided' }],
      ['denied', 'deny', { kind: 'unchanged' }],
      ['denied', 'approve', { kind: 'refused', code: 'approval_already_decided' }],
      ['expired', 'approve', { kind: 'refused', code: 'approval_expired' }],
      ['expired', 'deny', { kind: 'refused', code: 'approval_already_decided' }],
    ] as const
    for (const [status, decision, expected] of cases) {
      const ended = gate({ status, decisions: [given('bob', 'approve')] })
      const held = group({ status: status === 'approved' ? 'approved' : status, gates: [ended] })
      expect(decideGate(held, ended, attempt(decision), NOW)).toEqual(expected)
    }
  })

  test('other bytes than those on the page are refused before anything else is looked at', () => {
    const held = group({ status: 'denied', gates: [gate({ status: 'denied' })] })
    const other = { ...attempt('deny'), actionHash: Buffer.alloc(32) }
    expect(decideGate(held, held.gates[0]!, other, NOW)).toEqual({ kind: 'refused', code: 'action_changed' })
    const short = { ...attempt('deny'), actionHash: HASH.subarray(0, 6) }
    expect(decideGate(held, held.gates[0]!, short, NOW)).toEqual({ kind: 'refused', code: 'action_changed' })
  })
})

describe('who may decide', () => {
  test('the bearer of a link only where nobody is named and nobody must sign in', () => {
    const { configuration } = gate()
    expect(refusalOfBearer(gate())).toBeNull()
    expect(refusalOfBearer({ configuration: { ...configuration, link_mode: 'sign_in' } })).toBe('sign_in_required')
    // A stored configuration that contradicts itself is read the strict way.
    const contradiction = { ...configuration, approvers: [{ type: 'grant_owner' as const }] }
    expect(refusalOfBearer({ configuration: contradiction })).toBe('sign_in_required')
    const stepUp = { max_auth_age_seconds: 60, methods: ['passkey' as const] }
    expect(refusalOfBearer({ configuration: { ...configuration, step_up: stepUp } })).toBe('sign_in_required')
  })

  test('an agent sees its own, an app everything of its own', () => {
    expect(isVisibleTo(group(), { appId: 'app', agentId: 'agent' })).toBe(true)
    expect(isVisibleTo(group(), { appId: 'app', agentId: null })).toBe(true)
    expect(isVisibleTo(group(), { appId: 'app', agentId: 'other' })).toBe(false)
    expect(isVisibleTo(group({ agentId: null }), { appId: 'app', agentId: 'agent' })).toBe(false)
    expect(isVisibleTo(group(), { appId: 'other', agentId: null })).toBe(false)
  })
})

describe('recovery', () => {
  const open = (changes: Partial<Attempt> = {}): Attempt => ({
    attemptId: 'attempt',
    owner: 'process',
    leaseNumber: 1,
    claimedAt: at(-200),
    leaseUntil: at(-1),
    sentAt: null,
    ...changes,
  })
  const approved = (secondsAgo: number) => ({ status: 'approved' as const, decidedAt: at(-secondsAgo) })
  const executing = (secondsAgo: number) => ({ status: 'executing' as const, decidedAt: at(-secondsAgo) })

  test('follows the table of what a dead process leaves', () => {
    expect(planExecution(approved(1), null, NOW)).toEqual({ kind: 'claim' })
    expect(planExecution(approved(900), null, NOW)).toEqual({ kind: 'claim' })
    expect(planExecution(approved(901), null, NOW)).toEqual({ kind: 'fail', executionError: 'execution_window_ended' })
    expect(planExecution(executing(60), open({ leaseUntil: at(1) }), NOW)).toEqual({ kind: 'wait', until: at(1) })
    expect(planExecution(executing(60), open(), NOW)).toEqual({ kind: 'claim' })
    expect(planExecution(executing(60), open({ sentAt: at(-100) }), NOW)).toEqual({
      kind: 'fail',
      executionError: 'execution_outcome_unknown',
    })
    expect(planExecution(executing(5_000), open(), NOW)).toEqual({
      kind: 'fail',
      executionError: 'execution_window_ended',
    })
    // What may have been sent is never called "not sent", however late it is.
    expect(planExecution(executing(5_000), open({ sentAt: at(-4_000) }), NOW)).toEqual({
      kind: 'fail',
      executionError: 'execution_outcome_unknown',
    })
    for (const status of ['pending', 'denied', 'expired', 'executed', 'failed'] as const) {
      expect(planExecution({ status, decidedAt: NOW }, null, NOW)).toEqual({ kind: 'nothing_to_do' })
    }
  })
})

test('a result is there only while it can be read', () => {
  const executed = group({ status: 'executed', hasSealedResult: true, resultExpiresAt: at(1) })
  expect(hasResult(executed, NOW)).toBe(true)
  expect(hasResult(executed, at(1))).toBe(false)
  expect(hasResult({ ...executed, hasSealedResult: false }, NOW)).toBe(false)
  expect(hasResult({ ...executed, status: 'failed' }, NOW)).toBe(false)
})

test("a denier's own words never read as a withdrawal", () => {
  const denied = { status: 'denied' as const, decisionReason: 'cancelled' }
  expect(withdrawnReason({ ...denied, gates: [gate({ status: 'denied' })] })).toBe('cancelled')
  const byPerson = gate({ status: 'denied', decisions: [given('ann', 'deny')] })
  expect(withdrawnReason({ ...denied, gates: [byPerson] })).toBeNull()
})
