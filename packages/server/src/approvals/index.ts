import { type ApprovalsDeps, approvalUseCases } from './create-approvals.ts'
import { countWaiting } from './due-work-store.ts'
import { createApprovalRoutes } from './routes.ts'

export type { Whose, WithdrawnReason } from './approval.ts'
export type { AttemptRef, ClaimedApproval } from './claim-approved.ts'
export type { Approvals, ApprovalsDeps } from './create-approvals.ts'
export type { ApprovalRef, Executions } from './decide-approval.ts'
export { endApprovalsWith } from './end-waiting-approvals.ts'
export type { FrozenRequest } from './frozen-request.ts'
export type { HeldRequest, WouldBeDenied } from './held-request.ts'
export type { ExecutedResult, ExecutionOutcome, Recorded } from './record-execution.ts'
export type { RequestApproval } from './request-approval.ts'

/** Held requests: from the freezing to the recorded answer. Sending is the proxy's. */
export function createApprovals(deps: ApprovalsDeps) {
  const approvals = approvalUseCases(deps)
  return {
    ...approvals,
    routes: createApprovalRoutes(approvals),
    jobs: [{ name: 'due approvals', everyMs: 1_000, run: approvals.runDueWork }],
    metrics: [
      {
        name: 'alter_approvals_waiting',
        help: 'Held requests that wait for a decision, in every app.',
        read: () => deps.db.unscoped(countWaiting),
      },
    ],
  }
}
