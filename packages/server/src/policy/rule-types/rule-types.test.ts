import type { ContentMatchBody, GroupMembershipBody, RequestMatchBody } from '@alter-vault/contracts'
import { describe, expect, test } from 'vitest'
import { contextOf, requestWith } from '../context-for-tests.ts'
import { UNKNOWN } from '../fact.ts'
import type { EvaluateRule, Firing } from '../firing.ts'
import { createMoment } from '../moment.ts'
import type { OperationFacts, PolicyContext } from '../policy-context.ts'
import { compileContentMatch } from './content-match.ts'
import { compileGroupMembership } from './group-membership.ts'
import { compileIpAllowlist } from './ip-allowlist.ts'
import { compileRequestMatch } from './request-match.ts'
import { compileTtl } from './ttl.ts'

const NOW = Date.parse('2026-03-04T12:00:00Z')
const fire = (rule: EvaluateRule, context: Partial<PolicyContext> = {}): Firing | null =>
  rule(createMoment(contextOf(context), NOW, 'request'))
const codeOf = (firing: Firing | null) => (firing?.kind === 'deny' ? firing.code : firing)
const retrieve = { mode: 'retrieve', request: UNKNOWN } as const

describe('IP allow-list', () => {
  const office = compileIpAllowlist({ cidrs: ['10.0.0.0/8', '2001:db8::/32'], when: { method: 'GET' } })

  test('denies a client outside every range, and one whose address is not known', () => {
    expect(fire(office, { clientIp: '10.1.2.3' })).toBeNull()
    expect(fire(office, { clientIp: '2001:db8::7' })).toBeNull()
    expect(codeOf(fire(office, { clientIp: '203.0.113.9' }))).toBe('ip_not_allowed')
    for (const clientIp of [UNKNOWN, null, 'localhost'] as const) {
      expect(fire(office, { clientIp })).toMatchObject({ code: 'ip_not_allowed', details: { attribute: 'client_ip' } })
    }
  })

  test('concerns only what its condition matches', () => {
    expect(fire(office, { clientIp: '203.0.113.9', request: requestWith({ method: 'POST' }) })).toBeNull()
    expect(fire(office, { ...retrieve, clientIp: '203.0.113.9' })).toMatchObject({
      code: 'ip_not_allowed',
      details: { cause: 'request_shape_unavailable', attribute: 'method' },
    })
  })
})

describe('request allow-list', () => {
  const outside = (allow: RequestMatchBody['allow'], request: PolicyContext['request']) => {
    const firing = fire(compileRequestMatch({ allow }), { request })
    return firing?.kind === 'deny' ? firing.details : null
  }

  test('every member must hold, and the record names those that do not', () => {
    const allow = { methods: ['get'], hosts: ['*.example.com'], paths: ['/v1/*'], max_body_bytes: 4 }
    expect(outside(allow, requestWith())).toBeNull()
    expect(outside(allow, requestWith({ method: 'PUT', host: 'example.com', path: '/v1/a/b', body: '12345' }))).toEqual(
      {
        outside: ['methods', 'hosts', 'paths', 'max_body_bytes'],
      },
    )
  })

  test('of endpoints one alternative must hold whole', () => {
    const endpoints = [
      { methods: ['GET'], host: 'api.example.com', path: '/a/**' },
      { methods: ['POST'], host: 'api.example.com', path: '/b' },
    ]
    expect(outside({ endpoints }, requestWith({ path: '/a/1' }))).toBeNull()
    expect(outside({ endpoints }, requestWith({ method: 'POST', path: '/a/1' }))).toEqual({ outside: ['endpoints'] })
  })

  test('every query name must be listed, and a query that does not decode is outside', () => {
    expect(outside({ query_names: ['a', 'b c'] }, requestWith({ query: 'a=1&b+c=2' }))).toBeNull()
    expect(outside({ query_names: ['a'] }, requestWith({ query: 'a=1&b=2' }))).toEqual({ outside: ['query_names'] })
    expect(outside({ query_names: ['a'] }, requestWith({ query: 'a=%ff' }))).toMatchObject({
      cause: 'attribute_unknown',
    })
    expect(outside({ query_names: [] }, requestWith())).toBeNull()
  })

  test('a body without a listed content type is outside, no body is inside', () => {
    const allow = { content_types: ['application/json'] }
    expect(outside(allow, requestWith())).toBeNull()
    expect(outside(allow, requestWith({ method: 'POST', body: '{}' }))).toBeNull()
    expect(outside(allow, requestWith({ method: 'POST', body: Buffer.from('{}') }))).toEqual({
      outside: ['content_types'],
    })
  })

  test('a token request is outside, since its shape is not known', () => {
    expect(outside({ methods: ['GET'] }, UNKNOWN)).toMatchObject({ cause: 'request_shape_unavailable' })
    expect(outside({}, UNKNOWN)).toBeNull()
  })
})

