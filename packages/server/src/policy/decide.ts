import {
  type DecisionEffect,
  type DecisionObligation,
  type DecisionPhase,
  type DecisionReason,
  type ErrorCode,
  RULE_TARGET_TYPES,
} from '@alter-vault/contracts'
import { type ApprovalDefaults, type FiredHold, type GatePlan, planGates } from './approval-gate.ts'
import type { CompiledRules } from './compile-rules.ts'
import { UNKNOWN } from './fact.ts'
import type { BudgetUse, Firing } from './firing.ts'
import { createMoment, type Moment } from './moment.ts'
import type { PolicyContext, PolicyRequest } from './policy-context.ts'
import type { CompiledRule } from './rule-list.ts'
import { createRuleList, type RuleList } from './rule-list.ts'

/** How much CPU time a whole evaluation may take, in milliseconds. */
export const EVALUATION_LIMIT_MS = 50

export type DecideInput = {
  /** The compiled rules of the app and its organization. */
  rules: CompiledRules
  /** The one-off rule of this request. Not evaluated in phase `execution`: it bound the request when it was frozen. */
  requestRule?: CompiledRule | null
  context: PolicyContext
  /** The instant to judge, in milliseconds since the Unix epoch. */
  atMs: number
  phase: DecisionPhase
  /** Hold rules that people have already agreed to: rule id → version. A rule changed since then holds again. */
  satisfiedHolds?: ReadonlyMap<string, number>
  approvalDefaults: ApprovalDefaults
  budget: {
    /** Monotonic milliseconds. */
    monotonic(): number
    /** CPU milliseconds of this thread. Costs more than the clock, so it is asked at the start and once the clock says it is late. */
    cpuMs(): number
    /** {@link EVALUATION_LIMIT_MS} when absent. */
    limitMs?: number
  }
}

/** A use of a budget that a decision asks for, and the rule that asks. */
export type RuleCharge = BudgetUse & { readonly rule: CompiledRule }

/** What was decided. An outcome, not an error: a denial carries its reasons and no stack. */
export type Decision = {
  readonly effect: DecisionEffect
  /** The code of the refusal when the effect is `deny`, else null. */
  readonly error: ErrorCode | null
  readonly phase: DecisionPhase
  readonly atMs: number
  /** Ordered: enforced before shadow, deny before hold, then by target, then by rule id. */
  readonly reasons: readonly DecisionReason[]
  /** What the effect would be if every shadow rule were enforced. */
  readonly shadowEffect: DecisionEffect
  readonly obligations: readonly DecisionObligation[]
  /** The gates to open when the effect is `hold`; the first is the executor gate. */
  readonly gates: readonly GatePlan[]
  /**
   * Budgets to charge with the intent row (or when the request is frozen). None when the effect is `deny` or the phase is not
   * `request`. A refused one goes through `refuseSpentBudgets`.
   */
  readonly charges: readonly RuleCharge[]
  readonly rulesEvaluated: number
  /** Every denial passes with time alone. */
  readonly retryable: boolean
  readonly retryAfterSeconds: number | null
  readonly durationUs: number
}

/**
 * Judges one use of a credential by every rule on its targets. Deny beats hold beats pass; nothing a rule says widens. Pure: reads
 * the context, charges nothing, and does not stop at the first denial, so that the record names every reason.
 *
 * A hold in retrieve mode is the denial `hitl_grant_requires_proxy`. An evaluation over its time is the denial `policy_timeout`.
 */
export function decide(input: DecideInput): Decision {
  const { context, atMs, phase, budget } = input
  const startedMs = budget.monotonic()
  const startedCpuMs = budget.cpuMs()
  const limitMs = budget.limitMs ?? EVALUATION_LIMIT_MS
  const moment = createMoment(context, atMs, phase)
  const found = createFindings()
  let rulesEvaluated = 0
  let inTime = true

  const { request } = context
  visitRules(input, (list) => {
    const rules = request === UNKNOWN || context.mode !== 'proxy' ? list.all : rulesAbout(list, request)
    rulesEvaluated += list.all.length - rules.length
    for (const rule of rules) {
      if (!inTime) return
      if (rule.expiresAtMs <= atMs) continue
      rulesEvaluated++
      const firing = rule.evaluate(moment)
      if (firing !== null) found.add(rule, firing, input)
      // The clock also runs while other processes have the CPU, which is no reason to deny.
      inTime = budget.monotonic() - startedMs <= limitMs || budget.cpuMs() - startedCpuMs <= limitMs
    }
  })
  if (context.user !== null && context.user.status !== 'active') {
    found.refuse('user_not_active', 'The user is not active.')
  }
  if (!inTime) found.refuse('policy_timeout', 'The rules took too long to evaluate.')
  return conclude(found, {
    moment,
    approvalDefaults: input.approvalDefaults,
    rulesEvaluated,
    durationUs: Math.round((budget.monotonic() - startedMs) * 1000),
  })
}

