import {
  REQUEST_RULE_MAX_CHARACTERS,
  REQUEST_RULE_TYPES,
  type RequestRule,
  type RequestRuleType,
  type RuleRemark,
} from '@alter-vault/contracts'
import { VaultError } from '../kernel/vault-error.ts'
import { checkRequestRuleBody } from './check-rule-body.ts'
import { parseStrictJson } from './strict-json.ts'

const BASE64URL = /^[A-Za-z0-9_-]+$/
const MAX_DEPTH = 32

/**
 * Reads the header `X-Alter-Request-Rule`: base64url without padding of `{"rule_type", "rule_body"}`, at most 4 096 characters. A
 * member that is null counts as absent. Throws `invalid_request_rule`.
 */
export function parseRequestRule(header: string): RequestRule {
  if (header.length > REQUEST_RULE_MAX_CHARACTERS) {
    throw refuse(`The rule has ${header.length} characters; ${REQUEST_RULE_MAX_CHARACTERS} are allowed.`)
  }
  const text = BASE64URL.test(header) ? decode(header) : undefined
  if (text === undefined) throw refuse('The rule is no base64url text without padding.')
  const parsed = parseStrictJson(text, MAX_DEPTH)
  if (parsed === undefined) throw refuse('The rule is no JSON, names a member twice or is nested too deeply.')
  const rule = withoutNulls(parsed.value)
  if (typeof rule !== 'object' || rule === null || Array.isArray(rule)) throw refuse('The rule is no object.')

  const { rule_type: type, rule_body: body, ...others } = rule as Record<string, unknown>
  const unknown = Object.keys(others)[0]
  if (unknown !== undefined) throw refuse(`"${unknown}" is no member of a rule.`)
  if (!isRequestRuleType(type)) throw refuse(`"rule_type" must be one of ${REQUEST_RULE_TYPES.join(', ')}.`)
  const remarks = checkRequestRuleBody(type, body)
  if (remarks.length > 0) throw refuse('"rule_body" is not valid for its "rule_type".', remarks)
  return { rule_type: type, rule_body: body } as RequestRule
}

function refuse(message: string, remarks: readonly RuleRemark[] = []): VaultError {
  const errors = remarks.map((remark) => ({ ...remark, pointer: `/rule_body${remark.pointer}` }))
  return new VaultError('invalid_request_rule', errors.length > 0 ? { message, errors } : { message })
}

function decode(header: string): string | undefined {
  const bytes = Buffer.from(header, 'base64url')
  // Buffer ignores what is left over; text that does not come back the same was not base64url.
  if (bytes.toString('base64url') !== header) return undefined
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch {
    return undefined
  }
}

function withoutNulls(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(withoutNulls)
  const entries = Object.entries(value).filter(([, member]) => member !== null)
  return Object.fromEntries(entries.map(([name, member]) => [name, withoutNulls(member)]))
}

function isRequestRuleType(type: unknown): type is RequestRuleType {
  return (REQUEST_RULE_TYPES as readonly unknown[]).includes(type)
}
