import type { CallerReason, DecisionReason, DecisionRecord } from '@alter-vault/contracts'
import { isoOf } from '../kernel/instant.ts'
import { digestContext } from './context-document.ts'
import type { Decision } from './decide.ts'
import { createMoment } from './moment.ts'
import type { PolicyContext } from './policy-context.ts'

/** The decision record (docs/spec/decisions-and-rules.md#the-decision-record), as it is stored with the audit row. Digests the context. */
export function decisionRecord(
  decision: Decision,
  made: { decisionId: string; policyEpoch: number; context: PolicyContext },
): DecisionRecord {
  // In the order of RFC 8785, in which it is stored.
  return {
    context_digest: digestContext(createMoment(made.context, decision.atMs, decision.phase)),
    decision_id: made.decisionId,
    duration_us: decision.durationUs,
    effect: decision.effect,
    evaluated_at: isoOf(decision.atMs),
    obligations: [...decision.obligations],
    phase: decision.phase,
    policy_epoch: made.policyEpoch,
    reasons: [...decision.reasons],
    retry_after_seconds: decision.retryAfterSeconds,
    retryable: decision.retryable,
    rules_evaluated: decision.rulesEvaluated,
    shadow_effect: decision.shadowEffect,
  }
}

/**
 * The reasons as an SDK caller may see them: enforced ones only, and of rules of the organization or of another person just the
 * code and the rule id.
 */
export function reasonsForCaller(reasons: readonly DecisionReason[]): CallerReason[] {
  return reasons
    .filter(({ shadow }) => !shadow)
    .map((reason) => {
      if (reason.target?.type !== 'organization' && reason.managed_by !== 'user') return reason
      const details = reason.managed_by === 'user' ? { managed_by: 'user' as const } : {}
      return { code: reason.code, rule_id: reason.rule_id, details }
    })
}