/** What is left out by method must be back where another method may be meant. That is looked for only when something was left out. */
function rulesAbout(list: RuleList, request: PolicyRequest): readonly CompiledRule[] {
  const rules = list.about(request.method, request.host)
  return rules.length < list.all.length && request.namesOtherMethod ? list.all : rules
}

/** Shows the rules on everything that a use involves, target by target. */
export function visitRules(
  { rules, context, requestRule, phase }: Pick<DecideInput, 'rules' | 'context' | 'requestRule' | 'phase'>,
  visit: (list: RuleList) => void,
): void {
  visit(rules.everywhere)
  visit(rules.of('organization', context.organizationId))
  visit(rules.of('app', context.app.id))
  visit(rules.of('provider', context.provider.id))
  if (context.agent !== null) visit(rules.of('agent', context.agent.id))
  visit(rules.of('grant', context.grant.id))
  for (const ancestorId of context.grant.ancestorIds) visit(rules.of('grant', ancestorId))
  visit(rules.of('key', context.key.id))
  if (requestRule && phase !== 'execution') visit(createRuleList([requestRule]))
}

type FiredHoldReason = FiredHold & { reason: DecisionReason }
type Findings = {
  reasons: DecisionReason[]
  holds: FiredHoldReason[]
  charges: RuleCharge[]
  redactedFields: string[]
  shadowHolds: boolean
  shadowDenies: boolean
  add(rule: CompiledRule, firing: Firing, input: DecideInput): void
  refuse(code: ErrorCode, message: string): void
}

function createFindings(): Findings {
  const found: Findings = {
    reasons: [],
    holds: [],
    charges: [],
    redactedFields: [],
    shadowHolds: false,
    shadowDenies: false,

    add(rule, firing, { satisfiedHolds, phase }) {
      switch (firing.kind) {
        case 'deny':
          found.reasons.push(denialReason(rule, firing))
          if (rule.shadow) found.shadowDenies = true
          return
        case 'hold': {
          if (rule.id !== null && rule.version !== null && satisfiedHolds?.get(rule.id) === rule.version) return
          const reason = reasonOf(
            rule,
            'approval_required',
            'hold',
            'People must agree to this request.',
            firing.details,
          )
          found.reasons.push(reason)
          if (rule.shadow) found.shadowHolds = true
          else found.holds.push({ reason, rule: gateRuleOf(rule), approval: firing.approval })
          return
        }
        case 'redact':
          if (!rule.shadow) found.redactedFields.push(...firing.fields)
          return
        case 'charge':
          if (phase !== 'request') return
          found.charges.push({
            ...firing.use,
            rule,
            counterId: rule.shadow ? `shadow:${firing.use.counterId}` : firing.use.counterId,
          })
          return
      }
    },

    refuse(code, message) {
      found.reasons.push(baseReason(code, message))
    },
  }
  return found
}

function conclude(
  found: Findings,
  run: { moment: Moment; approvalDefaults: ApprovalDefaults; rulesEvaluated: number; durationUs: number },
): Decision {
  const { atMs, phase, context } = run.moment
  const isRetrieve = context.mode === 'retrieve'
  const hasDenial = found.reasons.some(isEnforcedDenial)
  if (isRetrieve && found.holds.length > 0 && !hasDenial) {
    found.refuse('hitl_grant_requires_proxy', 'This use needs approval, which only a proxied request can wait for.')
  }
  const reasons = found.reasons.length > 1 ? found.reasons.sort(compareReasons) : found.reasons
  const isDenied = hasDenial || (isRetrieve && found.holds.length > 0)
  const effect: DecisionEffect = isDenied ? 'deny' : found.holds.length > 0 ? 'hold' : 'allow'
  const holds = effect === 'hold' ? found.holds.sort((a, b) => compareReasons(a.reason, b.reason)) : []
  return {
    effect,
    ...refusalOf(reasons, atMs),
    phase,
    atMs,
    reasons,
    shadowEffect:
      isDenied || found.shadowDenies || (isRetrieve && found.shadowHolds)
        ? 'deny'
        : effect === 'hold' || found.shadowHolds
          ? 'hold'
          : 'allow',
    obligations:
      isDenied || found.redactedFields.length === 0
        ? []
        : [{ type: 'redact', fields: [...new Set(found.redactedFields)].sort() }],
    gates: holds.length === 0 ? [] : planGates(holds, run.approvalDefaults),
    charges: isDenied ? [] : found.charges,
    rulesEvaluated: run.rulesEvaluated,
    durationUs: run.durationUs,
  }
}

/** A budget that had nothing left when its charge was stored. */
export type SpentBudget = { charge: RuleCharge; retryAtMs?: number }

