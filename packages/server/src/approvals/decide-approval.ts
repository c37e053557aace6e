import type { DecisionState } from '@alter-vault/contracts'
import type { AuditLog, RecordEvent } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database, Tx } from '../db/database.ts'
import { VaultError } from '../kernel/vault-error.ts'
import {
  approvalsOf,
  type Decision,
  decideGate,
  type Gate,
  type Group,
  type RecordedDecision,
  refusalOfBearer,
  type Verdict,
} from './approval.ts'
import { groupRow } from './approval-row.ts'
import { findGroup, insertDecision, moveGate, moveGroup, readSealed } from './approval-store.ts'
import { dropWork, scheduleWork } from './due-work-store.ts'
import { endPendingGroup, expireGroup } from './end-group.ts'
import { heldRequest, openFrozenRequest, type WouldBeDenied } from './held-request.ts'
import type { OpenApprovalByLink } from './open-approval.ts'
import type { ReadAppScope } from './read-app-scope.ts'

/** Which held request, across apps. */
export type ApprovalRef = { appId: string; approvalGroupId: string }

/** How the approvals reach those who send what was approved, and who build on them. */
export type Executions = {
  wouldBeDenied: WouldBeDenied
  /** Wakes the executor of this process. Losing the call loses nothing: the execution is due in the database. */
  wake(approved: ApprovalRef): void
}

type Deps = {
  db: Pick<Database, 'readForApp'>
  keyring: Pick<Keyring, 'openFor'>
  audit: Pick<AuditLog, 'change'>
  readAppScope: ReadAppScope
  openApproval: OpenApprovalByLink
  executions: Executions
  announce: (approvalGroupId: string) => void
}

/** One person, or whoever holds the link. */
export type DecidingPerson = {
  key: string
  kind: RecordedDecision['approverKind']
  clientIp: string
  userAgent: string | null
}

export type DecideApproval = {
  decision: Decision
  /** As the page showed it, 32 bytes. */
  actionHash: Buffer
  reason: string | null
}

/** Decides gates (docs/spec/approvals.md#deciding). The database's clock says whether a window has ended. */
export function createDecideApproval(deps: Deps) {
  const { db, keyring, audit, readAppScope, openApproval, executions, announce } = deps

  /**
   * The decision of whoever holds the link. Refusals: `approval_not_found` for a link that is not genuine,
   * `sign_in_required`, `action_changed`, `approval_already_decided` with the standing state, `approval_expired`,
   * `reason_required`.
   */
  async function decideByLink(
    link: { approvalId: string; token: string; clientIp: string; userAgent: string | null },
    input: DecideApproval,
  ): Promise<DecisionState> {
    const { group, gate } = await openApproval(link.approvalId, link.token)
    const refusal = refusalOfBearer(gate)
    if (refusal !== null) throw new VaultError(refusal)
    const person = { key: 'link', kind: 'link' as const, clientIp: link.clientIp, userAgent: link.userAgent }
    // Before the decision, so that a policy that cannot be evaluated leaves everything as it is.
    const reasons = input.decision === 'approve' && group.status === 'pending' ? await reasonsAgainst(group) : []
    const decided = await decide(group, gate.approvalId, person, input)
    return { ...stateOf(decided.group, decided.gate), warning: reasons.length > 0 ? 'would_be_denied' : null, reasons }
  }

  async function reasonsAgainst(group: Group): Promise<DecisionState['reasons']> {
    const { appId } = group
    const sealed = await db.readForApp(appId, (tx) => readSealed(tx, group, 'sealed_request'))
    const { organizationId } = await readAppScope(appId)
    return executions.wouldBeDenied(
      heldRequest(group, organizationId!, await openFrozenRequest(keyring, group, sealed)),
    )
  }

  /** Decides for a person who may decide this gate. */
  async function decide(
    { appId, approvalGroupId }: ApprovalRef,
    approvalId: string,
    person: DecidingPerson,
    input: DecideApproval,
  ): Promise<{ group: Group; gate: Gate }> {
    const { group, refusal } = await audit.change(await readAppScope(appId), async (tx, record) => {
      const held = await findGroup(tx, appId, approvalGroupId, { lock: true })
      if (held === undefined) throw new VaultError('approval_not_found')
      const gate = getGate(held.group, approvalId)
      const verdict = decideGate(held.group, gate, { ...input, approverKey: person.key }, held.now)
      switch (verdict.kind) {
        case 'unchanged':
          return { group: held.group, refusal: null }
        case 'refused':
          return { group: held.group, refusal: verdict.code }
        case 'window_ended':
          return { group: await expireGroup(tx, held.group, held.now, record), refusal: verdict.code }
        case 'recorded':
          return { group: await store(tx, record, held.group, gate, verdict, person, input, held.now), refusal: null }
      }
    })
    announce(approvalGroupId)
    if (group.status === 'approved') executions.wake({ appId, approvalGroupId })
    const gate = getGate(group, approvalId)
    if (refusal !== null) {
      const fields = refusal === 'approval_already_decided' ? { details: stateOf(group, gate) } : {}
      throw new VaultError(refusal, { fields })
    }
    return { group, gate }
  }

  return { decideByLink, decide }
}

