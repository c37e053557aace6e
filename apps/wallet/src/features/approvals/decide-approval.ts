import type { DecisionState } from '@alter-vault/contracts'
import type { ApiCall } from '@alter-vault/web-kit/api-client.ts'
import { decideApprovalByLink } from '@alter-vault/web-kit/generated/endpoints.ts'

type Link = { approvalId: string; token: string }
export type Choice = 'approve' | 'deny'

/** Decides exactly the action that `actionHash` names. Safe to send again: the same decision counts once. */
export const decideApproval = (
  call: ApiCall,
  { approvalId, token }: Link,
  { choice, actionHash, reason }: { choice: Choice; actionHash: string; reason: string },
): Promise<DecisionState> =>
  call(decideApprovalByLink, {
    params: { approval_id: approvalId },
    body: {
      decision: choice,
      action_hash: actionHash,
      link_token: token,
      ...(reason.trim() ? { reason: reason.trim() } : {}),
    },
  })
