import type {
  AttemptRef,
  ClaimedApproval,
  ExecutedResult,
  ExecutionOutcome,
  FrozenRequest,
} from '../approvals/index.ts'
import { type AuditLog, appScope, type RowDetail, storedUrl } from '../audit/index.ts'
import type { ByteBudget } from '../kernel/byte-budget.ts'
import type { Faults } from '../kernel/faults.ts'
import type { Log } from '../kernel/log.ts'
import { isStale, joinVersions, type Stale } from '../kernel/read-versions.ts'
import { createAnswerRoom } from './answer-room.ts'
import { Denial, type UseDecision } from './decide-use.ts'
import { createLastCheck, executionErrorOf, type FactDeps } from './last-check.ts'
import type { RecordOutcome } from './record-outcome.ts'
import type { RunUse } from './run-use.ts'
import type { SendCall, SendEnd } from './send-call.ts'
import type { AdmittedUse, CallUse, Refusal, Use, UseKind } from './use-kind.ts'

/*
 * An approved request is sent once (docs/spec/approvals.md#execution):
 *
 *   claim ─▶ check again ─▶ intent + sent_at, one transaction ─▶ send ─▶ record
 *              │ no                │ refused                      │ no answer
 *              ▼                   ▼                              ▼
 *            failed              failed, or left to its owner   failed
 *
 * A process that dies leaves the attempt to the next claim, which never sends what may have been sent.
 */

export type ExecutionDeps = FactDeps & {
  log: Log
  audit: Pick<AuditLog, 'append'>
  sendCall: SendCall
  answers: ByteBudget
  outcomeOf: RecordOutcome['outcomeOf']
  recordExecuted: (attempt: AttemptRef, result: ExecutedResult, outcome: ExecutionOutcome) => Promise<unknown>
  recordFailed: (attempt: AttemptRef, executionError: string, detail?: RowDetail) => Promise<unknown>
}

type Done = { kind: 'done' }
const DONE: Done = { kind: 'done' }

/** The kind of use that an approved request is. */
function createExecutionUse(deps: ExecutionDeps): UseKind<ClaimedApproval, FrozenRequest, SendEnd, Done> {
  type Admitted = AdmittedUse<ClaimedApproval, FrozenRequest>

  function intent(
    { given, columns, grant, call, reason }: Use<ClaimedApproval, FrozenRequest>,
    judgment: UseDecision,
    eventId: string,
  ) {
    const row = {
      ...columns,
      event: 'approval.executing' as const,
      eventId,
      outcome: 'allowed' as const,
      decisionEffect: 'allow' as const,
      approvalId: given.approvalId,
      reason,
      detail: {
        ...columns.detail,
        method: call!.method,
        url: storedUrl(call!.url.href, grant.target.injectedNames.queryParams),
        grantLabel: grant.label,
        decision: judgment.record,
        attemptId: given.attemptId,
      },
    }
    return { rows: [row], claim: given }
  }

  async function record(admitted: Admitted, end: SendEnd): Promise<void> {
    const { rows, bodies } = deps.outcomeOf(admitted, end)
    const { use, startedMs } = admitted
    const [row, ...also] = rows
    const detail = row?.detail ?? {}
    if (end.kind === 'failed') return void (await deps.recordFailed(use.given, end.error.code, detail))
    const { answer } = end
    const result = {
      statusCode: answer.statusCode,
      headers: answer.headers,
      body: answer.body,
      bodyTruncated: answer.truncated,
      durationMs: deps.clock.monotonic() - startedMs,
      credentialHint: use.grant.credential.hint,
    }
    const eventId = row?.eventId === undefined ? {} : { eventId: row.eventId }
    await deps.recordExecuted(use.given, result, { ...eventId, detail, bodies, also })
  }

  /** Ends a request that may not be sent. A store that is away leaves it to recovery, unsent. */
  async function refuse(
    claimed: ClaimedApproval,
    { error, versions }: Pick<Refusal, 'error' | 'versions'>,
  ): Promise<Done | Stale> {
    if ('append' in error.log) {
      // The lease went to another process, which settles this request.
      deps.log.warn({ approval_group_id: claimed.approvalGroupId, ...error.log }, 'an attempt is no longer ours')
      return DONE
    }
    if (error.status >= 500) throw error
    if (isStale(versions)) return versions
    if (versions.length > 0) {
      const scope = appScope(claimed.appId, claimed.organizationId)
      const kept = await deps.audit.append(scope, { rows: [], fences: versions })
      if (kept.kind === 'stale') return kept
    }
    await deps.recordFailed(claimed, executionErrorOf(error), error instanceof Denial ? { decision: error.record } : {})
    return DONE
  }

  return {
    ...createLastCheck(deps),
    onlyDecide: () => null,
    intent,
    intentId: ({ intentEventId }) => intentEventId,
    async perform({ use, window }) {
      const room = createAnswerRoom(deps.answers)
      return deps.sendCall(use as CallUse, window, room).finally(room.release)
    },
    record,
    result: () => DONE,
    refuse,
    refuseCaller: (claimed, { readVersions }, error) =>
      refuse(claimed, { error, versions: joinVersions(readVersions) }),
  }
}

const RENEW_LEASE_EVERY_MS = 40_000

/** Executes one claimed request and records how it ended. Throws only faults of ours; the claim is then recovered by its lease. */
export function createExecuteApproved(
  deps: ExecutionDeps & { runUse: RunUse; faults: Faults; renewLease: (attempt: AttemptRef) => Promise<boolean> },
) {
  const executionUse = createExecutionUse(deps)
  return async function executeApproved(claimed: ClaimedApproval): Promise<void> {
    await deps.faults.at('after_claim')
    const renewing = setInterval(() => void deps.renewLease(claimed).catch(() => undefined), RENEW_LEASE_EVERY_MS)
    try {
      await deps.runUse(executionUse, claimed)
    } finally {
      clearInterval(renewing)
    }
  }
}

export type ExecuteApproved = ReturnType<typeof createExecuteApproved>
