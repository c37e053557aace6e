import {
  cancelApproval,
  decideApprovalAsOperator,
  decideApprovalByLink,
  getApproval,
  LINK_TOKEN_HEADER,
  listApprovals,
  readApprovalPage,
  readApprovalResult,
  readApprovalStatus,
} from '@alter-vault/contracts'
import { type BoundEndpoint, bind, bindFor } from '../http/bind-endpoint.ts'
import { bindForCallers, type Operator, refuseTokens } from '../management/index.ts'
import type { Approvals } from './create-approvals.ts'
import { managedApproval } from './manage-approvals.ts'

/** The endpoints of held requests: SDK calls 3 and 4, the decision page, and what operators see and withdraw. */
export function createApprovalRoutes(approvals: Approvals): BoundEndpoint[] {
  return [
    bindForCallers(readApprovalStatus, ({ principal, params, query, signal }) =>
      approvals.readStatus(principal, params.approval_id, query.wait ?? 0, signal),
    ),
    bindForCallers(readApprovalResult, ({ principal, params }) => approvals.readResult(principal, params.approval_id)),
    bind(readApprovalPage, ({ params, query, headers }) =>
      approvals.readApprovalPage(params.approval_id, headers[LINK_TOKEN_HEADER] ?? '', {
        wholeBody: query.body === 'whole',
      }),
    ),
    bind(decideApprovalByLink, ({ params, body, headers, clientIp }) =>
      approvals.decideByLink(
        {
          approvalId: params.approval_id,
          token: body.link_token,
          clientIp,
          userAgent: headers['user-agent'] ?? null,
        },
        {
          decision: body.decision,
          actionHash: Buffer.from(body.action_hash, 'hex'),
          reason: body.reason?.trim() || null,
        },
      ),
    ),
    bind(listApprovals, ({ params, query }) => approvals.listApprovals(params.app_id, query)),
    bind(getApproval, ({ params }) => approvals.getApproval(params.app_id, params.approval_id)),
    bindFor<'operator', Operator>()(cancelApproval, async ({ principal, params }) =>
      managedApproval(await approvals.cancelApproval(principal, params.app_id, params.approval_id)),
    ),
    refuseTokens(decideApprovalAsOperator),
  ]
}
