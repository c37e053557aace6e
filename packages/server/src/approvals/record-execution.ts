import { HELD_BODY_MAX_BYTES } from '@alter-vault/contracts'
import type { AuditLog, KeptBody, RecordEvent, RowDetail, RowDraft } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Tx } from '../db/database.ts'
import { type HeaderList, storedResultHeaders } from '../egress/header-rules.ts'
import type { Attempt, Group } from './approval.ts'
import { serverRow } from './approval-row.ts'
import { findGroup, moveGroup, readApp } from './approval-store.ts'
import { endAttempt, findOpenAttempt } from './attempt-store.ts'
import type { AttemptRef } from './claim-approved.ts'
import { dropWork, scheduleWork } from './due-work-store.ts'
import { resultPlace } from './held-request.ts'
import type { ReadAppScope } from './read-app-scope.ts'
import { encodeStoredResult } from './stored-result.ts'

/** A provider's answer, already searched for the credential. Any status is an answer. */
export type ExecutedResult = {
  statusCode: number
  /** As they came; `set-cookie` and hop-by-hop headers are dropped here. */
  headers: HeaderList
  body: Buffer
  /** The body was cut before it came here. */
  bodyTruncated: boolean
  durationMs: number
  credentialHint: string | null
}

/** What the outcome row says of the call, beside what the engine knows itself. */
export type ExecutionOutcome = {
  eventId?: string
  detail?: RowDetail
  bodies?: readonly KeptBody[]
  /** Rows that the call gave rise to besides. */
  also?: readonly RowDraft[]
}

/** `stale`: the attempt ended or is another's, and nothing was written. */
export type Recorded = 'recorded' | 'stale'

type Deps = {
  audit: Pick<AuditLog, 'change'>
  keyring: Pick<Keyring, 'sealFor'>
  readAppScope: ReadAppScope
  announce: (approvalGroupId: string) => void
}

/** Ends attempts: state, sealed answer and outcome row in one transaction, by the owner of the latest lease only. */
export function createRecordExecution({ audit, keyring, readAppScope, announce }: Deps) {
  /** The provider answered. `outcome` describes the call as the outcome row of any other call does. */
  async function recordExecuted(
    attempt: AttemptRef,
    result: ExecutedResult,
    outcome: ExecutionOutcome = {},
  ): Promise<Recorded> {
    const { appId, approvalGroupId } = attempt
    const sealedResult = await keyring.sealFor(
      appId,
      resultPlace(approvalGroupId),
      encodeStoredResult({
        status_code: result.statusCode,
        headers: storedResultHeaders(result.headers),
        body_b64: result.body.subarray(0, HELD_BODY_MAX_BYTES).toString('base64'),
        body_truncated: result.bodyTruncated || result.body.length > HELD_BODY_MAX_BYTES,
        duration_ms: Math.max(0, Math.round(result.durationMs)),
        credential_hint: result.credentialHint,
      }),
    )
    return end(attempt, async (tx, record, group, open, now) => {
      if (open.sentAt === null) throw new Error('An answer to a request that was never sent cannot be recorded.')
      const { settings } = await readApp(tx, appId)
      const resultExpiresAt = new Date(now.getTime() + settings.approval_result_ttl_seconds * 1_000)
      await endAttempt(tx, appId, attempt.attemptId, 'executed', now)
      const executed = await moveGroup(tx, group, 'executed', { executedAt: now, sealedResult, resultExpiresAt })
      await scheduleWork(tx, { kind: 'approval_result_erasure', appId, subjectId: approvalGroupId }, resultExpiresAt)
      record(
        {
          ...serverRow(executed),
          ...(outcome.eventId === undefined ? {} : { eventId: outcome.eventId }),
          event: 'approval.executed',
          outcome: result.statusCode < 400 ? 'success' : 'provider_error',
          intentId: attempt.intentEventId,
          detail: { responseStatus: result.statusCode, ...outcome.detail, attemptId: attempt.attemptId },
        },
        outcome.bodies,
      )
      for (const also of outcome.also ?? []) record(also)
    })
  }

  /**
   * No usable answer exists: refused at the last check, or sent without an answer. `executionError` is `<code>` or
   * `<code>: <short text>`, without any secret. `detail.decision` of what was not sent is the decision that refused it.
   */
  async function recordFailed(attempt: AttemptRef, executionError: string, detail: RowDetail = {}): Promise<Recorded> {
    const code = executionError.split(':', 1)[0]!
    return end(attempt, async (tx, record, group, open, now) => {
      const sent = open.sentAt !== null
      const judged = sent ? undefined : detail.decision
      await endAttempt(tx, attempt.appId, attempt.attemptId, 'failed', now)
      const failed = await moveGroup(tx, group, 'failed', { executionError })
      record({
        ...serverRow(failed),
        event: 'approval.failed',
        outcome: sent ? 'network_error' : judged ? 'policy_denied' : 'refused',
        ...(judged ? { decisionEffect: judged.effect as 'deny' | 'hold' } : {}),
        primaryReason: code,
        intentId: sent ? attempt.intentEventId : null,
        detail: { ...detail, errorCode: code, attemptId: attempt.attemptId },
      })
    })
  }

  async function end(
    attempt: AttemptRef,
    write: (tx: Tx, record: RecordEvent, group: Group, open: Attempt, now: Date) => Promise<void>,
  ): Promise<Recorded> {
    const { appId, approvalGroupId } = attempt
    const recorded = await audit.change(await readAppScope(appId), async (tx, record) => {
      const held = await findGroup(tx, appId, approvalGroupId, { lock: true })
      const open = await findOpenAttempt(tx, appId, approvalGroupId)
      if (held?.group.status !== 'executing' || open === null || !isSame(open, attempt)) return 'stale'
      await write(tx, record, held.group, open, held.now)
      await dropWork(tx, { kind: 'approval_execution', appId, subjectId: approvalGroupId })
      return 'recorded'
    })
    announce(approvalGroupId)
    return recorded
  }

  return { recordExecuted, recordFailed }
}

const isSame = (open: Attempt, mine: AttemptRef): boolean =>
  open.attemptId === mine.attemptId && open.owner === mine.owner && open.leaseNumber === mine.leaseNumber
