import {
  type ApprovalConfig,
  type ErrorCode,
  RULE_TYPES,
  type RuleRemark,
  type RuleTarget,
  type RuleType,
  type TimeWindowBody,
  type When,
} from '@alter-vault/contracts'
import { compileCel, isCelFault } from './cel/compile-cel.ts'
import { checkRuleBody } from './check-rule-body.ts'
import { DAY_NAMES, minutesOf } from './time-window.ts'

/** A rule as it is about to be stored. */
export type RuleDraft = {
  /** Absent when only a body is to be checked. */
  target?: RuleTarget
  type: string
  body: unknown
  enabled?: boolean
  expiresAtMs?: number | null
}

export type RuleVerdict = {
  /** Pointers are into the written rule: `/body/…`, `/expires_at`. */
  errors: RuleRemark[]
  /** Why a valid rule may not do what was meant: it never matches, or denies everything. */
  warnings: RuleRemark[]
}

/** Checks a rule before it is stored. A rule without errors compiles. */
export function validateRule(draft: RuleDraft, nowMs: number): RuleVerdict {
  if (!isRuleType(draft.type)) {
    const message = `"${draft.type}" is no rule type; known are ${RULE_TYPES.join(', ')}.`
    return { errors: [{ pointer: '/type', code: 'not_allowed_value', message }], warnings: [] }
  }
  const errors = checkRuleBody(draft.type, draft.body).map(inBody)
  if (draft.target?.type === 'organization' && (draft.expiresAtMs ?? null) !== null) {
    const message = 'A rule of an organization has no end.'
    errors.push({ pointer: '/expires_at', code: 'not_allowed_value', message })
  }
  return { errors, warnings: errors.length > 0 ? [] : findWarnings(draft, draft.type, nowMs) }
}

/** The code of the refusal that these errors make: the one they all share when the registry has it, else `invalid_rule_body`. */
export function ruleRefusalCode(errors: readonly RuleRemark[]): ErrorCode {
  for (const code of ['invalid_cel', 'invalid_cidr', 'cidr_too_wide'] as const) {
    if (errors.length > 0 && errors.every((error) => error.code === code)) return code
  }
  return 'invalid_rule_body'
}

function isRuleType(type: string): type is RuleType {
  return (RULE_TYPES as readonly string[]).includes(type)
}

const inBody = (remark: RuleRemark): RuleRemark => ({ ...remark, pointer: `/body${remark.pointer}` })
const neverFires = (pointer: string, message: string): RuleRemark => ({ pointer, code: 'never_fires', message })
const alwaysDenies = (pointer: string, message: string): RuleRemark => ({ pointer, code: 'always_denies', message })

function findWarnings(draft: RuleDraft, type: RuleType, nowMs: number): RuleRemark[] {
  const body = draft.body as Readonly<Record<string, unknown>>
  const warnings: RuleRemark[] = []
  if ((draft.expiresAtMs ?? Number.POSITIVE_INFINITY) <= nowMs) {
    warnings.push(neverFires('/expires_at', 'The end of the rule is already over.'))
  }
  if (body.when !== undefined) warnings.push(...warnAboutWhen(body.when as When, draft.target).map(inBody))
  warnings.push(...warnAboutBody(type, body).map(inBody))
  if (body.approval !== undefined) warnings.push(...warnAboutApproval(body.approval as ApprovalConfig).map(inBody))
  return warnings
}

function warnAboutBody(type: RuleType, body: Readonly<Record<string, unknown>>): RuleRemark[] {
  switch (type) {
    case 'json_match':
      if (Object.keys(body.when as When).length > 0) return []
      return [alwaysDenies('/when', 'Without a condition the rule denies every request.')]
    case 'request_match':
      return warnAboutAllow(body.allow as Readonly<Record<string, unknown>>)
    case 'time_window':
      return isAlwaysOpen(body as unknown as TimeWindowBody)
        ? [neverFires('/windows', 'The windows cover the whole week.')]
        : []
    case 'cel':
      return warnAboutExpression(body.expression as string, '/expression', body.effect === 'deny')
    case 'require_approval':
      return body.cel === undefined ? [] : warnAboutExpression(body.cel as string, '/cel', false)
    default:
      return []
  }
}

