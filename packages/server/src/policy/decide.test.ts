import type { ApprovalConfig, RequestRule } from '@alter-vault/contracts'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileRequestRule, compileRules, type StoredRule } from '../policy/compile-rules.ts'
import { type DecideInput, type Decision, decide, refuseSpentBudgets } from '../policy/decide.ts'
import { decisionRecord, reasonsForCaller } from '../policy/decision-record.ts'
import { UNKNOWN } from '../policy/fact.ts'
import type { PolicyContext } from '../policy/policy-context.ts'
import { contextOf, requestWith, ruleOf } from './context-for-tests.ts'

const NOW = Date.parse('2026-03-04T12:00:00Z')

const denyAll = (different?: Partial<StoredRule>) => ruleOf('json_match', { when: {}, effect: 'deny' }, different)
const holdAll = (approval: ApprovalConfig = {}, different?: Partial<StoredRule>) =>
  ruleOf('require_approval', { effect: 'require_approval', approval }, different)
const limit = (body: object = { limit: 5 }, different?: Partial<StoredRule>) => ruleOf('rate_limit', body, different)

function judge(
  rules: readonly StoredRule[],
  context: Partial<PolicyContext> = {},
  different: Partial<DecideInput> = {},
): Decision {
  return decide({
    rules: compileRules(rules),
    context: contextOf(context),
    atMs: NOW,
    phase: 'request',
    approvalDefaults: { channels: ['email'], requireReason: false },
    budget: { monotonic: () => 0, cpuMs: () => 0 },
    ...different,
  })
}
const codes = (decision: Decision) => decision.reasons.map(({ code }) => code)
const retrieve = { mode: 'retrieve', request: UNKNOWN } as const

