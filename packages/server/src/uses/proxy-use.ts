import type { CallerDecisionRecord, PendingApproval, ProxyRequestBody, ProxyResult } from '@alter-vault/contracts'
import type Type from 'typebox'
import { appScope, type ChangeConditions, ConditionRefused } from '../audit/index.ts'
import { inlineResultHeaders } from '../egress/header-rules.ts'
import { newId } from '../kernel/ids.ts'
import { reasonsForCaller } from '../policy/decision-record.ts'
import type { UseDecision } from './decide-use.ts'
import { prepareCall } from './prepare-call.ts'
import { createPresentedUse, type Incoming, type PresentedDeps, reasonOf, withDecision } from './presented-use.ts'
import type { RecordOutcome } from './record-outcome.ts'
import type { SendCall, SendEnd } from './send-call.ts'
import type { AdmittedUse, CallUse, Charges, Ended, NotStored, Use, UseKind } from './use-kind.ts'
import { intentRow } from './use-rows.ts'

/** What is answered: the provider's answer, or that people have to agree first, or what would be decided. */
export type Outgoing =
  | { kind: 'answered'; result: ProxyResult }
  | { kind: 'held'; pending: Type.Static<typeof PendingApproval> }
  | { kind: 'simulated'; record: CallerDecisionRecord }

type Given = Incoming<ProxyRequestBody>

/** A held request, with the conditions that an intent would have had. */
export type HoldRequest = {
  use: CallUse
  judgment: UseDecision
  conditions: ChangeConditions
}

export type ProxyUseDeps = PresentedDeps & {
  sendCall: SendCall
  recordOutcome: RecordOutcome['recordOutcome']
  /** Freezes the request and opens its gates, under the same conditions as an intent. */
  hold: (request: HoldRequest) => Promise<Type.Static<typeof PendingApproval>>
}

export type ProxyUse = UseKind<Given, ProxyRequestBody, SendEnd, Outgoing>

/** SDK call 2: sends one call with the credential and answers what came back. */
export function createProxyUse(deps: ProxyUseDeps): ProxyUse {
  const { clock, audit } = deps

  async function simulated(
    use: Use<Given, ProxyRequestBody>,
    judgment: UseDecision,
  ): Promise<Ended<Outgoing> | NotStored> {
    const { columns, attempt, versions } = use
    const record = { ...judgment.record, phase: 'simulation' as const }
    const row = {
      ...columns,
      event: 'policy.simulated' as const,
      outcome: 'success' as const,
      decisionEffect: judgment.decision.effect,
      reason: use.reason,
      detail: { ...columns.detail, method: use.call?.method ?? null, decision: record },
    }
    const { caller, nonce } = attempt
    const scope = appScope(caller.appId, caller.organizationId)
    const stored = await audit.append(scope, { rows: [row], fences: versions, nonce })
    if (stored.kind !== 'stored') return stored
    const shown = { ...record, reasons: reasonsForCaller(judgment.decision.reasons) }
    return { kind: 'ended', result: { kind: 'simulated', record: shown } }
  }

  async function hold(use: Use<Given, ProxyRequestBody>, judgment: UseDecision, charges: Charges) {
    const { nonce } = use.attempt
    const conditions = { fences: use.versions, charges, nonce }
    try {
      const pending = await deps.hold({ use: use as CallUse, judgment, conditions })
      return { kind: 'ended' as const, result: { kind: 'held' as const, pending } }
    } catch (error) {
      if (error instanceof ConditionRefused) return error.result
      throw error
    }
  }

  async function record(admitted: AdmittedUse<Given, ProxyRequestBody>, end: SendEnd): Promise<void> {
    await deps.recordOutcome(admitted, end)
    deps.noteUse(admitted.use.caller, admitted.use.grant)
  }

  function result({ use, judgment, startedMs }: AdmittedUse<Given, ProxyRequestBody>, end: SendEnd): Outgoing {
    if (end.kind === 'failed') throw withDecision(end.error, judgment)
    const { answer } = end
    const result = {
      status_code: answer.statusCode,
      body_b64: answer.body.toString('base64'),
      headers: inlineResultHeaders(answer.headers),
      body_truncated: answer.truncated,
      duration_ms: Math.round(clock.monotonic() - startedMs),
      credential_hint: use.grant.credential.hint,
      ...(reasonOf(use.request.reason).truncated ? { reason_truncated: true as const } : {}),
    }
    return { kind: 'answered', result }
  }

  return {
    ...createPresentedUse<ProxyRequestBody>(deps, 'proxy', 'proxy:execute'),
    requestColumns: ({ method, url, reason }) => ({
      method: method.slice(0, 32),
      url,
      reason: reasonOf(reason).text,
      declared: false,
    }),
    prepare: (request, grant, policy) => ({ call: prepareCall(request, grant, policy), declared: null }),
    onlyDecide: (use, judgment) => (use.request.dry_run === true ? simulated(use, judgment) : null),
    hold,
    intent: (use, judgment, intentId) => ({ rows: [intentRow('proxy', use, judgment.record, intentId)] }),
    intentId: () => newId(clock.now()),
    perform: ({ use, window }) => deps.sendCall(use as CallUse, window, use.given.room),
    record,
    result,
  }
}
