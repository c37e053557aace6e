export { createRuleRoutes } from './routes.ts'
export { findRulesOf } from './rule-store.ts'
export {
  createWriteRules,
  type ManagedRule,
  type NewRule,
  type TargetExists,
  type WriteRules,
  type WrittenRule,
} from './write-rule.ts'