describe('decision', () => {
  test('without rules a live grant lets through', () => {
    expect(judge([])).toMatchObject({
      effect: 'allow',
      error: null,
      reasons: [],
      gates: [],
      charges: [],
      rulesEvaluated: 0,
    })
  })

  test('rules of every target meet the request, and of no other target', () => {
    const agent = { id: 'agent-1', name: 'a', type: 'agent', scopes: {} }
    const grant = { ...contextOf().grant, id: 'grant-1', ancestorIds: ['grant-0'] }
    const targets = [
      ['organization', 'organization-1'],
      ['app', 'app-1'],
      ['provider', 'example'],
      ['agent', 'agent-1'],
      ['grant', 'grant-1'],
      ['grant', 'grant-0'],
      ['key', 'key-1'],
    ] as const
    const own = targets.map(([type, id]) => denyAll({ target: { type, id } }))
    const others = targets.map(([type]) => denyAll({ target: { type, id: 'other' } }))
    const decision = judge([...others, ...own].reverse(), { agent, grant })
    expect(decision.rulesEvaluated).toBe(targets.length)
    expect(decision.reasons.map(({ target }) => target?.type)).toEqual(targets.map(([type]) => type))
  })

  test('a disabled rule and a rule over its end are off; an organization rule has no end', () => {
    expect(judge([denyAll({ enabled: false }), denyAll({ expiresAtMs: NOW })])).toMatchObject({
      effect: 'allow',
      rulesEvaluated: 0,
    })
    expect(judge([denyAll({ expiresAtMs: NOW + 1 })]).effect).toBe('deny')
    const ofOrganization = { target: { type: 'organization', id: 'organization-1' }, expiresAtMs: NOW - 1 }
    expect(judge([denyAll(ofOrganization)]).effect).toBe('deny')
  })

  test.each<[string, Partial<StoredRule>, string]>([
    ['an unknown body version', { bodyVersion: 2 }, 'unknown_rule_version'],
    ['an unknown type', { type: 'allow_everything' }, 'invalid_stored_rule'],
    ['an unknown member', { body: { when: {}, effect: 'deny', unless: {} } }, 'invalid_stored_rule'],
    ['an unknown attribute', { body: { when: { url: 'x' }, effect: 'deny' } }, 'invalid_stored_rule'],
    ['no body', { body: null }, 'invalid_stored_rule'],
    ['a mode that nobody knows', { mode: 'audit' }, 'invalid_stored_rule'],
    ['a target that nobody knows', { target: { type: 'team', id: 'x' } }, 'invalid_stored_rule'],
    [
      'an expression that does not compile',
      { type: 'cel', body: { expression: 'foo(', effect: 'deny' } },
      'invalid_stored_rule',
    ],
    ['an enabled flag that is no flag', { enabled: 'yes' as unknown as boolean }, 'invalid_stored_rule'],
    [
      'a time zone that this machine does not know',
      {
        type: 'time_window',
        body: { timezone: 'Mars/Base', windows: [{ days: ['mon'], start: '00:00', end: '24:00' }] },
      },
      'timezone_unknown',
    ],
  ])('a stored rule with %s denies', (_, different, code) => {
    const decision = judge([ruleOf('json_match', { when: { method: 'DELETE' }, effect: 'deny' }, different)])
    expect(decision).toMatchObject({ effect: 'deny', error: code })
    expect(codes(decision)).toEqual([code])
  })

  test('an evaluation over its time denies, and says what it had found', () => {
    let elapsedMs = 0
    const budget = { monotonic: () => elapsedMs, cpuMs: () => elapsedMs }
    const slow = {
      get clientIp() {
        elapsedMs += 60
        return '198.51.100.7'
      },
    }
    const context = Object.defineProperties(contextOf(), Object.getOwnPropertyDescriptors(slow))
    const rules = [ruleOf('ip_allowlist', { cidrs: ['10.0.0.0/8'] }), denyAll()]
    const decision = decide({
      rules: compileRules(rules),
      context,
      atMs: NOW,
      phase: 'request',
      approvalDefaults: { channels: [], requireReason: false },
      budget,
    })
    expect(decision).toMatchObject({ effect: 'deny', error: 'policy_timeout', rulesEvaluated: 1, durationUs: 60_000 })
    expect(codes(decision)).toEqual(['policy_timeout', 'ip_not_allowed'])
  })

  test('a last rule that takes too long denies as well', () => {
    let elapsedMs = 0
    const request = requestWith({ body: '{}' }) as object
    const slow = Object.defineProperty(request, 'body', {
      get() {
        elapsedMs = 51
        return {}
      },
    }) as PolicyContext['request']
    const rules = [ruleOf('json_match', { when: { 'body:/a': 1 }, effect: 'deny' })]
    const decision = judge(rules, { request: slow }, { budget: { monotonic: () => elapsedMs, cpuMs: () => elapsedMs } })
    expect(decision.error).toBe('policy_timeout')
  })

  test.each([
    [50, 'allow', null],
    [51, 'deny', 'policy_timeout'],
  ])('an hour by the clock with %d ms of CPU time is: %s', (usedMs, effect, error) => {
    let [elapsedMs, cpuMs] = [1_000, 7_000]
    const slow = Object.defineProperty(contextOf(), 'clientIp', {
      get() {
        elapsedMs += 3_600_000
        cpuMs += usedMs
        return '198.51.100.7'
      },
    })
    const decision = decide({
      rules: compileRules([ruleOf('ip_allowlist', { cidrs: ['198.51.100.0/24'] })]),
      context: slow,
      atMs: NOW,
      phase: 'request',
      approvalDefaults: { channels: [], requireReason: false },
      budget: { monotonic: () => elapsedMs, cpuMs: () => cpuMs },
    })
    expect(decision).toMatchObject({ effect, error, rulesEvaluated: 1, durationUs: 3_600_000_000 })
  })

  test('CPU time is not asked again while the clock says that there is time', () => {
    let asked = 0
    const cpuMs = () => 1_000 * asked++
    expect(judge([holdAll(), denyAll()], {}, { budget: { monotonic: () => 50, cpuMs } }).error).toBe('policy_denied')
    expect(asked).toBe(1)
  })

  test('a user who is not active uses nothing', () => {
    const user = {
      id: 'u',
      externalSubjectId: 's',
      idpId: 'i',
      status: 'deprovisioned',
      groups: null,
      authTimeMs: null,
    }
    expect(judge([], { user })).toMatchObject({ effect: 'deny', error: 'user_not_active' })
  })

  test('reasons are ordered: enforced before shadow, denials before holds, then targets, then rule ids', () => {
    const rules = [
      holdAll({}, { target: { type: 'organization', id: 'organization-1' } }),
      denyAll({ target: { type: 'key', id: 'key-1' } }),
      denyAll({ target: { type: 'organization', id: 'organization-1' }, mode: 'shadow' }),
      denyAll(),
      denyAll(),
    ]
    const expected = [rules[3], rules[4], rules[1], rules[0], rules[2]].map((rule) => rule!.id)
    expect(judge([...rules].reverse()).reasons.map(({ rule_id }) => rule_id)).toEqual(expected)
  })

  test('the record has every member of the contract and a digest that depends on the context alone', () => {
    const rules = [denyAll({ mode: 'shadow' })]
    const made = { decisionId: '00000000-0000-4000-8000-000000000001', policyEpoch: 412, context: contextOf() }
    const record = decisionRecord(judge(rules), made)
    expect(record).toMatchObject({
      effect: 'allow',
      phase: 'request',
      policy_epoch: 412,
      evaluated_at: '2026-03-04T12:00:00.000Z',
      shadow_effect: 'deny',
      rules_evaluated: 1,
      retryable: false,
      retry_after_seconds: null,
    })
    expect(record.context_digest).toMatch(/^[0-9a-f]{64}$/)
    expect(decisionRecord(judge([]), made).context_digest).toBe(record.context_digest)
    const others = [
      contextOf({ clientIp: UNKNOWN }),
      contextOf({ clientIp: null }),
      contextOf({ request: requestWith({ body: '{"a":1}' }) }),
      contextOf({ request: requestWith({ body: '{"a":2}' }) }),
      contextOf({ request: requestWith({ query: 'a=1' }) }),
      contextOf(retrieve),
    ]
    const digests = others.map((context) => decisionRecord(judge([]), { ...made, context }).context_digest)
    expect(new Set([...digests, record.context_digest]).size).toBe(others.length + 1)
  })

  test('an SDK caller sees code and id of rules of the organization and of a person, and no shadow rule', () => {
    const decision = judge([
      denyAll({ target: { type: 'organization', id: 'organization-1' } }),
      denyAll({ managedBy: 'user', target: { type: 'grant', id: contextOf().grant.id } }),
      denyAll(),
      denyAll({ mode: 'shadow' }),
    ])
    const [ofOrganization, ofApp, ofUser, ...rest] = reasonsForCaller(decision.reasons)
    expect(ofOrganization).toEqual({ code: 'policy_denied', rule_id: expect.any(String), details: {} })
    expect(ofApp).toMatchObject({ rule_name: expect.stringMatching(/^Rule/) })
    expect(ofUser).toEqual({ code: 'policy_denied', rule_id: expect.any(String), details: { managed_by: 'user' } })
    expect(rest).toEqual([])
  })
})