describe('lifetime', () => {
  const grant = (different: Partial<PolicyContext['grant']>) => ({ grant: { ...contextOf().grant, ...different } })

  test('age counts from consent, else from creation', () => {
    const rule = compileTtl({ max_grant_age_seconds: 3_600 })
    expect(fire(rule, grant({ createdAtMs: NOW - 3_600_000 }))).toBeNull()
    expect(codeOf(fire(rule, grant({ createdAtMs: NOW - 3_600_001 })))).toBe('grant_ttl_exceeded')
    expect(fire(rule, grant({ createdAtMs: 0, consentedAtMs: NOW }))).toBeNull()
  })

  test('idleness counts from the last use, else from creation', () => {
    const rule = compileTtl({ max_idle_seconds: 60 })
    expect(codeOf(fire(rule, grant({ createdAtMs: NOW - 60_001 })))).toBe('grant_idle_exceeded')
    expect(fire(rule, grant({ createdAtMs: 0, lastUsedAtMs: NOW - 60_000 }))).toBeNull()
  })
})

describe('group membership', () => {
  const user = (groups: string[] | typeof UNKNOWN | null, different: object = {}): Partial<PolicyContext> => ({
    user: {
      id: 'u',
      externalSubjectId: 's',
      idpId: 'idp-1',
      status: 'active',
      groups: Array.isArray(groups) ? { externalGroupIds: groups, confirmedAtMs: NOW - 120_000 } : groups,
      authTimeMs: null,
      ...different,
    },
  })
  const rule = (mode: GroupMembershipBody['mode'], more: Partial<GroupMembershipBody> = {}) =>
    compileGroupMembership({ mode, groups: ['a', 'b'], ...more })

  test.each([
    ['require_any', ['b'], null],
    ['require_any', ['c'], 'group_required'],
    ['require_all', ['a', 'b'], null],
    ['require_all', ['a'], 'group_required'],
    ['deny_any', ['c'], null],
    ['deny_any', ['a'], 'group_denied'],
    ['require_any', null, 'group_required'],
    ['deny_any', null, null],
    ['require_any', UNKNOWN, 'group_required'],
    ['deny_any', UNKNOWN, 'group_denied'],
  ] as const)('%s with %s is %s', (mode, groups, code) => {
    const facts = Array.isArray(groups) ? [...groups] : (groups as typeof UNKNOWN | null)
    expect(codeOf(fire(rule(mode), user(facts)))).toBe(code)
  })

  test('without a user nothing that is required is there', () => {
    expect(codeOf(fire(rule('require_any')))).toBe('group_required')
    expect(fire(rule('deny_any'))).toBeNull()
  })

  test('facts that are too old deny in every mode', () => {
    for (const mode of ['require_any', 'deny_any'] as const) {
      expect(codeOf(fire(rule(mode, { max_staleness_seconds: 60 }), user(['a'])))).toBe('group_facts_stale')
    }
    expect(fire(rule('require_any', { max_staleness_seconds: 120 }), user(['a']))).toBeNull()
  })

  test('groups of another directory do not count', () => {
    expect(codeOf(fire(rule('require_any', { idp_id: 'idp-2' }), user(['a'])))).toBe('group_required')
    expect(fire(rule('require_any', { idp_id: 'idp-1' }), user(['a']))).toBeNull()
  })

  test('a user who is not active is in no group', () => {
    expect(codeOf(fire(rule('deny_any'), user(['c'], { status: 'suspended' })))).toBe('user_not_active')
  })
})

