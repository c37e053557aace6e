import { type ErrorCode, errorRegistry, type RequestRule } from '@alter-vault/contracts'
import { describe, expect, test } from 'vitest'
import { canonicalUrl } from '../egress/canonical-url.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { compileRequestRule, compileRules } from '../policy/compile-rules.ts'
import { type Decision, decide, refuseSpentBudgets } from '../policy/decide.ts'
import { UNKNOWN } from '../policy/fact.ts'
import { createPolicyRequest, type PolicyContext } from '../policy/policy-context.ts'
import { BASE_IDS, type GoldenCase, goldenRuleId, readGoldenCases } from '../testing/golden-cases.ts'
import { checkRequestRuleBody } from './check-rule-body.ts'
import { contextOf } from './context-for-tests.ts'

const TARGET_IDS: Record<string, string> = {
  organization: BASE_IDS.O,
  app: BASE_IDS.A,
  provider: BASE_IDS.provider,
  agent: BASE_IDS.B,
  grant: BASE_IDS.G,
  key: BASE_IDS.K,
}

function requestOf(golden: GoldenCase): PolicyContext['request'] {
  const { request = {} } = golden
  if (request.mode === 'retrieve') return UNKNOWN
  const url = canonicalUrl(request.url ?? 'https://api.stripe.com/v1/charges')
  const body = request.body_base64 ?? request.body
  return createPolicyRequest({
    ...url,
    method: request.method ?? 'GET',
    headers: Object.entries(request.headers ?? {}),
    body: body === undefined ? null : Buffer.from(body, request.body_base64 === undefined ? 'utf8' : 'base64'),
  })
}

function contextFor(golden: GoldenCase): PolicyContext {
  const { request = {} } = golden
  return contextOf({
    mode: request.mode ?? 'proxy',
    organizationId: BASE_IDS.O,
    app: { id: BASE_IDS.A, environment: 'production' },
    provider: { id: BASE_IDS.provider, kind: 'managed_secret' },
    key: { id: BASE_IDS.K, type: 'agent', name: 'live' },
    agent: request.agent === null ? null : { id: BASE_IDS.B, name: 'refunds', type: 'agent', scopes: {} },
    user:
      request.user_status === undefined
        ? null
        : {
            id: BASE_IDS.user,
            externalSubjectId: 'ann',
            idpId: BASE_IDS.O,
            status: request.user_status,
            groups: UNKNOWN,
            authTimeMs: null,
          },
    clientIp: request.client_ip ?? '198.51.100.7',
    request: requestOf(golden),
  })
}

/** Names stand for ids inside rule bodies as well. */
function withIds(value: unknown): unknown {
  if (value === 'B') return BASE_IDS.B
  if (Array.isArray(value)) return value.map(withIds)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, withIds(member)]))
}

function run(golden: GoldenCase): Decision {
  const rules = (golden.rules ?? []).map((rule, i) => ({
    id: goldenRuleId(i),
    version: 1,
    target: { type: rule.on, id: TARGET_IDS[rule.on] ?? '' },
    type: rule.type,
    name: rule.name,
    body: withIds(rule.body),
    bodyVersion: rule.body_version ?? 1,
    enabled: true,
    mode: rule.mode ?? 'enforce',
    expiresAtMs: null,
    managedBy: 'operator' as const,
  }))
  const requestRule = golden.request_rule as RequestRule | undefined
  if (requestRule) expect(checkRequestRuleBody(requestRule.rule_type, requestRule.rule_body)).toEqual([])
  const agreed = rules.filter(({ name }) => golden.agreed?.includes(name))
  const decision = decide({
    rules: compileRules(rules),
    requestRule: requestRule ? compileRequestRule(requestRule) : null,
    context: contextFor(golden),
    atMs: Date.parse(golden.at ?? '2026-03-04T12:00:00Z'),
    phase: golden.phase ?? 'request',
    satisfiedHolds: new Map(agreed.map(({ id, version }) => [id, version])),
    approvalDefaults: { channels: ['email'], requireReason: false },
    budget: { monotonic: () => 0, cpuMs: () => 0 },
  })
  const spent = decision.charges.filter(({ rule }) => golden.spent?.includes(rule.name ?? ''))
  expect(spent).toHaveLength(golden.spent?.length ?? 0)
  return refuseSpentBudgets(
    decision,
    spent.map((charge) => ({ charge })),
  )
}

describe('golden cases', () => {
  const cases = readGoldenCases()

  test('there is at least one file for each of the 25 cases', () => {
    const numbers = new Set(cases.map(([name]) => Number(name.slice(0, 2))))
    expect([...numbers]).toEqual(Array.from({ length: 25 }, (_, i) => i + 1))
  })

  test.each(cases.map(([name, golden]) => ({ name, golden })))('$name: $golden.title', ({ golden }) => {
    const expected = golden.decision
    const error = expected.error ?? null
    expect(expected.status).toBe(
      error === null ? (expected.effect === 'hold' ? 202 : 200) : errorRegistry[error as ErrorCode].status,
    )
    if (expected.refused_before !== undefined) {
      const refusal = () => contextFor(golden)
      expect(refusal).toThrow(VaultError)
      expect(refusal).toThrow(expect.objectContaining({ code: expected.refused_before }))
      return
    }
    const decision = run(golden)
    expect(decision.effect).toBe(expected.effect)
    expect(decision.error).toBe(error)
    expect(decision.shadowEffect).toBe(expected.shadow_effect ?? expected.effect)
    if (expected.retry_after_seconds !== undefined) {
      expect(decision.retryAfterSeconds).toBe(expected.retry_after_seconds)
    }
    expect(decision.reasons).toHaveLength(expected.reasons?.length ?? 0)
    expect(decision.reasons).toMatchObject(
      (expected.reasons ?? []).map(({ rule, ...reason }) => ({ ...reason, rule_name: rule })),
    )
    const gates = decision.gates.map(({ quorum, configuration, rules }) => ({
      approvers: configuration.approvers,
      quorum,
      window_seconds: configuration.window_seconds,
      rules: rules.map(({ rule_name }) => rule_name),
    }))
    expect(gates).toEqual(expected.gates ?? [])
    if (decision.effect === 'deny') expect(decision.charges).toEqual([])
  })

  test('what a case says of the audit log agrees with what it says of the decision', () => {
    for (const [name, { decision, audit }] of cases) {
      const isSent = audit.events.some((event) => event === 'proxy.executed' || event === 'approval.executed')
      expect(audit.upstream_calls, name).toBe(isSent ? 1 : 0)
      if (decision.effect === 'deny') expect(audit.entry.primary_reason, name).toBe(decision.error)
      expect(audit.entry.shadow_reasons ?? [], name).toEqual(
        (decision.reasons ?? []).filter(({ shadow }) => shadow).map(({ code }) => code),
      )
    }
  })
})
