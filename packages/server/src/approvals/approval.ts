import type { ApprovalDecision, ApprovalStatusValue, GateStatusValue } from '@alter-vault/contracts'
import type { GateConfiguration, GateRule } from '../policy/approval-gate.ts'

/*
 * One held request is a group; each set of people that must agree is a gate of it (docs/spec/approvals.md#groups-and-gates).
 *
 *                    quorum met on every gate         claim (one winner)         answer stored
 *   [held] ─▶ pending ─────────────────────────▶ approved ──────────────▶ executing ─────────────▶ executed
 *                │                                                          │   ▲ │
 *                │                                  lease ended, not sent ──┘   │ └─ refused at the last check, no usable
 *                │                                  (another attempt) ──────────┘    answer, sent with unknown outcome,
 *                │                                                                   too late ─▶ failed
 *                ├─ any denial, cancel, grant, agent, key or user ended, app archived ─▶ denied
 *                └─ window of any pending gate ends ─▶ expired
 *
 * A gate: pending ─▶ approved | denied | expired. When a group ends, its gates that were still pending end the same way.
 * Everything here is pure. Moves are stored by conditional updates on (id, expected status, version) under the lock of the
 * group's row; the database's clock says whether a window has ended.
 */

export type GroupStatus = ApprovalStatusValue
export type GateStatus = GateStatusValue
export type Decision = ApprovalDecision

export type RecordedDecision = {
  /** One person of the gate, over all channels; `link` for whoever holds the link. */
  approverKey: string
  approverKind: 'link' | 'member' | 'app_user'
  decision: Decision
  reason: string | null
  decidedAt: Date
}

export type Gate = {
  approvalId: string
  position: number
  status: GateStatus
  version: number
  quorum: number
  configuration: GateConfiguration
  rules: readonly GateRule[]
  linkNonce: Buffer
  expiresAt: Date
  decidedAt: Date | null
  decisionReason: string | null
  decisions: readonly RecordedDecision[]
}

export type Group = {
  appId: string
  approvalGroupId: string
  /** The first gate; its id stands for the group. */
  executorApprovalId: string
  status: GroupStatus
  version: number
  actionHash: Buffer
  /** Method, host and path. */
  actionLine: string
  grantId: string
  keyId: string
  agentId: string | null
  appUserId: string | null
  providerId: string
  reason: string | null
  traceId: string
  policyEpoch: number
  requestedAt: Date
  expiresAt: Date
  decidedAt: Date | null
  decisionReason: string | null
  executedAt: Date | null
  executionError: string | null
  /** Id of the `approval.executing` row of the latest attempt, minted when it is claimed. */
  intentEventId: string | null
  hasSealedResult: boolean
  /** The frozen request is no longer kept. */
  requestErased: boolean
  resultExpiresAt: Date | null
  gates: readonly Gate[]
}

const LEGAL_MOVES: Readonly<Record<GroupStatus, readonly GroupStatus[]>> = {
  pending: ['approved', 'denied', 'expired'],
  approved: ['executing'],
  executing: ['executed', 'failed'],
  denied: [],
  expired: [],
  executed: [],
  failed: [],
}

/** True when the state machine above has that arrow. */
export const isLegalMove = (from: GroupStatus, to: GroupStatus): boolean => LEGAL_MOVES[from].includes(to)

/** True when nothing can happen to the group any more. */
export const isFinal = (status: GroupStatus): boolean => LEGAL_MOVES[status].length === 0

/** How long after the approval a request may still be sent, in seconds. */
export const EXECUTION_WINDOW_SECONDS = 900
/** How long an attempt is its owner's without a renewal, in seconds. */
export const LEASE_SECONDS = 120

/** Why a waiting request was ended although nobody decided it. */
export const WITHDRAWN_REASONS = [
  'cancelled',
  'grant_revoked',
  'agent_revoked',
  'key_revoked',
  'user_not_active',
  'app_archived',
] as const
export type WithdrawnReason = (typeof WITHDRAWN_REASONS)[number]

/** Whose requests: of one grant, agent or key, or every one of the app. */
export type Whose = { type: 'grant' | 'agent' | 'key' | 'app'; id: string }

/** Approvals counted so far. */
export const approvalsOf = (gate: Pick<Gate, 'decisions'>): number =>
  gate.decisions.filter((given) => given.decision === 'approve').length

/** When the window of the first pending gate ends; null when no gate is pending. */
export function pendingUntil(gates: readonly Pick<Gate, 'status' | 'expiresAt'>[]): Date | null {
  let earliest: Date | null = null
  for (const gate of gates) {
    if (gate.status === 'pending' && (earliest === null || gate.expiresAt < earliest)) earliest = gate.expiresAt
  }
  return earliest
}

/** True when a pending group has a gate whose window has ended: it can only become `expired`. */
export function windowEnded(group: Pick<Group, 'status' | 'gates'>, now: Date): boolean {
  const until = pendingUntil(group.gates)
  return group.status === 'pending' && until !== null && until <= now
}

/** What keeps the bearer of a genuine link from deciding, or null. */
export function refusalOfBearer({ configuration }: Pick<Gate, 'configuration'>): 'sign_in_required' | null {
  const { link_mode, approvers, step_up } = configuration
  return link_mode === 'sign_in' || approvers.length > 0 || step_up !== null ? 'sign_in_required' : null
}

export type DecisionAttempt = { approverKey: string; decision: Decision; actionHash: Buffer; reason: string | null }