/** Stores a decision and what it does to gate and group, with their rows. */
async function store(
  tx: Tx,
  record: RecordEvent,
  group: Group,
  gate: Gate,
  verdict: Extract<Verdict, { kind: 'recorded' }>,
  person: DecidingPerson,
  { decision, actionHash, reason }: DecideApproval,
  now: Date,
): Promise<Group> {
  const given = { approverKey: person.key, approverKind: person.kind, decision, reason, decidedAt: now }
  const approver = { client_ip: person.clientIp, user_agent: person.userAgent }
  await insertDecision(tx, group.appId, gate, { ...given, actionHash, approver })
  const row = {
    ...groupRow(group),
    callerKind: person.kind,
    memberId: person.kind === 'member' ? person.key : null,
    appUserId: person.kind === 'app_user' ? person.key : null,
    reason,
    detail: { clientIp: person.clientIp, userAgent: person.userAgent },
  }
  record({
    ...row,
    approvalId: gate.approvalId,
    event: 'approval.decided',
    outcome: decision === 'approve' ? 'allowed' : 'refused',
    detail: { ...row.detail, changes: [{ field: 'decision', from: null, to: decision }] },
  })

  const fields = { decidedAt: now, decisionReason: reason }
  const decidedGate = { ...gate, decisions: [...gate.decisions, given] }
  const withGate = (changed: Gate): Group => ({
    ...group,
    gates: group.gates.map((other) => (other.approvalId === changed.approvalId ? changed : other)),
  })
  if (verdict.groupStatus === 'denied') {
    const denied = await endPendingGroup(tx, withGate(decidedGate), 'denied', fields)
    record({ ...row, event: 'approval.denied', outcome: 'refused', primaryReason: 'approval_denied' })
    return denied
  }
  if (verdict.gateStatus === 'pending') return withGate(decidedGate)
  const held = withGate(await moveGate(tx, group.appId, decidedGate, 'approved', fields))
  if (verdict.groupStatus === 'pending') return held

  const approved = await moveGroup(tx, held, 'approved', fields)
  const subject = { appId: group.appId, subjectId: group.approvalGroupId }
  await dropWork(tx, { kind: 'approval_expiry', ...subject })
  await scheduleWork(tx, { kind: 'approval_execution', ...subject }, now)
  record({ ...row, event: 'approval.approved', outcome: 'allowed' })
  return approved
}

function getGate(group: Group, approvalId: string): Gate {
  const gate = group.gates.find((one) => one.approvalId === approvalId)
  if (gate === undefined) throw new VaultError('approval_not_found')
  return gate
}

/** Gate and group after a decision, or as they stood when it was refused. */
function stateOf(group: Group, gate: Gate): DecisionState {
  return {
    approval_id: gate.approvalId,
    approval_group_id: group.approvalGroupId,
    status: group.status,
    gate_status: gate.status,
    quorum: gate.quorum,
    approvals: approvalsOf(gate),
    expires_at: group.expiresAt.toISOString(),
    decided_at: (gate.decidedAt ?? group.decidedAt)?.toISOString() ?? null,
    warning: null,
    reasons: [],
  }
}