function warnAboutExpression(expression: string, pointer: string, denies: boolean): RuleRemark[] {
  const compiled = compileCel(expression)
  if (isCelFault(compiled) || compiled.constant === undefined) return []
  if (compiled.constant === false) return [neverFires(pointer, 'The expression is always false.')]
  if (compiled.constant === 'failed') return [alwaysDenies(pointer, 'The expression has an error for every request.')]
  return denies ? [alwaysDenies(pointer, 'The expression is always true.')] : []
}

function warnAboutApproval(approval: ApprovalConfig): RuleRemark[] {
  const warnings = (['channels', 'edit_allowed', 'approve_for_window', 'four_eyes'] as const)
    .filter((name) => asksForSomething(approval[name]))
    .map((name) => ({
      pointer: `/approval/${name}`,
      code: 'not_in_this_release',
      message: `"${name}" is kept, but has no effect in this release.`,
    }))
  const isLinkOnly = (approval.approvers ?? []).length === 0 && approval.channels?.length === 0
  if (!isLinkOnly) return warnings
  const message = 'Nobody is told and whoever holds the link may decide; the link is in the answer to the caller only.'
  return [...warnings, { pointer: '/approval/channels', code: 'nobody_is_told', message }]
}

const asksForSomething = (value: unknown): boolean =>
  Array.isArray(value) ? value.length > 0 : value !== undefined && value !== null && value !== false

function warnAboutAllow(allow: Readonly<Record<string, unknown>>): RuleRemark[] {
  const members = Object.entries(allow)
  if (members.length === 0) return [neverFires('/allow', 'Nothing is asked of a request.')]
  return members
    .filter(([name, list]) => name !== 'query_names' && Array.isArray(list) && list.length === 0)
    .map(([name]) => alwaysDenies(`/allow/${name}`, `An empty "${name}" lets no request through.`))
}

const VALUES: Readonly<Record<string, readonly string[]>> = {
  resource_kind: ['oauth', 'managed_secret'],
  mode: ['retrieve', 'proxy'],
  principal_type: ['user', 'group', 'system', 'agent'],
}
const TARGET_ATTRIBUTES: Readonly<Record<string, string>> = {
  app_id: 'app',
  provider_id: 'provider',
  agent_id: 'agent',
  api_key_id: 'key',
  grant_id: 'grant',
}

function warnAboutWhen(when: When, target: RuleTarget | undefined): RuleRemark[] {
  return Object.entries(when).flatMap(([name, condition]) => {
    const pointer = `/when/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    const values = plainValues(condition)
    if (values === undefined) return []
    const possible = VALUES[name]
    if (possible !== undefined && !values.some((value) => possible.includes(value))) {
      return [neverFires(pointer, `No request has such a "${name}"; it is one of ${possible.join(', ')}.`)]
    }
    const isOwnTarget = target !== undefined && TARGET_ATTRIBUTES[name] === target.type
    // A rule on a grant also meets the grants that were delegated from it, which have ids of their own.
    if (isOwnTarget && target.type !== 'grant' && !values.includes(target.id)) {
      return [neverFires(pointer, `The rule is on another ${target.type} than the one named here.`)]
    }
    return []
  })
}

/** The values of a condition that asks for one of some texts. */
function plainValues(condition: unknown): string[] | undefined {
  if (typeof condition === 'string') return [condition]
  if (Array.isArray(condition)) return condition.map(String)
  if (typeof condition !== 'object' || condition === null) return undefined
  const { eq, in: list } = condition as { eq?: unknown; in?: unknown[] }
  if (eq !== undefined) return [String(eq)]
  return list?.map(String)
}

function isAlwaysOpen({ windows, excluded_dates }: TimeWindowBody): boolean {
  if ((excluded_dates?.length ?? 0) > 0) return false
  return DAY_NAMES.every((day) => {
    let covered = 0
    const parts = windows
      .filter(({ days, start, end }) => days.includes(day) && minutesOf(start) < minutesOf(end))
      .map(({ start, end }) => [minutesOf(start), minutesOf(end)] as const)
      .sort(([a], [b]) => a - b)
    for (const [start, end] of parts) if (start <= covered) covered = Math.max(covered, end)
    return covered === 24 * 60
  })
}
