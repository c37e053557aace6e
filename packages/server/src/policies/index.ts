export type {
  ApprovalDefaults,
  GateConfiguration,
  GatePlan,
  GateRule,
} from './approval-gate.ts'
export {
  type CompiledRule,
  type CompiledRules,
  compileRequestRule,
  compileRules,
  type StoredRule,
} from './compile-rules.ts'
export {
  type Charge,
  type DecideInput,
  type Decision,
  decide,
  refuseSpentBudgets,
  type SpentBudget,
} from './decide.ts'
export { decisionRecord, reasonsForCaller } from './decision-record.ts'
export { type Fact, UNKNOWN } from './fact.ts'
export type { BudgetUse } from './firing.ts'
export {
  type CheckRestrictions,
  checkGrantRestrictions,
  compileGrantRestrictions,
  type RestrictedRequest,
  type RestrictionFault,
} from './grant-restrictions.ts'
export {
  createPolicyRequest,
  type GroupFacts,
  type OperationFacts,
  type PolicyContext,
  type PolicyRequest,
  type PolicyRequestParts,
} from './policy-context.ts'
export { parseRequestRule } from './request-rule.ts'
export { createRuleRoutes } from './routes.ts'
export { findRulesOf } from './rule-store.ts'
export { traceRules } from './trace-rules.ts'
export { type RuleDraft, type RuleVerdict, ruleRefusalCode, validateRule } from './validate-rule.ts'
export {
  createWriteRules,
  type ManagedRule,
  type NewRule,
  type TargetExists,
  type WriteRules,
  type WrittenRule,
} from './write-rule.ts'
