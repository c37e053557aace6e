export { createRules } from './create-rules.ts'
export { findRulesOf } from './rule-store.ts'
export {
  createWriteRules,
  endRulesWith,
  type NewRule,
  type TargetExists,
  type WriteRules,
  type WrittenRule,
} from './write-rule.ts'
