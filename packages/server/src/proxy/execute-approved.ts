import type {
  AttemptRef,
  ClaimedApproval,
  ExecutedResult,
  ExecutionOutcome,
  FrozenRequest,
  HeldRequest,
  WouldBeDenied,
} from '../approvals/index.ts'
import { type AuditLog, appScope, type RowDetail, storedUrl } from '../audit/index.ts'
import { assertAllowedHost } from '../egress/allowed-hosts.ts'
import { canonicalUrl } from '../egress/canonical-url.ts'
import type { HeaderList } from '../egress/header-rules.ts'
import type { Fence, SdkCaller } from '../http/principals.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Faults } from '../kernel/faults.ts'
import type { Log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { AgentFacts } from '../keys/index.ts'
import type { AppPolicy } from './app-policy.ts'
import { decideUse, refusalOf, type Use } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { PreparedCall } from './prepare-call.ts'
import { assertInAgentScope, joinFences, readPolicy } from './proxy-request.ts'
import type { RecordOutcome } from './record-outcome.ts'
import { assertLive, type RestsOn } from './resolve-grant.ts'
import type { SendCall } from './send-call.ts'
import { whoOf, withWhat } from './use-rows.ts'

/*
 * An approved request is sent once (control-plane.md 6.6):
 *
 *   claim ─▶ check again ─▶ intent + sent_at, one transaction ─▶ send ─▶ record
 *              │ no                │ refused                      │ no answer
 *              ▼                   ▼                              ▼
 *            failed              failed, or left to its owner   failed
 *
 * A process that dies leaves the attempt to the next claim, which never sends what may have been sent.
 */

export type ExecuteDeps = {
  clock: Clock
  log: Log
  faults: Faults
  audit: Pick<AuditLog, 'append'>
  findGrant: (appId: string, grantId: string) => Promise<GrantFacts | undefined>
  findAgent: (appId: string, agentId: string) => Promise<AgentFacts | undefined>
  appPolicy: (appId: string) => Promise<AppPolicy>
  forget: (appId: string, subjects: readonly string[]) => void
  sendCall: SendCall
  outcomeOf: RecordOutcome['outcomeOf']
  renewLease: (attempt: AttemptRef) => Promise<boolean>
  recordExecuted: (attempt: AttemptRef, result: ExecutedResult, outcome: ExecutionOutcome) => Promise<unknown>
  recordFailed: (attempt: AttemptRef, executionError: string, detail?: RowDetail) => Promise<unknown>
}

type Checked = {
  call: PreparedCall
  grant: GrantFacts
  policy: AppPolicy
  use: Use
  fences: Fence[]
  decision: Record<string, unknown>
}

const MAX_TRIES = 3
const RENEW_LEASE_EVERY_MS = 40_000

/** It may not be sent now. `record` says which rules say so; null when none was asked. */
type Judged = { kind: 'judged'; refusal: VaultError; record: Record<string, unknown> | null }

type CheckDeps = Pick<ExecuteDeps, 'clock' | 'findGrant' | 'findAgent' | 'appPolicy'>
/** What of a held request the last check looks at. */
type Held = Pick<HeldRequest, 'appId' | 'organizationId' | 'approvalId' | 'request' | 'satisfied' | 'approverIds'>

/**
 * Everything that a revocation, a rule or a clock may have changed since a request was frozen. Throws why it may not be sent; the
 * code of an execution error that differs from the refusal's stands in `fields.execution_error`. `restsOn` hears of every version
 * that the answer rests on, also when it is a refusal.
 */
function createCheckAgain(deps: CheckDeps) {
  return async function checkAgain(
    held: Held,
    restsOn: RestsOn,
  ): Promise<Checked | Judged | { kind: 'stale'; subjects: readonly string[] }> {
    const { request, appId } = held
    const policy = await readPolicy(deps, appId)
    restsOn([policy.fence])
    if (policy.appStatus !== 'live')
      throw new VaultError('key_not_active', { fields: { execution_error: 'app_archived' } })
    const agent = request.agent === null ? null : ((await deps.findAgent(appId, request.agent.id)) ?? null)
    if (agent !== null) restsOn([agent.fence])
    if (request.agent !== null && agent?.status !== 'active') {
      throw new VaultError(agent?.status === 'inactive' ? 'agent_inactive' : 'agent_revoked')
    }
    const grant = await deps.findGrant(appId, request.grant.id)
    if (grant === undefined) throw new VaultError('grant_revoked')
    restsOn(grant.fences)
    const nowMs = deps.clock.now()
    assertLive(grant, { agentId: null }, nowMs)
    assertInAgentScope(agent, grant, nowMs)
    const call = thawedCall(request, grant)
    const caller = callerOf(held, policy)
    const use: Use = { caller, agent, grant, reason: request.reason, call, declared: null, lastUsedAtMs: null }
    const made = decideUse(use, policy, deps.clock, {
      phase: 'execution',
      requestRule: null,
      satisfiedHolds: new Map(held.satisfied.map(({ ruleId, ruleVersion }) => [ruleId, ruleVersion])),
      approval: { id: held.approvalId, approverIds: held.approverIds, edited: false },
    })
    const { effect } = made.decision
    if (effect === 'deny') return { kind: 'judged', refusal: refusalOf(made), record: made.record }
    if (effect === 'hold') return { kind: 'judged', refusal: newHold(), record: made.record }
    const rests = joinFences([policy.fence], grant.fences, agent === null ? [] : [agent.fence])
    return rests.kind === 'stale' ? rests : { call, grant, policy, use, fences: rests.fences, decision: made.record }
  }
}

const executionErrorOf = (error: VaultError): string =>
  typeof error.fields.execution_error === 'string' ? error.fields.execution_error : error.code

/** A rule holds it that its approval does not answer: the rule is new, or was changed since. */
const newHold = (): VaultError => new VaultError('policy_denied', { fields: { execution_error: 'policy_changed' } })

const shown = (refusal: VaultError) => ({
  code: executionErrorOf(refusal),
  message: refusal.message,
  rule_name: null,
})

/** Why a held request would not be sent if it were approved now; empty when it would be. */
export function createWouldBeDenied(deps: CheckDeps): WouldBeDenied {
  const checkAgain = createCheckAgain(deps)
  return async (held) => {
    try {
      const checked = await checkAgain(held, () => undefined)
      return 'kind' in checked && checked.kind === 'judged' ? [shown(checked.refusal)] : []
    } catch (error) {
      if (!(error instanceof VaultError)) throw error
      return [shown(error)]
    }
  }
}

/** Before the intent a refusal ends the request; a store that is away leaves it to recovery, unsent. */
function refusedBeforeIntent(error: unknown): Judged {
  if (!(error instanceof VaultError) || error.status >= 500) throw error
  return { kind: 'judged', refusal: error, record: null }
}

/** Executes one claimed request and records how it ended. Throws only faults of ours; the claim is then recovered by its lease. */
export function createExecuteApproved(deps: ExecuteDeps) {
  const checkAgain = createCheckAgain(deps)

  async function sendClaimed(
    claimed: ClaimedApproval,
    checked: Checked,
  ): Promise<'done' | { kind: 'stale'; subjects: readonly string[] }> {
    const { call, grant, policy, use } = checked
    const who = whoOf(use.caller)
    const startedMs = deps.clock.monotonic()
    const intent = await deps.audit.append(appScope(claimed.appId, claimed.organizationId), {
      rows: [
        {
          ...who,
          ...withWhat(grant),
          event: 'approval.executing',
          eventId: claimed.intentEventId,
          outcome: 'allowed',
          decisionEffect: 'allow',
          approvalId: claimed.approvalId,
          reason: use.reason,
          detail: {
            ...who.detail,
            method: call.method,
            url: storedUrl(call.url.href, grant.secret.injectedNames.queryParams),
            grantLabel: grant.label,
            decision: checked.decision,
            attemptId: claimed.attemptId,
          },
        },
      ],
      fences: checked.fences,
      claim: claimed,
    })
    if (intent.kind === 'stale') return intent
    if (intent.kind !== 'stored') {
      // The lease went to another process, which settles this request.
      deps.log.warn({ approval_group_id: claimed.approvalGroupId, append: intent.kind }, 'an attempt is no longer ours')
      return 'done'
    }
    await deps.faults.at('after_sent_at')
    const end = await deps.sendCall(claimed.appId, call, grant, policy.allowedPrivateHosts, intent.window)
    await deps.faults.at('after_result')
    const { rows, bodies } = deps.outcomeOf(use.caller, grant, call, claimed.intentEventId, end, {
      captureBodies: policy.captureBodies,
      reason: use.reason,
      startedMs,
    })
    const [row, ...also] = rows
    const detail = row?.detail ?? {}
    if (end.kind === 'answered') {
      const { answer } = end
      const result = {
        statusCode: answer.statusCode,
        headers: answer.headers,
        body: answer.body,
        bodyTruncated: answer.truncated,
        durationMs: deps.clock.monotonic() - startedMs,
        credentialHint: grant.credential.hint,
      }
      await deps.recordExecuted(claimed, result, {
        ...(row?.eventId === undefined ? {} : { eventId: row.eventId }),
        detail,
        bodies,
        also,
      })
    } else {
      await deps.recordFailed(claimed, end.error.code, detail)
    }
    await deps.faults.at('after_record')
    return 'done'
  }

  /** Ends a request that may not be sent, if what that rests on still holds: the end is for good. */
  async function failClaimed(
    claimed: ClaimedApproval,
    { refusal, record }: Judged,
    fences: readonly Fence[],
  ): Promise<'done' | { kind: 'stale'; subjects: readonly string[] }> {
    const rests = joinFences(fences)
    if (rests.kind === 'stale') return rests
    const scope = appScope(claimed.appId, claimed.organizationId)
    const held = await deps.audit.append(scope, { rows: [], fences: rests.fences })
    if (held.kind === 'stale') return held
    await deps.recordFailed(claimed, executionErrorOf(refusal), record === null ? {} : { decision: record })
    return 'done'
  }

  return async function executeApproved(claimed: ClaimedApproval): Promise<void> {
    await deps.faults.at('after_claim')
    const renewing = setInterval(() => void deps.renewLease(claimed).catch(() => undefined), RENEW_LEASE_EVERY_MS)
    try {
      for (let tries = 1; tries <= MAX_TRIES; tries++) {
        const fences: Fence[] = []
        const checked = await checkAgain(claimed, (more) => fences.push(...more)).catch(refusedBeforeIntent)
        const ended =
          'kind' in checked
            ? checked.kind === 'stale'
              ? checked
              : await failClaimed(claimed, checked, fences)
            : await sendClaimed(claimed, checked)
        if (ended === 'done') return
        deps.forget(claimed.appId, ended.subjects)
      }
      await deps.recordFailed(claimed, 'policy_version_drift')
    } finally {
      clearInterval(renewing)
    }
  }
}

export type ExecuteApproved = ReturnType<typeof createExecuteApproved>

/** The frozen bytes as a call, held against the grant as it is now. */
function thawedCall(request: FrozenRequest, grant: GrantFacts): PreparedCall {
  const url = canonicalUrl(request.url)
  assertAllowedHost(grant.secret.allowedHosts, url)
  if (grant.checkRestrictions?.({ method: request.method, ...url }) != null) throw new VaultError('grant_restriction')
  return {
    method: request.method,
    url,
    headers: request.headers.map(([name, value]) => [name, value]) as HeaderList,
    body: request.body ?? undefined,
    dropped: { headers: [], queryParams: [] },
  }
}

/** Who asked, as frozen: rules on key, caller and address judge the requester, never the approver. */
function callerOf({ request, appId, organizationId }: Held, policy: AppPolicy): SdkCaller {
  return {
    appId,
    organizationId,
    appEnvironment: policy.appEnvironment,
    keyId: request.key.id,
    keyPrefix: request.key.prefix,
    keyName: request.key.name,
    keyType: request.key.type,
    agentId: request.agent?.id ?? null,
    agentName: request.agent?.name ?? null,
    impersonated: false,
    caller: request.caller,
    callerType: request.callerType,
    actorId: request.actorId,
    context: request.context,
    clientIp: request.clientIp,
    userAgent: request.userAgent,
    traceId: request.traceId,
    scopes: [],
    answerHeaders: {},
    requestRule: null,
    nonce: { ts: 0, digest: Buffer.alloc(0) },
    fences: [],
  }
}
