import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { compileRules, type StoredRule } from './compile-rules.ts'
import { contextOf, requestWith } from './context-for-tests.ts'
import { UNKNOWN } from './fact.ts'
import { createMoment } from './moment.ts'
import type { PolicyContext } from './policy-context.ts'

const AT = Date.parse('2026-02-03T04:05:06Z')
let lastId = 0
const stored = (type: string, body: unknown, different: Partial<StoredRule> = {}): StoredRule => ({
  id: `rule-${String(++lastId).padStart(9, '0')}`,
  version: 1,
  target: { type: 'app', id: 'app-1' },
  type,
  name: type,
  body,
  bodyVersion: 1,
  enabled: true,
  mode: 'enforce',
  expiresAtMs: null,
  managedBy: 'operator',
  ...different,
})
const listOf = (...rules: StoredRule[]) => compileRules(rules).of('app', 'app-1')
const deny = (when: object) => stored('json_match', { effect: 'deny', when })
const kept = (rule: StoredRule, method = 'GET', host = 'api.example.com') =>
  listOf(rule).about(method, host).length === 1

describe('rules about a method and a host', () => {
  test.each([
    ['another method', deny({ method: ['POST', 'PUT'] })],
    ['another method and a path', deny({ path: '/v1/items', method: 'POST' })],
    ['another host', deny({ host: { glob: '*.test' }, 'body:/amount': { gt: 1 } })],
    ['retrieval', deny({ mode: 'retrieve', path: '/v1/items' })],
    ['an allowed method', stored('request_match', { allow: { methods: ['GET'] } })],
    ['an allowed host', stored('request_match', { allow: { hosts: ['*.example.com'] } })],
    ['an expression on another method', stored('cel', { effect: 'deny', expression: 'request.method == "DELETE"' })],
  ])('leave out one on %s', (_, rule) => {
    expect(kept(rule)).toBe(false)
  })

  test.each([
    ['the method', deny({ method: 'GET' })],
    ['the path', deny({ path: '/v1/other' })],
    ['an absent agent', deny({ agent_id: '00000000-0000-4000-8000-0000000000a1' })],
    ['no agent', deny({ agent_id: { exists: false } })],
    ['an address', stored('ip_allowlist', { cidrs: ['198.51.100.0/24'] })],
    ['a time', stored('time_window', { timezone: 'UTC', windows: [{ days: ['mon'], start: '09:00', end: '10:00' }] })],
    ['the age of the grant', stored('ttl', { max_grant_age_seconds: 60 })],
    ['groups', stored('group_membership', { mode: 'deny_any', groups: ['g'] })],
    ['a budget', stored('rate_limit', { limit: 5 })],
    ['what nobody understands', stored('json_match', { when: 7 })],
  ])('keep one on %s', (_, rule) => {
    expect(kept(rule)).toBe(true)
  })

  test('keep one that ends, so that it stops to count when it ends', () => {
    expect(kept(stored('json_match', { effect: 'deny', when: { method: 'POST' } }, { expiresAtMs: AT + 1 }))).toBe(true)
  })

  test('forget what was found before it grows without bound', () => {
    const list = listOf(deny({ method: 'POST' }), deny({ host: 'host-1999.test' }))
    for (let i = 0; i < 2_500; i++) expect(list.about('GET', `host-${i}.test`)).toHaveLength(i === 1_999 ? 1 : 0)
  })
})

const method = fc.constantFrom('GET', 'get', 'POST', 'DELETE')
const host = fc.constantFrom('api.example.com', 'other.test', '[::1]')
const text = fc.constantFrom('GET', 'POST', 'api.example.com', '/v1/items', 'production', 'x', '198.51.100.7')
const listOrText = fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 }))
const condition = fc.oneof(
  listOrText,
  fc.record({ in: fc.array(text, { minLength: 1, maxLength: 3 }) }),
  fc.record({ not_in: fc.array(text, { minLength: 1, maxLength: 3 }) }),
  fc.record({ glob: fc.constantFrom('*', 'G*', '*.example.com', '/v1/**') }),
  fc.record({ not_glob: fc.constantFrom('*', 'P*', '*.test', '/v2/**') }),
  fc.record({ prefix: fc.constantFrom('G', 'api', '/v1') }),
  fc.record({ exists: fc.boolean() }),
)
const attribute = fc.constantFrom(
  ...['method', 'host', 'mode', 'path', 'provider_id', 'agent_id', 'api_key_id', 'environment', 'client_ip', 'caller'],
  ...[
    'key_type',
    'principal_type',
    'grant_label',
    'scopes',
    'tool',
    'header_names',
    'content_type',
    'query.a',
    'body:/a',
  ],
  ...['app_user_id', 'group_ids', 'resource_kind'],
)
const when = fc.dictionary(attribute, condition, { minKeys: 1, maxKeys: 4 })
const rule = fc.oneof(
  when.map(deny),
  when.map((when) => stored('require_approval', { effect: 'require_approval', approval: { quorum: 1 }, when })),
  when.map((when) => stored('ip_allowlist', { cidrs: ['198.51.100.0/24'], when })),
  when.map((when) => stored('rate_limit', { limit: 5, per: 'agent', when })),
  fc
    .record(
      { methods: fc.array(method, { minLength: 1 }), hosts: fc.array(host, { minLength: 1 }) },
      { requiredKeys: [] },
    )
    .map((allow) => stored('request_match', { allow })),
  fc
    .constantFrom(
      'request.method == "POST"',
      'request.method != "GET" && request.path == "/v1/items"',
      'agent.id == null && request.host == "other.test"',
      'request.host.endsWith(".test") || mode == "retrieve"',
      'has(context.extra.x) || request.method == "DELETE"',
      'now > timestamp("2020-01-01T00:00:00Z") && request.method == "POST"',
    )
    .map((expression) => stored('cel', { effect: 'deny', expression })),
)
const different = fc.constantFrom<Partial<PolicyContext>>(
  {},
  { agent: { id: 'x', name: 'x', type: 'agent', scopes: {} } },
  { clientIp: UNKNOWN },
  { asserted: { ...contextOf().asserted, tool: 'x', extra: { x: '1' } } },
  { user: { id: 'x', externalSubjectId: 'x', idpId: 'x', status: 'active', groups: UNKNOWN, authTimeMs: null } },
)
const parts = fc.constantFrom({}, { body: '{"a":"x"}', query: 'a=x' }, { body: UNKNOWN as never, query: 'a=%ff' })

test('a rule that is left out is content with every call of that method to that host', async () => {
  await fc.assert(
    fc.property(rule, different, method, host, parts, (rule, more, method, host, parts) => {
      const list = listOf(rule)
      if (list.about(method.toUpperCase(), host).length === 1) return
      const context = contextOf({ request: requestWith({ ...parts, method, host }), ...more })
      expect(list.all[0]!.evaluate(createMoment(context, AT, 'request'))).toBeNull()
    }),
    { numRuns: 3_000 },
  )
})
