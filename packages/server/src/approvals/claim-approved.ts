import type { AuditLog } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database, Tx } from '../db/database.ts'
import { newId } from '../kernel/ids.ts'
import { type Attempt, LEASE_SECONDS, planExecution } from './approval.ts'
import { serverRow } from './approval-row.ts'
import { findGroup, moveGroup, readSealed, setIntentEvent } from './approval-store.ts'
import { endAttempt, extendLease, findOpenAttempt, insertAttempt, readLeaseNumber } from './attempt-store.ts'
import type { ApprovalRef } from './decide-approval.ts'
import { dropWork, scheduleWork, takeDueWork } from './due-work-store.ts'
import { type HeldRequest, heldRequest, openFrozenRequest } from './held-request.ts'
import type { ReadAppScope } from './read-app-scope.ts'

/*
 * Sent at most once. What a process that died leaves behind, and what the next claim makes of it (docs/spec/approvals.md#execution):
 *
 *   approved, no attempt           ─▶ claimed
 *   attempt, lease running         ─▶ left alone until the lease ends
 *   attempt, lease over, not sent  ─▶ attempt ends `not_sent`, claimed again under a new attempt with the next lease number
 *   attempt, lease over, sent      ─▶ failed, execution_outcome_unknown: never sent again
 *   15 minutes since the approval  ─▶ failed, execution_window_ended, unless it may have been sent
 *
 * `sent_at` is set by the statement that stores the intent row, on condition of owner, lease number and a running lease.
 */

/** One try to send, and the proof of whose it is. */
export type AttemptRef = ApprovalRef & {
  attemptId: string
  owner: string
  leaseNumber: number
  /** Id that the `approval.executing` row must have, so that recovery can name it. */
  intentEventId: string
}

export type ClaimedApproval = AttemptRef & HeldRequest & { leaseUntil: Date }

type Deps = {
  db: Pick<Database, 'unscoped' | 'forApp'>
  audit: Pick<AuditLog, 'change'>
  keyring: Pick<Keyring, 'openFor'>
  readAppScope: ReadAppScope
  announce: (approvalGroupId: string) => void
  /** This process: the owner of what it claims. A UUID. */
  processId: string
}

/** Claims approved requests for sending. Sending is not done here. */
export function createClaimApproved({ db, audit, keyring, readAppScope, announce, processId }: Deps) {
  /** Claims one approved request; undefined when another has it, or nothing is left to send. */
  async function claimApproved({ appId, approvalGroupId }: ApprovalRef): Promise<ClaimedApproval | undefined> {
    const found = await db.forApp(appId, (tx) => claimInside(tx, appId, approvalGroupId), { retryable: true })
    if (found === 'failed') {
      await failInstead(appId, approvalGroupId)
      return undefined
    }
    if (found === undefined) return undefined
    const { group, attempt, sealed } = found
    announce(approvalGroupId)
    const request = await openFrozenRequest(keyring, group, sealed)
    const { organizationId } = await readAppScope(appId)
    return {
      ...heldRequest(group, organizationId!, request),
      attemptId: attempt.attemptId,
      owner: attempt.owner,
      leaseNumber: attempt.leaseNumber,
      leaseUntil: attempt.leaseUntil,
      intentEventId: group.intentEventId!,
    }
  }

  async function claimInside(tx: Tx, appId: string, approvalGroupId: string) {
    const work = { kind: 'approval_execution', appId, subjectId: approvalGroupId } as const
    const held = await findGroup(tx, appId, approvalGroupId, { lock: true })
    if (held === undefined) {
      await dropWork(tx, work)
      return undefined
    }
    const { group, now } = held
    const before = await findOpenAttempt(tx, appId, approvalGroupId)
    const plan = planExecution(group, before, now)
    if (plan.kind === 'fail') return 'failed' as const
    if (plan.kind === 'wait') await scheduleWork(tx, work, plan.until)
    if (plan.kind === 'nothing_to_do') await dropWork(tx, work)
    if (plan.kind !== 'claim') return undefined

    if (before !== null) await endAttempt(tx, appId, before.attemptId, 'not_sent', now)
    const attempt: Attempt = {
      attemptId: newId(),
      owner: processId,
      leaseNumber: (await readLeaseNumber(tx, appId, approvalGroupId)) + 1,
      claimedAt: now,
      leaseUntil: new Date(now.getTime() + LEASE_SECONDS * 1_000),
      sentAt: null,
    }
    await insertAttempt(tx, group, attempt)
    await scheduleWork(tx, work, attempt.leaseUntil)
    const intentEventId = newId()
    const claimed =
      group.status === 'approved'
        ? await moveGroup(tx, group, 'executing', { intentEventId })
        : await setIntentEvent(tx, group, intentEventId)
    return { group: claimed, attempt, sealed: await readSealed(tx, group, 'sealed_request') }
  }

  /** Ends a request that must not be sent (again), with its row. Looks again under the lock: another may have been first. */
  async function failInstead(appId: string, approvalGroupId: string): Promise<void> {
    await audit.change(await readAppScope(appId), async (tx, record) => {
      const held = await findGroup(tx, appId, approvalGroupId, { lock: true })
      if (held === undefined) return
      const { now } = held
      const attempt = await findOpenAttempt(tx, appId, approvalGroupId)
      const plan = planExecution(held.group, attempt, now)
      if (plan.kind !== 'fail') return
      const unknown = plan.executionError === 'execution_outcome_unknown'
      if (attempt !== null) await endAttempt(tx, appId, attempt.attemptId, unknown ? 'unknown' : 'not_sent', now)
      const executing = held.group.status === 'approved' ? await moveGroup(tx, held.group, 'executing') : held.group
      const failed = await moveGroup(tx, executing, 'failed', { executionError: plan.executionError })
      await dropWork(tx, { kind: 'approval_execution', appId, subjectId: approvalGroupId })
      record({
        ...serverRow(failed),
        event: unknown ? 'approval.outcome_unknown' : 'approval.failed',
        outcome: unknown ? 'unknown' : 'refused',
        primaryReason: plan.executionError,
        intentId: unknown ? failed.intentEventId : null,
        detail: { attemptId: attempt?.attemptId ?? null, errorCode: plan.executionError },
      })
    })
    announce(approvalGroupId)
  }

  return {
    claimApproved,

    /** Claims the next request whose execution is due, after ending those that must not be sent. Undefined: nothing is due. */
    async claimDue(): Promise<ClaimedApproval | undefined> {
      for (;;) {
        const [due] = await db.unscoped((tx) => takeDueWork(tx, ['approval_execution'], 1))
        if (due === undefined) return undefined
        const claimed = await claimApproved({ appId: due.appId, approvalGroupId: due.subjectId })
        if (claimed !== undefined) return claimed
      }
    },

    /** Keeps an attempt for another 120 s. False: it ended or is another's; nothing may be sent or recorded on it. */
    async renewLease(attempt: AttemptRef): Promise<boolean> {
      const until = await db.forApp(attempt.appId, (tx) => extendLease(tx, { ...attempt, seconds: LEASE_SECONDS }))
      return until !== undefined
    },
  }
}
