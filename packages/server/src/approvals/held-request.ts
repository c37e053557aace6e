import type { DecisionState } from '@alter-vault/contracts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Group } from './approval.ts'
import { decodeFrozenRequest, type FrozenRequest } from './frozen-request.ts'

/** A held request as the last check sees it. */
export type HeldRequest = {
  appId: string
  organizationId: string
  approvalGroupId: string
  /** The gate that stands for the group. */
  approvalId: string
  actionHash: Buffer
  request: FrozenRequest
  /** Rules whose hold this approval satisfies, in exactly these versions. A one-off rule is none of them. */
  satisfied: readonly { ruleId: string; ruleVersion: number }[]
  /** Who approved so far: `link`, or the person's key. */
  approverIds: readonly string[]
  requestedAt: Date
  /** Null while it is pending. */
  approvedAt: Date | null
}

/** Why current policy would refuse to send this request although it is approved; empty when it would not. */
export type WouldBeDenied = (held: HeldRequest) => Promise<DecisionState['reasons']>

/** Where the sealed request of a group is. */
export const requestPlace = (approvalGroupId: string) => ({
  table: 'approval_groups',
  column: 'sealed_request',
  rowId: approvalGroupId,
})

/** Where the sealed answer of a group is. */
export const resultPlace = (approvalGroupId: string) => ({
  table: 'approval_groups',
  column: 'sealed_result',
  rowId: approvalGroupId,
})

/** Opens the frozen request of a group. Throws when it is not what the group's hash says, or is no longer kept. */
export async function openFrozenRequest(
  keyring: Pick<Keyring, 'openFor'>,
  { appId, approvalGroupId, actionHash }: Pick<Group, 'appId' | 'approvalGroupId' | 'actionHash'>,
  sealed: Buffer | null,
): Promise<FrozenRequest> {
  if (sealed === null) throw new Error('A frozen request was erased; it cannot be shown or sent.')
  const plaintext = await keyring.openFor(appId, requestPlace(approvalGroupId), sealed)
  try {
    return decodeFrozenRequest(plaintext, actionHash)
  } finally {
    plaintext.fill(0)
  }
}

export function heldRequest(group: Group, organizationId: string, request: FrozenRequest): HeldRequest {
  const approvals = group.gates.flatMap((gate) => gate.decisions).filter((given) => given.decision === 'approve')
  return {
    appId: group.appId,
    organizationId,
    approvalGroupId: group.approvalGroupId,
    approvalId: group.executorApprovalId,
    actionHash: group.actionHash,
    request,
    satisfied: group.gates
      .flatMap((gate) => gate.rules)
      .flatMap(({ rule_id, rule_version }) =>
        rule_id === null || rule_version === null ? [] : [{ ruleId: rule_id, ruleVersion: rule_version }],
      ),
    approverIds: [...new Set(approvals.map((given) => given.approverKey))],
    requestedAt: group.requestedAt,
    approvedAt: group.status === 'approved' || group.status === 'executing' ? group.decidedAt : null,
  }
}