describe('hold', () => {
  test('of a changed rule is not satisfied by what people agreed to before', () => {
    const rule = holdAll()
    const agreed = (version: number) => ({ phase: 'execution' as const, satisfiedHolds: new Map([[rule.id, version]]) })
    expect(judge([rule], {}, agreed(3)).effect).toBe('allow')
    expect(judge([rule], {}, agreed(2)).effect).toBe('hold')
  })

  test('of a satisfied rule does not satisfy another', () => {
    const rule = holdAll()
    const decision = judge([rule, holdAll()], {}, { satisfiedHolds: new Map([[rule.id, 3]]) })
    expect(decision).toMatchObject({ effect: 'hold', gates: [{ rules: [{ rule_name: expect.any(String) }] }] })
    expect(decision.gates[0]?.rules).toHaveLength(1)
  })

  test('by a failing expression is a denial also when people agreed', () => {
    const rule = ruleOf('require_approval', { effect: 'require_approval', approval: {}, cel: 'request.body.n > 1' })
    const decision = judge(
      [rule],
      { request: requestWith({ body: '{}' }) },
      { satisfiedHolds: new Map([[rule.id, 3]]) },
    )
    expect(decision).toMatchObject({ effect: 'deny', error: 'cel_failed' })
  })

  test('asks both when and expression', () => {
    const rule = (cel: string) =>
      ruleOf('require_approval', { effect: 'require_approval', approval: {}, when: { method: 'GET' }, cel })
    expect(judge([rule('request.path == "/v1/items"')]).effect).toBe('hold')
    expect(judge([rule('request.path == "/other"')]).effect).toBe('allow')
    expect(judge([rule('request.body.nope')], { request: requestWith({ method: 'POST' }) }).effect).toBe('allow')
  })

  test('merges the rules of one approver set into the strictest gate', () => {
    const approvers = ['ann@example.com', { type: 'role' as const, role: 'admin' as const }]
    const decision = judge([
      holdAll({
        approvers,
        quorum: 2,
        window_seconds: 3_600,
        channels: ['slack'],
        edit_allowed: true,
        approve_for_window: { max_seconds: 600, match: 'endpoint' },
        show_result: true,
      }),
      holdAll({
        approvers: [...approvers, { type: 'email', email: 'ANN@example.com' }].reverse() as never,
        window_seconds: 600,
        require_reason: true,
        decision_reason: 'on_deny',
        edit_allowed: { body: ['/note'] },
        approve_for_window: { max_seconds: 300, match: 'exact' },
        step_up: { max_auth_age_seconds: 300, methods: ['passkey', 'totp'] },
        four_eyes: true,
        show_body: true,
      }),
    ])
    expect(decision.gates).toHaveLength(1)
    expect(decision.gates[0]).toMatchObject({
      quorum: 2,
      configuration: {
        approvers: [
          { type: 'email', email: 'ann@example.com' },
          { type: 'role', role: 'admin' },
        ],
        window_seconds: 600,
        channels: ['slack', 'email'],
        link_mode: 'sign_in',
        require_reason: true,
        decision_reason: 'on_deny',
        edit_allowed: { body: ['/note'], query: [] },
        approve_for_window: { max_seconds: 300, match: 'exact' },
        step_up: { max_auth_age_seconds: 300, methods: ['passkey', 'totp'] },
        four_eyes: true,
        show_body: true,
        show_result: false,
      },
    })
  })

  test('takes what a rule leaves out from the app', () => {
    const approvalDefaults = { channels: ['slack', 'web_push'] as const, requireReason: true }
    expect(judge([holdAll()], {}, { approvalDefaults }).gates[0]?.configuration).toMatchObject({
      approvers: [],
      channels: ['slack', 'web_push'],
      link_mode: 'bearer',
      require_reason: true,
      window_seconds: 3_600,
    })
    expect(judge([holdAll({ channels: [] })], {}, { approvalDefaults }).gates[0]?.configuration.channels).toEqual([])
  })

  test('in retrieve mode is a denial that gives way to every other one', () => {
    expect(judge([holdAll()], retrieve)).toMatchObject({
      effect: 'deny',
      error: 'hitl_grant_requires_proxy',
      gates: [],
    })
    expect(judge([holdAll(), denyAll()], retrieve)).toMatchObject({ effect: 'deny', error: 'policy_denied' })
    expect(codes(judge([holdAll(), denyAll()], retrieve))).toEqual(['policy_denied', 'approval_required'])
  })

  test('in shadow opens no gate', () => {
    expect(judge([holdAll({}, { mode: 'shadow' })])).toMatchObject({ effect: 'allow', shadowEffect: 'hold', gates: [] })
    expect(judge([holdAll({}, { mode: 'shadow' })], retrieve)).toMatchObject({ effect: 'allow', shadowEffect: 'deny' })
  })

  test('by a one-off rule names no rule id on its gate', () => {
    const rule = {
      rule_type: 'require_approval',
      rule_body: { effect: 'require_approval', approval: {} },
    } as RequestRule
    const decision = judge([holdAll()], {}, { requestRule: compileRequestRule(rule) })
    expect(decision.gates).toHaveLength(1)
    expect(decision.gates[0]?.rules.map(({ rule_id, target_type }) => [rule_id === null, target_type])).toEqual([
      [false, 'app'],
      [true, 'request'],
    ])
  })
})

