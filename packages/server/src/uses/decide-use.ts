import type { DecisionPhase, DecisionRecord } from '@alter-vault/contracts'
import { type Clock, threadCpuMs } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError, type VaultErrorOptions } from '../kernel/vault-error.ts'
import { agentScopesAt } from '../keys/index.ts'
import type { Caller } from '../management/index.ts'
import { type Decision, decide, refuseSpentBudgets, type SpentBudget } from '../policy/decide.ts'
import { decisionRecord, reasonsForCaller } from '../policy/decision-record.ts'
import { UNKNOWN } from '../policy/fact.ts'
import type { PolicyContext } from '../policy/policy-context.ts'
import type { CompiledRule } from '../policy/rule-list.ts'
import type { AppPolicy } from './app-policy.ts'
import type { GrantFacts } from './grant-facts.ts'
import { type PreparedCall, policyRequestOf } from './prepare-call.ts'

/** One use, as its decision sees it. */
export type UseView = {
  caller: Caller
  grant: GrantFacts
  lastUsedAtMs: number | null
  reason: string | null
  /** Null: the credential is retrieved, and what will be done with it cannot be known. */
  call: PreparedCall | null
  declared: { method: string; url: string } | null
}

/** The moment of a decision, and what was agreed to before. */
export type DecideOptions = {
  phase: DecisionPhase
  requestRule: CompiledRule | null
  satisfiedHolds?: ReadonlyMap<string, number>
  approval?: PolicyContext['approval']
}

/** A decision with the id and record that rows and answers carry. */
export type UseDecision = { decision: Decision; record: DecisionRecord }

/** The context document for one use (docs/spec/decisions-and-rules.md#the-context-document). */
export function contextOf(use: UseView, nowMs: number, approval: PolicyContext['approval'] = null): PolicyContext {
  const { caller, grant, call } = use
  const { agent } = caller
  const { tool, framework, run_id, thread_id, parent_agent, ...extra } = caller.context
  return {
    mode: call === null ? 'retrieve' : 'proxy',
    organizationId: caller.organizationId,
    app: { id: caller.appId, environment: caller.appEnvironment },
    provider: { id: grant.target.providerId, kind: grant.target.kind },
    // Without a key there is no id that a rule could name.
    key: { id: caller.keyId ?? '', type: caller.keyType, name: caller.keyName ?? '' },
    caller: { name: caller.caller, type: caller.callerType, actorId: caller.actorId },
    agent:
      agent === null
        ? null
        : { id: agent.agentId, name: agent.name, type: agent.type, scopes: agentScopesAt(agent, nowMs) },
    user: caller.user,
    principal: { type: grant.principal.type, id: grant.principal.id ?? caller.appId },
    grant: {
      id: grant.grantId,
      ancestorIds: [],
      kind: grant.target.kind,
      label: grant.label,
      scopes: grant.target.scopes,
      createdAtMs: grant.lifetime.createdAtMs,
      consentedAtMs: null,
      lastUsedAtMs: use.lastUsedAtMs,
      expiresAtMs: grant.lifetime.expiresAtMs,
      delegated: false,
      depth: 0,
    },
    clientIp: caller.clientIp,
    request: call === null ? UNKNOWN : policyRequestOf(call),
    declared: use.declared,
    asserted: {
      tool: tool ?? null,
      framework: framework ?? null,
      runId: run_id ?? null,
      threadId: thread_id ?? null,
      parentAgent: parent_agent ?? null,
      extra,
      reason: use.reason,
    },
    approval,
  }
}

/** Judges a use. Pure but for the id and the time it takes. Throws `policy_unavailable` when the evaluator fails. */
export function decideUse(use: UseView, policy: AppPolicy, clock: Clock, options: DecideOptions): UseDecision {
  try {
    return judge(use, policy, clock, options)
  } catch (cause) {
    if (cause instanceof VaultError) throw cause
    throw new VaultError('policy_unavailable', { retryAfterSeconds: 1, cause })
  }
}

function judge(use: UseView, policy: AppPolicy, clock: Clock, options: DecideOptions): UseDecision {
  const atMs = clock.now()
  const context = contextOf(use, atMs, options.approval ?? null)
  const decision = decide({
    rules: policy.rules,
    requestRule: options.requestRule,
    context,
    atMs,
    phase: options.phase,
    ...(options.satisfiedHolds === undefined ? {} : { satisfiedHolds: options.satisfiedHolds }),
    approvalDefaults: policy.approvalDefaults,
    budget: { monotonic: clock.monotonic, cpuMs: threadCpuMs },
  })
  const record = decisionRecord(decision, { decisionId: newId(atMs), policyEpoch: policy.epoch.version, context })
  return { decision, record }
}

/** The same decision after budgets were found spent. */
export function withSpentBudgets({ decision, record }: UseDecision, spent: readonly SpentBudget[]): UseDecision {
  const denied = refuseSpentBudgets(decision, spent)
  return {
    decision: denied,
    record: {
      ...record,
      effect: denied.effect,
      reasons: [...denied.reasons],
      shadow_effect: denied.shadowEffect,
      obligations: [...denied.obligations],
      retryable: denied.retryable,
      retry_after_seconds: denied.retryAfterSeconds,
    },
  }
}

/** The refusal that a denial is answered with; its row holds the record. */
export class Denial extends VaultError {
  readonly record: DecisionRecord

  constructor(code: VaultError['code'], record: DecisionRecord, options: VaultErrorOptions) {
    super(code, options)
    this.record = record
  }
}

export function refusalOf({ decision, record }: UseDecision): Denial {
  const code = decision.error ?? 'policy_denied'
  const first = decision.reasons.find((reason) => reason.code === code && !reason.shadow)
  const hidden = first?.target?.type === 'organization' || first?.managed_by === 'user'
  return new Denial(code, record, {
    ...(first === undefined || hidden ? {} : { message: `${first.message} Nothing was sent.` }),
    fields: {
      decision_id: record.decision_id,
      reasons: reasonsForCaller(decision.reasons),
      policy_error: code,
      retryable: decision.retryable,
    },
    ...(decision.retryAfterSeconds === null ? {} : { retryAfterSeconds: decision.retryAfterSeconds }),
  })
}