describe('content rule', () => {
  const facts = (
    params: Record<string, unknown>,
    operation = 'send_mail',
    family: string | null = 'send',
  ): OperationFacts => ({
    operation,
    family,
    param: (name) => (Object.hasOwn(params, name) ? params[name] : null),
  })
  const withFacts = (operation: OperationFacts): Partial<PolicyContext> => ({ request: requestWith({ operation }) })
  const rule = (different: Partial<ContentMatchBody>) =>
    compileContentMatch({ match: { operations: ['send_mail'] }, effect: 'deny', ...different })

  test('denies a request that no specification knows, and every token request', () => {
    expect(codeOf(fire(rule({})))).toBe('operation_unclassified')
    expect(codeOf(fire(rule({ effect: 'redact', redact: { fields: ['x'] } }), retrieve))).toBe('content_denied')
  })

  test('concerns its operations and families only', () => {
    expect(codeOf(fire(rule({}), withFacts(facts({}))))).toBe('content_denied')
    expect(fire(rule({}), withFacts(facts({}, 'list_mail', 'read')))).toBeNull()
    const byFamily = rule({ match: { families: ['send'] } })
    expect(codeOf(fire(byFamily, withFacts(facts({}, 'other', 'send'))))).toBe('content_denied')
    expect(fire(byFamily, withFacts(facts({}, 'other', null)))).toBeNull()
  })

  test.each<[NonNullable<ContentMatchBody['params']>[number], unknown, boolean]>([
    [{ name: 'p', op: 'equals', value: ' Draft' }, 'draft ', true],
    [{ name: 'p', op: 'equals', value: 5 }, '5', true],
    [{ name: 'p', op: 'equals', value: 5 }, 6, false],
    [{ name: 'p', op: 'any_in', value: ['*@evil.com'] }, ['a@x.com', 'B@EVIL.com'], true],
    [{ name: 'p', op: 'any_in', value: ['*@evil.com'] }, ['a@x.com'], false],
    [{ name: 'p', op: 'not_subset_of', value: ['*@acme.com'] }, ['a@acme.com'], false],
    [{ name: 'p', op: 'not_subset_of', value: ['*@acme.com'] }, ['a@acme.com', 'x@y.z'], true],
    [{ name: 'p', op: 'not_subset_of', value: ['*@acme.com'] }, null, true],
    [{ name: 'p', op: 'gt', value: 100 }, 101, true],
    [{ name: 'p', op: 'gt', value: 100 }, 100, false],
    [{ name: 'p', op: 'gt', value: 100 }, '101', true],
    [{ name: 'p', op: 'gt', value: 100 }, null, false],
    [{ name: 'p', op: 'lte', value: 100 }, 100, true],
  ])('parameter %j with %j fires: %s', (param, value, fires) => {
    expect(fire(rule({ params: [param] }), withFacts(facts({ p: value }))) !== null).toBe(fires)
  })

  test('a time outside the windows fires, and so does what is not one moment', () => {
    const windows = { timezone: 'UTC', windows: [{ days: ['wed' as const], start: '09:00', end: '17:00' }] }
    const param = { name: 'p', op: 'outside_windows' as const, value: windows }
    const fires = (value: unknown) => fire(rule({ params: [param] }), withFacts(facts({ p: value }))) !== null
    expect(fires('2026-03-04T10:00:00Z')).toBe(false)
    expect(fires('2026-03-04T18:00:00Z')).toBe(true)
    expect(fires('2026-03-04T10:00:00')).toBe(true)
    expect(fires({ start: '2026-03-04T10:00:00Z', recurrence: ['RRULE:FREQ=DAILY'] })).toBe(true)
  })

  test('may ask for a part to be taken out, or for a fresh sign-in', () => {
    const redact = rule({ effect: 'redact', redact: { fields: ['ssn'] } })
    expect(fire(redact, withFacts(facts({})))).toEqual({ kind: 'redact', fields: ['ssn'] })
    const stepUp = rule({ effect: 'step_up', step_up: { max_session_age_seconds: 60 } })
    const signedIn = (authTimeMs: number | null): Partial<PolicyContext> => ({
      ...withFacts(facts({})),
      user: { id: 'u', externalSubjectId: 's', idpId: 'i', status: 'active', groups: null, authTimeMs },
    })
    expect(fire(stepUp, signedIn(NOW - 60_000))).toBeNull()
    expect(codeOf(fire(stepUp, signedIn(NOW - 60_001)))).toBe('step_up_required')
    expect(codeOf(fire(stepUp, signedIn(null)))).toBe('step_up_required')
    expect(codeOf(fire(stepUp, withFacts(facts({}))))).toBe('step_up_required')
  })
})