describe('budget', () => {
  test('is charged once for whom it is counted, only when nothing denies', () => {
    const decision = judge([limit({ limit: 5, per: 'key' }), limit({ limit: 5, per: 'agent' })])
    expect(decision.charges).toEqual([
      expect.objectContaining({ limit: 5, windowMs: 60_000, fixedWindow: null, exact: true }),
    ])
    expect(decision.charges[0]?.counterId).toContain(':key:key-1')
    expect(judge([limit(), denyAll()]).charges).toEqual([])
    expect(judge([limit(), holdAll()]).charges).toHaveLength(1)
    expect(judge([limit()], {}, { phase: 'execution' }).charges).toEqual([])
    expect(judge([limit()], {}, { phase: 'simulation' }).charges).toEqual([])
  })

  test('that is spent denies with 429 and the time after which it may be tried', () => {
    const decision = judge([limit(), limit({ limit: 9, window_seconds: 86_400 })])
    const [sliding, fixed] = decision.charges
    const refused = refuseSpentBudgets(decision, [{ charge: sliding! }])
    expect(refused).toMatchObject({
      effect: 'deny',
      error: 'quota_exceeded',
      retryable: true,
      retryAfterSeconds: 60,
      charges: [],
    })
    expect(refuseSpentBudgets(decision, [{ charge: sliding!, retryAtMs: NOW + 2_500 }]).retryAfterSeconds).toBe(3)
    expect(refuseSpentBudgets(decision, [{ charge: sliding! }, { charge: fixed! }]).retryAfterSeconds).toBe(43_200)
    expect(refuseSpentBudgets(decision, [])).toBe(decision)
  })

  test('that is spent ends a hold', () => {
    const decision = judge([limit(), holdAll()])
    const refused = refuseSpentBudgets(decision, [{ charge: decision.charges[0]! }])
    expect(refused).toMatchObject({ effect: 'deny', error: 'quota_exceeded', gates: [] })
    expect(codes(refused)).toEqual(['quota_exceeded', 'approval_required'])
  })

  test('of a shadow rule counts apart and changes nothing when it is spent', () => {
    const decision = judge([limit({ limit: 5 }, { mode: 'shadow' }), limit()])
    const [shadow, enforced] = decision.charges
    expect(shadow?.counterId).toMatch(/^shadow:/)
    const recorded = refuseSpentBudgets(decision, [{ charge: shadow! }])
    expect(recorded).toMatchObject({ effect: 'allow', error: null, shadowEffect: 'deny', charges: [enforced] })
    expect(recorded.reasons).toMatchObject([{ code: 'quota_exceeded', shadow: true }])
  })

  test('gives way to a denial that time alone does not end', () => {
    const decision = judge([limit({ limit: 5, per: 'client_ip' }), denyAll({ target: { type: 'key', id: 'key-1' } })], {
      clientIp: UNKNOWN,
    })
    expect(codes(decision)).toEqual(['quota_exceeded', 'policy_denied'])
    expect(decision).toMatchObject({ error: 'policy_denied', retryable: false, retryAfterSeconds: null })
  })

  test('counted for a client whose address is not known denies', () => {
    const decision = judge([limit({ limit: 5, per: 'client_ip' })], { clientIp: UNKNOWN })
    expect(decision).toMatchObject({ effect: 'deny', error: 'quota_exceeded', retryable: false })
    expect(decision.reasons[0]?.details).toMatchObject({ cause: 'attribute_unknown' })
  })

  test('of more than ten a second may be leased when its window slides', () => {
    const exact = (body: object) => judge([limit(body)]).charges[0]?.exact
    expect(exact({ limit: 600, window_seconds: 60 })).toBe(true)
    expect(exact({ limit: 601, window_seconds: 60 })).toBe(false)
    expect(exact({ limit: 1_000_000, window_seconds: 86_400 })).toBe(true)
  })

  test.each([
    [60, 'UTC', '2026-03-04T12:00:59Z', '2026-03-04T12:01:00Z'],
    [3_600, 'Asia/Kathmandu', '2026-03-04T12:00:00Z', '2026-03-04T12:15:00Z'],
    [86_400, 'Europe/Paris', '2026-03-28T23:30:00Z', '2026-03-29T22:00:00Z'],
    [604_800, 'Europe/Paris', '2026-03-04T12:00:00Z', '2026-03-08T23:00:00Z'],
    [2_678_400, 'America/New_York', '2026-12-31T12:00:00Z', '2027-01-01T05:00:00Z'],
  ])('a calendar window of %i s in %s ends with the calendar', (windowSeconds, timezone, at, end) => {
    const rules = [limit({ limit: 5, window_seconds: windowSeconds, alignment: 'calendar', timezone })]
    const chargeAt = (atMs: number) => judge(rules, {}, { atMs }).charges[0]!
    const first = chargeAt(Date.parse(at))
    expect(new Date(first.retryAtMs()).toISOString()).toBe(new Date(end).toISOString())
    expect(chargeAt(Date.parse(end) - 1).fixedWindow).toBe(first.fixedWindow)
    expect(chargeAt(Date.parse(end)).fixedWindow).toBe(first.fixedWindow! + 1)
  })
})