/** What a decision does (docs/spec/approvals.md#deciding). `ends` are the gates that end together with the decided one. */
export type Verdict =
  | { kind: 'unchanged' }
  | { kind: 'refused'; code: 'action_changed' | 'approval_already_decided' | 'approval_expired' | 'reason_required' }
  /** The window is over: the group must be expired first, then the answer is `code`. */
  | { kind: 'window_ended'; code: 'approval_already_decided' | 'approval_expired' }
  | { kind: 'recorded'; gateStatus: GateStatus; groupStatus: GroupStatus; ends: readonly Gate[] }

/** Decides one gate. `now` is the database's clock, read under the group's lock. */
export function decideGate(group: Group, gate: Gate, attempt: DecisionAttempt, now: Date): Verdict {
  if (!attempt.actionHash.equals(group.actionHash)) return { kind: 'refused', code: 'action_changed' }
  const mine = gate.decisions.find((given) => given.approverKey === attempt.approverKey)
  if (mine !== undefined) {
    return mine.decision === attempt.decision
      ? { kind: 'unchanged' }
      : { kind: 'refused', code: 'approval_already_decided' }
  }
  const tooLate = attempt.decision === 'approve' ? 'approval_expired' : 'approval_already_decided'
  if (gate.status === 'expired') return { kind: 'refused', code: tooLate }
  if (gate.status !== 'pending') {
    const agrees = gate.status === (attempt.decision === 'approve' ? 'approved' : 'denied')
    return agrees ? { kind: 'unchanged' } : { kind: 'refused', code: 'approval_already_decided' }
  }
  if (windowEnded(group, now)) return { kind: 'window_ended', code: tooLate }
  const { decision_reason } = gate.configuration
  const needsReason = decision_reason === 'always' || (decision_reason === 'on_deny' && attempt.decision === 'deny')
  if (needsReason && attempt.reason === null) return { kind: 'refused', code: 'reason_required' }

  const others = group.gates.filter((other) => other.approvalId !== gate.approvalId)
  if (attempt.decision === 'deny') {
    return {
      kind: 'recorded',
      gateStatus: 'denied',
      groupStatus: 'denied',
      ends: others.filter((other) => other.status === 'pending'),
    }
  }
  const gateStatus = approvalsOf(gate) + 1 >= gate.quorum ? 'approved' : 'pending'
  const all = gateStatus === 'approved' && others.every((other) => other.status === 'approved')
  return { kind: 'recorded', gateStatus, groupStatus: all ? 'approved' : 'pending', ends: [] }
}

export type Attempt = {
  attemptId: string
  owner: string
  leaseNumber: number
  claimedAt: Date
  leaseUntil: Date
  sentAt: Date | null
}

/** What the last table of docs/spec/approvals.md#execution says of a request to be executed. `attempt` is the open one, if any. */
export type ExecutionPlan =
  /** Free: nobody has begun, or whoever began never sent and the lease has ended. */
  | { kind: 'claim' }
  | { kind: 'wait'; until: Date }
  | { kind: 'nothing_to_do' }
  | { kind: 'fail'; executionError: 'execution_outcome_unknown' | 'execution_window_ended' }

/** What to do with a group whose execution is due. `now` is the database's clock, read under the locks of both rows. */
export function planExecution(
  group: Pick<Group, 'status' | 'decidedAt'>,
  attempt: Attempt | null,
  now: Date,
): ExecutionPlan {
  if (group.status !== 'approved' && group.status !== 'executing') return { kind: 'nothing_to_do' }
  if (attempt !== null) {
    if (attempt.leaseUntil > now) return { kind: 'wait', until: attempt.leaseUntil }
    if (attempt.sentAt !== null) return { kind: 'fail', executionError: 'execution_outcome_unknown' }
  }
  const approvedAt = group.decidedAt ?? now
  if (now.getTime() - approvedAt.getTime() > EXECUTION_WINDOW_SECONDS * 1_000) {
    return { kind: 'fail', executionError: 'execution_window_ended' }
  }
  return { kind: 'claim' }
}

/** True while the stored answer can be read. */
export const hasResult = (group: Group, now: Date): boolean =>
  group.status === 'executed' && group.hasSealedResult && group.resultExpiresAt !== null && group.resultExpiresAt > now

/** Why the group was withdrawn; null when a person ended it, or it has not ended so. */
export function withdrawnReason(group: Pick<Group, 'status' | 'decisionReason' | 'gates'>): WithdrawnReason | null {
  if (group.status !== 'denied') return null
  // A person's own words may read like a reason code; a person's denial is a decision.
  if (group.gates.some((gate) => gate.decisions.some((given) => given.decision === 'deny'))) return null
  return WITHDRAWN_REASONS.find((reason) => reason === group.decisionReason) ?? null
}

/**
 * True when this caller may see the group: an agent its own, an app all of its own
 * (docs/spec/approvals.md#waiting-and-reading-the-answer).
 */
export const isVisibleTo = (
  group: Pick<Group, 'appId' | 'agentId'>,
  caller: { appId: string; agentId: string | null },
) => group.appId === caller.appId && (caller.agentId === null || caller.agentId === group.agentId)

/** Who may decide a gate, in words. */
export function approverInWords(approver: GateConfiguration['approvers'][number]): string {
  switch (approver.type) {
    case 'email':
      return approver.email
    case 'app_user':
      return `app user ${approver.id}`
    case 'group':
      return `group ${approver.external_group_id}`
    case 'member':
      return `member ${approver.id}`
    case 'role':
      return `any ${approver.role}`
    case 'grant_owner':
      return 'the owner of the grant'
  }
}
