import type { ApprovalResult, ApprovalState } from '@alter-vault/contracts'
import { type AuditLog, appScope, callerDetail, callerKindOf } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { SdkCaller } from '../management/index.ts'
import { type Group, hasResult, isFinal, isVisibleTo, pendingUntil, windowEnded } from './approval.ts'
import { groupRow } from './approval-row.ts'
import { findGroup, findGroupId, type Held, readSealed } from './approval-store.ts'
import type { ApprovalWatch } from './approval-watch.ts'
import { resultPlace } from './held-request.ts'
import { decodeStoredResult } from './stored-result.ts'

type Deps = {
  db: Pick<Database, 'readForApp'>
  audit: Pick<AuditLog, 'change'>
  keyring: Pick<Keyring, 'openFor'>
  watch: Pick<ApprovalWatch, 'waitForChange'>
  clock: Pick<Clock, 'monotonic'>
  expireIfDue: (appId: string, approvalGroupId: string) => Promise<void>
}

/** What the requester sees of its held requests: SDK calls 3 and 4. Another caller's are `approval_not_found`. */
export function createApprovalStatus({ db, audit, keyring, watch, clock, expireIfDue }: Deps) {
  /** The state now, or with `waitSeconds` as soon as the request has ended, at the latest then. */
  async function readStatus(
    caller: Pick<SdkCaller, 'appId' | 'agentId'>,
    id: string,
    waitSeconds: number,
    signal: AbortSignal,
  ): Promise<ApprovalState> {
    const until = clock.monotonic() + waitSeconds * 1_000
    for (let mayWait = true; ; ) {
      const { group, now } = await getCurrent(caller, id)
      const leftMs = until - clock.monotonic()
      if (isFinal(group.status) || leftMs <= 0 || !mayWait) return stateOf(group, now)
      const windowMs = (pendingUntil(group.gates)?.getTime() ?? Number.POSITIVE_INFINITY) - now.getTime()
      mayWait = await watch.waitForChange(group, Math.min(leftMs, windowMs + 1), signal)
    }
  }

  /**
   * The stored answer. Refusals: `approval_not_executed`, `approval_denied`, `approval_expired`,
   * `approval_execution_failed`, `approval_result_expired`. Each reading is a row.
   */
  async function readResult(caller: SdkCaller, id: string): Promise<ApprovalResult> {
    const { group, now } = await getCurrent(caller, id)
    assertReadable(group, now)
    const sealed = await audit.change(appScope(caller.appId, caller.organizationId), async (tx, record) => {
      record({
        ...groupRow(group),
        callerKind: callerKindOf(caller),
        keyId: caller.keyId,
        agentId: caller.agentId,
        actorId: caller.actorId,
        event: 'approval.result_read',
        outcome: 'success',
        detail: callerDetail(caller),
      })
      return readSealed(tx, group, 'sealed_result')
    })
    // Erased between the two reads.
    if (sealed === null) throw new VaultError('approval_result_expired')
    const plaintext = await keyring.openFor(caller.appId, resultPlace(group.approvalGroupId), sealed)
    const result = decodeStoredResult(plaintext)
    return { approval_id: group.executorApprovalId, ...result }
  }

  async function getCurrent(caller: Pick<SdkCaller, 'appId' | 'agentId'>, id: string): Promise<Held> {
    const held = await read(caller, id)
    if (!windowEnded(held.group, held.now)) return held
    await expireIfDue(caller.appId, held.group.approvalGroupId)
    return read(caller, id)
  }

  async function read(caller: Pick<SdkCaller, 'appId' | 'agentId'>, id: string): Promise<Held> {
    const held = await db.readForApp(caller.appId, async (tx) => {
      const groupId = await findGroupId(tx, caller.appId, id)
      return groupId === undefined ? undefined : findGroup(tx, caller.appId, groupId)
    })
    if (held === undefined || !isVisibleTo(held.group, caller)) throw new VaultError('approval_not_found')
    return held
  }

  return { readStatus, readResult }
}

function assertReadable(group: Group, now: Date): void {
  switch (group.status) {
    case 'executed':
      if (hasResult(group, now)) return
      throw new VaultError('approval_result_expired')
    case 'denied':
      throw new VaultError('approval_denied', { fields: { decision_reason: group.decisionReason } })
    case 'expired':
      throw new VaultError('approval_expired')
    case 'failed':
      throw new VaultError('approval_execution_failed', { fields: { execution_error: group.executionError } })
    default:
      throw new VaultError('approval_not_executed', { fields: { status: group.status } })
  }
}

/** The wire form of a group's state. */
export function stateOf(group: Group, now: Date): ApprovalState {
  return {
    approval_id: group.executorApprovalId,
    approval_group_id: group.approvalGroupId,
    status: group.status,
    gates: group.gates.map((gate) => ({
      approval_id: gate.approvalId,
      status: gate.status,
      expires_at: gate.expiresAt.toISOString(),
      decided_at: gate.decidedAt?.toISOString() ?? null,
    })),
    expires_at: group.expiresAt.toISOString(),
    has_result: hasResult(group, now),
    decided_at: group.decidedAt?.toISOString() ?? null,
    decision_reason: group.decisionReason,
    executed_at: group.executedAt?.toISOString() ?? null,
    execution_error: group.executionError,
  }
}
