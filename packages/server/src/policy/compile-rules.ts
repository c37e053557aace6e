import {
  type CelBody,
  type ContentMatchBody,
  type ErrorCode,
  type GroupMembershipBody,
  type IpAllowlistBody,
  type JsonMatchBody,
  type RateLimitBody,
  type RequestMatchBody,
  type RequestRule,
  type RequireApprovalBody,
  RULE_BODY_VERSION,
  RULE_TARGET_TYPES,
  RULE_TYPES,
  type RuleManagedBy,
  type RuleTargetType,
  type RuleType,
  type TimeWindowBody,
  type TtlBody,
} from '@alter-vault/contracts'
import { checkRuleBody, UNKNOWN_TIMEZONE } from './check-rule-body.ts'
import { deny, type EvaluateRule } from './firing.ts'
import { type CompiledRule, createRuleList, type RuleList } from './rule-list.ts'
import { compileCelRule } from './rule-types/cel.ts'
import { compileContentMatch } from './rule-types/content-match.ts'
import { compileGroupMembership } from './rule-types/group-membership.ts'
import { compileIpAllowlist } from './rule-types/ip-allowlist.ts'
import { compileJsonMatch } from './rule-types/json-match.ts'
import { compileRateLimit } from './rule-types/rate-limit.ts'
import { compileRequestMatch } from './rule-types/request-match.ts'
import { compileRequireApproval } from './rule-types/require-approval.ts'
import { compileTimeWindow } from './rule-types/time-window.ts'
import { compileTtl } from './rule-types/ttl.ts'

/** A rule as the store has it. Nothing in it is trusted: what cannot be understood denies. */
export type StoredRule = {
  id: string
  version: number
  target: { type: string; id: string }
  type: string
  name: string
  body: unknown
  bodyVersion: number
  enabled: boolean
  mode: string
  expiresAtMs: number | null
  managedBy: RuleManagedBy
}

/** The rules of an app, by what they restrict. Rules on other targets cost a decision nothing. */
export type CompiledRules = {
  readonly count: number
  /** The rules on one target, by id. */
  of(type: RuleTargetType, id: string): RuleList
  /** Rules whose target cannot be understood: they meet every request. */
  readonly everywhere: RuleList
}

const NO_RULES = createRuleList([])

/** Compiles the enabled rules of an app and its organization into a frozen set. Never throws for what a rule holds. */
export function compileRules(rules: readonly StoredRule[]): CompiledRules {
  const byTarget = new Map<RuleTargetType, Map<string, CompiledRule[]>>()
  const everywhere: CompiledRule[] = []
  let count = 0
  for (const rule of [...rules].sort((a, b) => (a.id < b.id ? -1 : a.id > b.id ? 1 : 0))) {
    if (rule.enabled === false) continue
    count++
    const compiled = compileRule(rule)
    const { type, id } = rule.target
    if (!isTargetType(type) || typeof id !== 'string') {
      everywhere.push(compiled)
      continue
    }
    const ofType = byTarget.get(type) ?? new Map<string, CompiledRule[]>()
    byTarget.set(type, ofType)
    const ofTarget = ofType.get(id)
    if (ofTarget === undefined) ofType.set(id, [compiled])
    else ofTarget.push(compiled)
  }
  const lists = new Map(
    [...byTarget].map(([type, ofType]) => [type, new Map([...ofType].map(([id, list]) => [id, createRuleList(list)]))]),
  )
  return Object.freeze({
    count,
    of: (type: RuleTargetType, id: string) => lists.get(type)?.get(id) ?? NO_RULES,
    everywhere: createRuleList(everywhere),
  })
}

/** Compiles a checked one-off rule. Its target is the request it came with. */
export function compileRequestRule(rule: RequestRule): CompiledRule {
  return Object.freeze({
    id: null,
    version: null,
    type: rule.rule_type,
    name: null,
    target: Object.freeze({ type: 'request', id: null }),
    managedBy: null,
    shadow: false,
    expiresAtMs: Number.POSITIVE_INFINITY,
    evaluate: compileBody(rule.rule_type, rule.rule_body, 'request'),
  })
}

function compileRule(rule: StoredRule): CompiledRule {
  const { type } = rule.target
  // The rules of an organization have no end; one that was stored with an end must not fall silent by it.
  const expires = rule.expiresAtMs !== null && type !== 'organization'
  return Object.freeze({
    id: rule.id,
    version: rule.version,
    type: rule.type,
    name: rule.name,
    target: Object.freeze(
      isTargetType(type) ? { type, id: rule.target.id } : ({ type: 'organization', id: null } as const),
    ),
    managedBy: rule.managedBy,
    shadow: rule.mode === 'shadow',
    expiresAtMs: expires ? rule.expiresAtMs! : Number.POSITIVE_INFINITY,
    evaluate: compileStoredBody(rule),
  })
}

function compileStoredBody(rule: StoredRule): EvaluateRule {
  if (rule.bodyVersion !== RULE_BODY_VERSION) {
    return always('unknown_rule_version', `The server does not know version ${rule.bodyVersion} of rule bodies.`)
  }
  const invalid = always('invalid_stored_rule', 'A stored rule cannot be understood.')
  const { type, target, mode } = rule
  if (!isRuleType(type) || !isTargetType(target.type) || typeof target.id !== 'string') return invalid
  if ((mode !== 'enforce' && mode !== 'shadow') || rule.enabled !== true) return invalid
  try {
    const remarks = checkRuleBody(type, rule.body)
    if (remarks.length === 0) return compileBody(type, rule.body, rule.id)
    return remarks.every(({ code }) => code === UNKNOWN_TIMEZONE)
      ? always('timezone_unknown', 'The time zone of a rule is not known on this server.')
      : invalid
  } catch {
    // A fault of the compiler itself must not leave a request without this rule.
    return invalid
  }
}

function always(code: ErrorCode, message: string): EvaluateRule {
  const firing = Object.freeze(deny(code, message))
  return () => firing
}

/** The body was checked against the schema of its type. */
function compileBody(type: RuleType, body: unknown, ruleId: string): EvaluateRule {
  switch (type) {
    case 'ip_allowlist':
      return compileIpAllowlist(body as IpAllowlistBody)
    case 'time_window':
      return compileTimeWindow(body as TimeWindowBody)
    case 'json_match':
      return compileJsonMatch(body as JsonMatchBody)
    case 'require_approval':
      return compileRequireApproval(body as RequireApprovalBody)
    case 'rate_limit':
      return compileRateLimit(body as RateLimitBody, ruleId)
    case 'group_membership':
      return compileGroupMembership(body as GroupMembershipBody)
    case 'ttl':
      return compileTtl(body as TtlBody)
    case 'request_match':
      return compileRequestMatch(body as RequestMatchBody)
    case 'content_match':
      return compileContentMatch(body as ContentMatchBody)
    case 'cel':
      return compileCelRule(body as CelBody)
  }
}

function isRuleType(type: string): type is RuleType {
  return (RULE_TYPES as readonly string[]).includes(type)
}

function isTargetType(type: string): type is RuleTargetType {
  return (RULE_TARGET_TYPES as readonly string[]).includes(type)
}