/**
 * The decision after some of its charges were refused: a denial with `quota_exceeded`, and no other charge may be kept. Refused
 * charges of shadow rules are recorded only; the effect stays and the remaining charges are to be stored.
 */
export function refuseSpentBudgets(decision: Decision, spent: readonly SpentBudget[]): Decision {
  if (spent.length === 0) return decision
  const reasons = [...decision.reasons, ...spent.map((each) => spentReason(each))].sort(compareReasons)
  const isDenied = spent.some(({ charge }) => !charge.rule.shadow)
  const hasShadow = spent.some(({ charge }) => charge.rule.shadow)
  const refused = new Set(spent.map(({ charge }) => charge))
  return {
    ...decision,
    reasons,
    shadowEffect: isDenied || hasShadow ? 'deny' : decision.shadowEffect,
    charges: isDenied ? [] : decision.charges.filter((charge) => !refused.has(charge)),
    ...(isDenied ? { effect: 'deny' as const, gates: [], obligations: [] } : {}),
    ...refusalOf(reasons, decision.atMs),
  }
}

function spentReason({ charge, retryAtMs }: SpentBudget): DecisionReason {
  const message = `The budget of ${charge.limit} uses is spent.`
  const at = retryAtMs ?? charge.retryAtMs()
  return {
    ...reasonOf(charge.rule, 'quota_exceeded', 'deny', message, { limit: charge.limit }),
    retryable_at: new Date(at).toISOString(),
  }
}

/** The first enforced denial, except that a spent budget gives way: waiting would not help against the other. */
function refusalOf(
  reasons: readonly DecisionReason[],
  atMs: number,
): Pick<Decision, 'error' | 'retryable' | 'retryAfterSeconds'> {
  const denials = reasons.filter(isEnforcedDenial)
  const first = denials.find(({ code }) => code !== 'quota_exceeded') ?? denials[0]
  if (first === undefined) return { error: null, retryable: false, retryAfterSeconds: null }
  const error = first.code as ErrorCode
  if (denials.some(({ retryable_at }) => retryable_at === null)) {
    return { error, retryable: false, retryAfterSeconds: null }
  }
  const latestMs = Math.max(...denials.map(({ retryable_at }) => Date.parse(retryable_at!)))
  return { error, retryable: true, retryAfterSeconds: Math.max(1, Math.ceil((latestMs - atMs) / 1000)) }
}

function isEnforcedDenial(reason: DecisionReason): boolean {
  return reason.effect === 'deny' && !reason.shadow
}

function denialReason(rule: CompiledRule, firing: Firing & { kind: 'deny' }): DecisionReason {
  const reason = reasonOf(rule, firing.code, 'deny', firing.message, firing.details)
  if (firing.retryableAtMs !== undefined) reason.retryable_at = new Date(firing.retryableAtMs).toISOString()
  return reason
}

function reasonOf(
  rule: CompiledRule,
  code: ErrorCode | 'approval_required',
  effect: 'deny' | 'hold',
  message: string,
  details: Record<string, unknown>,
): DecisionReason {
  return {
    code,
    effect,
    rule_id: rule.id,
    rule_version: rule.version,
    rule_type: rule.type,
    rule_name: rule.name,
    target: rule.target,
    managed_by: rule.managedBy,
    shadow: rule.shadow,
    message,
    retryable_at: null,
    details: rule.managedBy === 'user' ? { ...details, managed_by: 'user' } : details,
  }
}

function baseReason(code: ErrorCode, message: string): DecisionReason {
  return {
    code,
    effect: 'deny',
    rule_id: null,
    rule_version: null,
    rule_type: null,
    rule_name: null,
    target: null,
    managed_by: null,
    shadow: false,
    message,
    retryable_at: null,
    details: {},
  }
}

function gateRuleOf(rule: CompiledRule): FiredHold['rule'] {
  return {
    rule_id: rule.id,
    rule_version: rule.version,
    rule_name: rule.name,
    target_type: rule.target.type,
    managed_by: rule.managedBy,
  }
}

const TARGET_ORDER: readonly (string | undefined)[] = [undefined, ...RULE_TARGET_TYPES, 'request']

/** The order of docs/spec/decisions-and-rules.md#the-decision-record; refusals that no rule made come first. */
function compareReasons(a: DecisionReason, b: DecisionReason): number {
  return (
    Number(a.shadow) - Number(b.shadow) ||
    Number(a.effect === 'hold') - Number(b.effect === 'hold') ||
    TARGET_ORDER.indexOf(a.target?.type) - TARGET_ORDER.indexOf(b.target?.type) ||
    compareText(a.rule_id ?? '', b.rule_id ?? '') ||
    compareText(a.code, b.code)
  )
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
