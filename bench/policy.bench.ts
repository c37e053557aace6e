/*
 * How long one policy decision takes: the twenty rules of an app, without and with a thousand rules on other targets.
 *
 *   node bench/policy.bench.ts
 */

import { threadCpuMs } from '../packages/server/src/kernel/clock.ts'
import { newId } from '../packages/server/src/kernel/ids.ts'
import { compileRules, type StoredRule } from '../packages/server/src/policy/compile-rules.ts'
import { decide } from '../packages/server/src/policy/decide.ts'
import { decisionRecord } from '../packages/server/src/policy/decision-record.ts'
import { createPolicyRequest, type PolicyContext } from '../packages/server/src/policy/policy-context.ts'
import { benchRules } from './bench-rules.ts'

const WARM_UP = 50_000
const DECISIONS = 200_000
const OTHER_TARGETS = 1_000

export type DecisionTimes = { rules: number; elsewhere: number; p50Us: number; p99Us: number; withRecordP99Us: number }

const HOST = 'api.example.com'
const appId = newId()
const grantId = newId()

function storedRules(elsewhere: number): StoredRule[] {
  const stored = (target: StoredRule['target'], rule: ReturnType<typeof benchRules>[number]): StoredRule => ({
    id: newId(),
    version: 1,
    target,
    type: rule.type,
    name: rule.name,
    body: rule.body,
    bodyVersion: 1,
    enabled: true,
    mode: 'enforce',
    expiresAtMs: null,
    managedBy: 'operator',
  })
  const rules = benchRules(HOST)
  return [
    ...rules.map((rule) => stored({ type: 'app', id: appId }, rule)),
    ...Array.from({ length: elsewhere }, (_, i) =>
      stored({ type: i % 2 === 0 ? 'grant' : 'key', id: newId() }, rules[i % rules.length]!),
    ),
  ]
}

function contextNow(nowMs: number): PolicyContext {
  return {
    mode: 'proxy',
    organizationId: newId(),
    app: { id: appId, environment: 'production' },
    provider: { id: 'payments', kind: 'managed_secret' },
    key: { id: newId(), type: 'rk', name: 'Backend' },
    caller: { name: 'billing-cron', type: 'service', actorId: null },
    agent: null,
    user: null,
    principal: { type: 'system', id: appId },
    grant: {
      id: grantId,
      ancestorIds: [],
      kind: 'managed_secret',
      label: null,
      scopes: [],
      createdAtMs: nowMs - 86_400_000,
      consentedAtMs: null,
      lastUsedAtMs: nowMs - 1_000,
      expiresAtMs: null,
      delegated: false,
      depth: 0,
    },
    clientIp: '10.20.3.4',
    request: createPolicyRequest({
      method: 'GET',
      scheme: 'https',
      host: HOST,
      port: 443,
      path: '/v1/payments',
      query: 'limit=20',
      headers: [['accept', 'application/json']],
      body: null,
    }),
    declared: null,
    asserted: {
      tool: 'list',
      framework: null,
      runId: null,
      threadId: null,
      parentAgent: null,
      extra: {},
      reason: 'List',
    },
    approval: null,
  }
}

/** Times single decisions; the context is made anew for each, outside of what is timed. */
export function measureDecisions(elsewhere: number): DecisionTimes {
  const rules = compileRules(storedRules(elsewhere))
  const decided = new Float64Array(DECISIONS)
  const recorded = new Float64Array(DECISIONS)
  for (let i = -WARM_UP; i < DECISIONS; i++) {
    const atMs = Date.now()
    const context = contextNow(atMs)
    const startedNs = process.hrtime.bigint()
    const decision = decide({
      rules,
      context,
      atMs,
      phase: 'request',
      approvalDefaults: { channels: [], requireReason: false },
      budget: { monotonic: () => performance.now(), cpuMs: threadCpuMs },
    })
    const decidedNs = process.hrtime.bigint()
    decisionRecord(decision, { decisionId: grantId, policyEpoch: 1, context })
    const recordedNs = process.hrtime.bigint()
    if (decision.effect !== 'allow') throw new Error(`decided ${decision.effect}: ${JSON.stringify(decision.reasons)}`)
    if (i < 0) continue
    decided[i] = Number(decidedNs - startedNs) / 1_000
    recorded[i] = Number(recordedNs - startedNs) / 1_000
  }
  const quantile = (values: Float64Array, part: number) => values.sort()[Math.floor(values.length * part)]!
  return {
    rules: benchRules(HOST).length,
    elsewhere,
    p50Us: quantile(decided, 0.5),
    p99Us: quantile(decided, 0.99),
    withRecordP99Us: quantile(recorded, 0.99),
  }
}

if (import.meta.main) {
  for (const elsewhere of [0, OTHER_TARGETS]) {
    const { rules, p50Us, p99Us, withRecordP99Us } = measureDecisions(elsewhere)
    process.stdout.write(
      `${rules} rules on the target, ${elsewhere} elsewhere: p50 ${p50Us.toFixed(1)} µs, p99 ${p99Us.toFixed(1)} µs; with its record p99 ${withRecordP99Us.toFixed(1)} µs\n`,
    )
  }
}
