import type { AuditLog, RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import { deleteGroupsEndedBefore, eraseRequestsEndedBefore, readApp, readClock } from './approval-store.ts'
import type { ReadAppScope } from './read-app-scope.ts'

const DAY_MS = 86_400_000
/** What one transaction erases, so that it holds its locks briefly. */
const BATCH = 500

type Deps = { audit: Pick<AuditLog, 'change'>; readAppScope: ReadAppScope }

export type ForgottenApprovals = { requestsErased: number; approvalsDeleted: number }

/**
 * Forgets ended approvals by the app's settings: the frozen request after `retain_body_days`, all of the approval after
 * `retain_runtime_days`. What is forgotten and the row that says so are one transaction. Its outcome stays in the audit log.
 */
export function createApplyApprovalRetention({ audit, readAppScope }: Deps) {
  return async function applyRetention(appId: string, signal?: AbortSignal): Promise<ForgottenApprovals> {
    const scope = await readAppScope(appId)
    const total: ForgottenApprovals = { requestsErased: 0, approvalsDeleted: 0 }
    for (let isDone = false; !isDone && signal?.aborted !== true; ) {
      const done = await audit.change(scope, (tx, record) => forgetBatch(tx, appId, record))
      total.requestsErased += done.requestsErased
      total.approvalsDeleted += done.approvalsDeleted
      isDone = done.requestsErased < BATCH && done.approvalsDeleted < BATCH
    }
    return total
  }
}

async function forgetBatch(tx: Tx, appId: string, record: RecordEvent): Promise<ForgottenApprovals> {
  const { settings } = await readApp(tx, appId)
  const now = await readClock(tx)
  const daysAgo = (days: number) => new Date(now.getTime() - days * DAY_MS)
  const approvalsDeleted =
    settings.retain_runtime_days === null
      ? 0
      : await deleteGroupsEndedBefore(tx, appId, daysAgo(settings.retain_runtime_days), BATCH)
  const requestsErased = await eraseRequestsEndedBefore(tx, appId, daysAgo(settings.retain_body_days), BATCH)
  const changes = [
    { field: 'approval_requests_erased', from: null, to: String(requestsErased) },
    { field: 'approvals_deleted', from: null, to: String(approvalsDeleted) },
  ].filter(({ to }) => to !== '0')
  if (changes.length > 0) {
    record({
      event: 'retention.applied',
      callerKind: 'system',
      outcome: 'changed',
      detail: { initiator: 'system', resourceType: 'approval', changes },
    })
  }
  return { requestsErased, approvalsDeleted }
}