describe('properties of a decision', () => {
  const body = fc.constantFrom<[string, unknown]>(
    ['json_match', { when: { method: 'POST' }, effect: 'deny' }],
    ['json_match', { when: { 'body:/amount': { gt: 500 } }, effect: 'deny' }],
    ['json_match', { when: { agent_id: { exists: false }, mode: 'proxy' }, effect: 'deny' }],
    ['ip_allowlist', { cidrs: ['198.51.100.0/24'] }],
    ['ip_allowlist', { cidrs: ['10.0.0.0/8'], when: { method: 'POST' } }],
    ['time_window', { timezone: 'Europe/Paris', windows: [{ days: ['wed'], start: '09:00', end: '17:00' }] }],
    ['time_window', { timezone: 'UTC', windows: [{ days: ['sun'], start: '09:00', end: '17:00' }] }],
    ['require_approval', { effect: 'require_approval', approval: {}, when: { method: 'POST' } }],
    ['require_approval', { effect: 'require_approval', approval: { approvers: ['ann@example.com'], quorum: 1 } }],
    [
      'require_approval',
      { effect: 'require_approval', approval: { approvers: ['ann@example.com'], window_seconds: 60 } },
    ],
    ['rate_limit', { limit: 5 }],
    ['request_match', { allow: { methods: ['GET'], paths: ['/v1/**'] } }],
    ['ttl', { max_idle_seconds: 60 }],
    ['cel', { expression: 'request.method == "POST" && request.body.amount > 500', effect: 'deny' }],
    ['cel', { expression: 'grant.depth > 3', effect: 'require_approval' }],
    ['content_match', { match: { families: ['payment'] }, effect: 'deny' }],
    ['group_membership', { mode: 'require_any', groups: ['finance'] }],
    ['json_match', { broken: true }],
  )
  const target = fc.constantFrom(
    { type: 'organization', id: 'organization-1' },
    { type: 'app', id: 'app-1' },
    { type: 'key', id: 'key-1' },
    { type: 'key', id: 'other' },
  )
  const rules = fc
    .array(
      fc.tuple(body, target, fc.constantFrom('enforce', 'enforce', 'shadow')).map(
        ([[type, stored], on, mode]): Omit<StoredRule, 'id'> => ({
          ...ruleOf(type, stored, { target: on, mode }),
        }),
      ),
      { maxLength: 6 },
    )
    .map((list) => list.map((rule, i) => ({ ...rule, id: `00000000-0000-4000-8000-${String(i).padStart(12, '0')}` })))
  const context = fc.constantFrom<Partial<PolicyContext>>(
    {},
    retrieve,
    { clientIp: UNKNOWN },
    { request: requestWith({ method: 'POST', body: '{"amount":600}' }) },
    { request: requestWith({ method: 'POST', body: '{"amount":' }) },
    { request: requestWith({ method: 'POST', path: '/admin' }) },
  )
  const strictness = { allow: 0, hold: 1, deny: 2 }

  test('denial beats hold beats passing', () => {
    fc.assert(
      fc.property(rules, context, (list, ctx) => {
        const decision = judge(list, ctx)
        const enforced = decision.reasons.filter(({ shadow }) => !shadow)
        const expected = enforced.some(({ effect }) => effect === 'deny')
          ? 'deny'
          : enforced.some(({ effect }) => effect === 'hold')
            ? 'hold'
            : 'allow'
        expect(decision.effect).toBe(expected)
        expect(decision.error === null).toBe(expected !== 'deny')
        expect(decision.gates.length > 0).toBe(expected === 'hold')
      }),
      { numRuns: 300 },
    )
  })

  test('adding a rule never widens', () => {
    fc.assert(
      fc.property(rules, context, fc.nat(), (list, ctx, pick) => {
        if (list.length === 0) return
        const fewer = list.filter((_, i) => i !== pick % list.length)
        const with_ = judge(list, ctx)
        const without = judge(fewer, ctx)
        expect(strictness[with_.effect]).toBeGreaterThanOrEqual(strictness[without.effect])
        expect(strictness[with_.shadowEffect]).toBeGreaterThanOrEqual(strictness[without.shadowEffect])
        if (with_.effect !== 'hold' || without.effect !== 'hold') return
        for (const gate of without.gates) {
          const key = JSON.stringify(gate.configuration.approvers)
          const kept = with_.gates.find(({ configuration }) => JSON.stringify(configuration.approvers) === key)
          expect(kept?.quorum).toBeGreaterThanOrEqual(gate.quorum)
          expect(kept?.configuration.window_seconds).toBeLessThanOrEqual(gate.configuration.window_seconds)
        }
      }),
      { numRuns: 300 },
    )
  })

  test('the order in which rules are stored does not matter', () => {
    const shuffled = rules.chain((list) =>
      fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length })),
    )
    fc.assert(
      fc.property(shuffled, context, ([list, other], ctx) => {
        const plain = (decision: Decision) =>
          JSON.stringify({ ...decision, charges: decision.charges.map(({ counterId }) => counterId).sort() })
        expect(plain(judge(other, ctx))).toBe(plain(judge(list, ctx)))
      }),
      { numRuns: 300 },
    )
  })

  test('a shadow rule changes neither effect nor error nor gates', () => {
    fc.assert(
      fc.property(rules, context, (list, ctx) => {
        const enforced = list.filter(({ mode }) => mode === 'enforce')
        const { effect, error, gates } = judge(list, ctx)
        expect({ effect, error, gates }).toEqual(
          (({ effect, error, gates }) => ({ effect, error, gates }))(judge(enforced, ctx)),
        )
      }),
      { numRuns: 300 },
    )
  })
})
