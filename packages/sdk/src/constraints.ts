/** Attenuations that a client carries on every call. They can narrow what its key may do, never widen it. */
import { Buffer } from 'node:buffer'
import { AlterValueError } from './generated/errors.ts'
import { toJsonText } from './json-text.ts'
import { isObject } from './shape.ts'
import type { SignedClaims } from './signing.ts'

/**
 * A one-off rule that denies matching calls or holds them for approval. `ruleBody` is sent as it is, for example
 * `{ when: { method: 'POST' }, effect: 'deny' }` for `ruleType: 'json_match'`. Rules kept as JSON may use the wire names.
 */
export type RequestRule =
  | { ruleType: string; ruleBody: Readonly<Record<string, unknown>> }
  | { rule_type: string; rule_body: Readonly<Record<string, unknown>> }

/** At least one of the two. */
export type Constraints = {
  /** Scopes to keep, such as `grants:read`; the vault refuses any that the key does not imply. */
  scopes?: readonly string[]
  rule?: RequestRule
}

const MAX_RULE_BYTES = 4_096
const SCOPE = /^[\x21\x23-\x2b\x2d-\x5b\x5d-\x7e]+$/

/**
 * The headers of a constrained client.
 * @throws {AlterValueError} for no constraint, empty or wildcard scopes, a malformed or too long rule
 */
export function constraintClaims(constraints: Constraints): Pick<SignedClaims, 'scopeConstraints' | 'requestRule'> {
  const { scopes, rule } = constraints
  if (scopes === undefined && rule === undefined) {
    throw new AlterValueError('Constraints need "scopes", "rule" or both')
  }
  return {
    scopeConstraints: scopes === undefined ? undefined : joinScopes(scopes),
    requestRule: rule === undefined ? undefined : encodeRule(rule),
  }
}

function joinScopes(scopes: readonly string[]): string {
  if (!Array.isArray(scopes) || scopes.length === 0) throw new AlterValueError('"scopes" must be a non-empty list')
  for (const scope of scopes) {
    if (typeof scope !== 'string' || !SCOPE.test(scope) || scope.includes('*')) {
      throw new AlterValueError('Each of "scopes" must be a scope such as "grants:read", without "*", "," or spaces')
    }
  }
  return scopes.join(',')
}

function encodeRule(rule: RequestRule): string {
  const { ruleType, ruleBody } = ruleParts(rule)
  if (typeof ruleType !== 'string' || ruleType === '') throw new AlterValueError('A rule needs a rule type')
  if (!isObject(ruleBody)) throw new AlterValueError('A rule needs a rule body that is an object')
  const text = toJsonText({ rule_type: ruleType, rule_body: ruleBody }, 'The rule')
  const encoded = Buffer.from(text.toWellFormed(), 'utf8').toString('base64url')
  if (encoded.length > MAX_RULE_BYTES) throw new AlterValueError(`A rule has at most ${MAX_RULE_BYTES} bytes encoded`)
  return encoded
}

function ruleParts(rule: unknown): { ruleType: unknown; ruleBody: unknown } {
  if (!isObject(rule)) throw new AlterValueError('A rule must be an object')
  const [type, body] = 'rule_type' in rule ? ['rule_type', 'rule_body'] : ['ruleType', 'ruleBody']
  const extra = Object.keys(rule).find((key) => key !== type && key !== body)
  if (extra !== undefined) throw new AlterValueError(`A rule has no "${extra}"`)
  return { ruleType: rule[type!], ruleBody: rule[body!] }
}
