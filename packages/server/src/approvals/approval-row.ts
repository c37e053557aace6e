import type { RowDraft } from '../audit/index.ts'
import type { Group } from './approval.ts'

/** What every row about a held request says of it. The caller kind and outcome are the event's own. */
export function groupRow(group: Group): Pick<RowDraft, 'approvalId' | 'grantId' | 'providerId' | 'traceId'> {
  return {
    approvalId: group.executorApprovalId,
    grantId: group.grantId,
    providerId: group.providerId,
    traceId: group.traceId,
  }
}

/** As `groupRow`, for what the server does by itself on behalf of the requester. */
export function serverRow(group: Group) {
  return {
    ...groupRow(group),
    callerKind: 'system' as const,
    keyId: group.keyId,
    agentId: group.agentId,
    appUserId: group.appUserId,
    reason: group.reason,
  }
}
