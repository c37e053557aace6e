import type { RuleType } from '@alter-vault/contracts'
import { describe, expect, test } from 'vitest'
import { compileRules } from './compile-rules.ts'
import { ruleOf } from './context-for-tests.ts'
import { ruleRefusalCode, validateRule } from './validate-rule.ts'

const NOW = Date.parse('2026-03-04T12:00:00Z')
const validate = (type: string, body: unknown, more: object = {}) => validateRule({ type, body, ...more }, NOW)
const day = { days: ['mon'], start: '09:00', end: '17:00' }
const approval = (config: object) => ({ effect: 'require_approval', approval: config })

const VALID: [RuleType, unknown][] = [
  ['ip_allowlist', { cidrs: ['10.0.0.0/8'], when: { method: ['GET'] } }],
  ['time_window', { timezone: 'Europe/Paris', windows: [day], excluded_dates: ['2028-02-29'] }],
  ['json_match', { when: { 'body:/a/*/b': { gt: 5 }, 'query.x': { exists: true } }, effect: 'deny' }],
  ['require_approval', approval({ approvers: ['ann@example.com', { type: 'grant_owner' }], quorum: 2 })],
  ['require_approval', approval({ approvers: [{ type: 'role', role: 'admin' }], quorum: 3 })],
  ['require_approval', approval({ edit_allowed: false, approve_for_window: null, four_eyes: false })],
  ['rate_limit', { limit: 5, window_seconds: 86_400, alignment: 'calendar', timezone: 'Asia/Kolkata' }],
  ['group_membership', { mode: 'deny_any', groups: ['contractors'] }],
  ['ttl', { max_idle_seconds: 60 }],
  [
    'request_match',
    { allow: { hosts: ['*.example.com'], endpoints: [{ methods: ['GET'], host: 'a.b', path: '/**' }] } },
  ],
  [
    'content_match',
    {
      match: { families: ['send'] },
      params: [{ name: 'to', op: 'not_subset_of', value: ['*@acme.com'] }],
      effect: 'redact',
      redact: { fields: ['ssn'] },
    },
  ],
  ['cel', { expression: 'request.method == "GET"', effect: 'require_approval', approval: {} }],
]

describe('validation of a rule', () => {
  test.each(VALID)('%s: a valid body has neither errors nor warnings', (type, body) => {
    expect(validate(type, body)).toEqual({ errors: [], warnings: [] })
  })

  test.each<[string, unknown, string, string]>([
    ['teapot', {}, '/type', 'not_allowed_value'],
    ['ip_allowlist', { cidrs: ['0.0.0.0/0'] }, '/body/cidrs/0', 'cidr_too_wide'],
    ['ip_allowlist', { cidrs: ['10.0.0.0/8', '10.0.0.1/8'] }, '/body/cidrs/1', 'invalid_cidr'],
    ['ip_allowlist', { cidrs: [] }, '/body/cidrs', 'too_few'],
    ['ip_allowlist', { cidrs: ['10.0.0.0/8'], whenn: {} }, '/body/whenn', 'unknown_field'],
    ['time_window', { timezone: 'europe/paris', windows: [day] }, '/body/timezone', 'unknown_timezone'],
    ['time_window', { timezone: 'UTC', windows: [{ ...day, end: '09:00' }] }, '/body/windows/0/end', 'out_of_range'],
    [
      'time_window',
      { timezone: 'UTC', windows: [{ ...day, start: '24:00' }] },
      '/body/windows/0/start',
      'invalid_format',
    ],
    [
      'time_window',
      { timezone: 'UTC', windows: [day], excluded_dates: ['2026-02-30'] },
      '/body/excluded_dates/0',
      'invalid_format',
    ],
    ['json_match', { when: { url: 'x' }, effect: 'deny' }, '/body/when/url', 'unknown_attribute'],
    ['json_match', { when: { 'body:/a~': 'x' }, effect: 'deny' }, '/body/when/body:~1a~0', 'unknown_attribute'],
    ['json_match', { when: { method: { gt: 1 } }, effect: 'deny' }, '/body/when/method/gt', 'operator_not_applicable'],
    ['json_match', { when: {}, effect: 'allow' }, '/body/effect', 'not_allowed_value'],
    ['json_match', { effect: 'deny' }, '/body/when', 'required'],
    ['require_approval', approval({ quorum: 2 }), '/body/approval/quorum', 'out_of_range'],
    ['require_approval', approval({ approvers: [], quorum: 1 }), '/body/approval/approvers', 'too_few'],
    [
      'require_approval',
      approval({ approvers: ['ann@example.com', 'ANN@example.com'], quorum: 2 }),
      '/body/approval/quorum',
      'out_of_range',
    ],
    [
      'require_approval',
      approval({ approvers: ['ann@example.com'], link_mode: 'bearer' }),
      '/body/approval/link_mode',
      'not_allowed_value',
    ],
    [
      'require_approval',
      approval({ step_up: { max_auth_age_seconds: 60 }, link_mode: 'bearer' }),
      '/body/approval/link_mode',
      'not_allowed_value',
    ],
    ['require_approval', { ...approval({}), cel: '1 +' }, '/body/cel', 'invalid_cel'],
    [
      'rate_limit',
      { limit: 5, window_seconds: 90, alignment: 'calendar' },
      '/body/window_seconds',
      'not_allowed_value',
    ],
    ['rate_limit', { limit: 5, timezone: 'UTC' }, '/body/timezone', 'not_allowed_value'],
    ['rate_limit', { limit: 0 }, '/body/limit', 'out_of_range'],
    ['request_match', { allow: { hosts: ['*.*.com'] } }, '/body/allow/hosts/0', 'invalid_format'],
    [
      'request_match',
      { allow: { endpoints: [{ methods: ['GET'], host: 'a b', path: '/' }] } },
      '/body/allow/endpoints/0/host',
      'invalid_format',
    ],
    ['content_match', { match: { families: ['send'] }, effect: 'redact' }, '/body/redact', 'required'],
    [
      'content_match',
      { match: { families: ['send'] }, effect: 'deny', redact: { fields: ['x'] } },
      '/body/redact',
      'not_allowed_value',
    ],
    ['cel', { expression: 'request.foo == 1', effect: 'deny' }, '/body/expression', 'invalid_cel'],
    ['cel', { expression: 'mode == "proxy"', effect: 'deny', approval: {} }, '/body/approval', 'not_allowed_value'],
    ['group_membership', { mode: 'deny_any', groups: ['x'.repeat(17_000)] }, '/body', 'too_long'],
  ])('%s with %j has a fault at %s: %s', (type, body, pointer, code) => {
    const { errors, warnings } = validate(type, body)
    expect(errors).toEqual([{ pointer, code, message: expect.stringMatching(/\.$|[a-z"0-9)]$/) }])
    expect(warnings).toEqual([])
  })

  test('a value of more than 512 characters is refused', () => {
    const when = { method: 'x'.repeat(513) }
    expect(validate('json_match', { when, effect: 'deny' }).errors).toMatchObject([
      { pointer: '/body/when/method', code: 'too_long' },
    ])
  })

  test('a lifetime rule that limits nothing is refused', () => {
    expect(validate('ttl', {}).errors).toHaveLength(1)
  })

  test('more than 20 attributes are refused', () => {
    const when = Object.fromEntries(Array.from({ length: 21 }, (_, i) => [`query.n${i}`, 'x']))
    expect(validate('json_match', { when, effect: 'deny' }).errors).toHaveLength(1)
    delete when['query.n20']
    expect(validate('json_match', { when, effect: 'deny' }).errors).toEqual([])
  })

  test('an organization rule has no end', () => {
    const target = { type: 'organization', id: 'o' }
    const { errors } = validate('ttl', { max_idle_seconds: 60 }, { target, expiresAtMs: NOW + 1 })
    expect(errors).toMatchObject([{ pointer: '/expires_at' }])
  })

  test.each<[string, unknown, object, string, string]>([
    ['json_match', { when: {}, effect: 'deny' }, {}, '/body/when', 'always_denies'],
    ['json_match', { when: { mode: 'both' }, effect: 'deny' }, {}, '/body/when/mode', 'never_fires'],
    [
      'json_match',
      { when: { agent_id: 'b' }, effect: 'deny' },
      { target: { type: 'agent', id: 'a' } },
      '/body/when/agent_id',
      'never_fires',
    ],
    ['request_match', { allow: {} }, {}, '/body/allow', 'never_fires'],
    ['request_match', { allow: { methods: [] } }, {}, '/body/allow/methods', 'always_denies'],
    [
      'time_window',
      {
        timezone: 'UTC',
        windows: [{ days: ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'], start: '00:00', end: '24:00' }],
      },
      {},
      '/body/windows',
      'never_fires',
    ],
    ['cel', { expression: '1 == 2', effect: 'deny' }, {}, '/body/expression', 'never_fires'],
    ['cel', { expression: '1 == 1', effect: 'deny' }, {}, '/body/expression', 'always_denies'],
    ['cel', { expression: '1 / 0 == 1', effect: 'require_approval' }, {}, '/body/expression', 'always_denies'],
    ['ttl', { max_idle_seconds: 60 }, { expiresAtMs: NOW }, '/expires_at', 'never_fires'],
    ['require_approval', approval({ channels: [] }), {}, '/body/approval/channels', 'nobody_is_told'],
    ['require_approval', approval({ channels: ['slack'] }), {}, '/body/approval/channels', 'not_in_this_release'],
    ['require_approval', approval({ edit_allowed: true }), {}, '/body/approval/edit_allowed', 'not_in_this_release'],
    [
      'require_approval',
      approval({ approve_for_window: { max_seconds: 60, match: 'exact' } }),
      {},
      '/body/approval/approve_for_window',
      'not_in_this_release',
    ],
    [
      'cel',
      { expression: 'request.method == "GET"', effect: 'require_approval', approval: { four_eyes: true } },
      {},
      '/body/approval/four_eyes',
      'not_in_this_release',
    ],
  ])('%s with %j %j is stored with a warning at %s: %s', (type, body, more, pointer, code) => {
    const { errors, warnings } = validate(type, body, more)
    expect(errors).toEqual([])
    expect(warnings).toEqual([{ pointer, code, message: expect.any(String) }])
  })

  test('a body that validates compiles, and one that does not denies', () => {
    const stored = (type: string, body: unknown) => compileRules([ruleOf(type, body)]).of('app', 'app-1').all[0]!
    for (const [type, body] of VALID) {
      expect(String(stored(type, body).evaluate), type).not.toBe(String(stored(type, { nonsense: 1 }).evaluate))
    }
  })

  test('faults of one kind that has its own code share it', () => {
    const code = (type: string, body: unknown) => ruleRefusalCode(validate(type, body).errors)
    expect(code('cel', { expression: '1 +', effect: 'deny' })).toBe('invalid_cel')
    expect(code('ip_allowlist', { cidrs: ['1.2.3.4/8'] })).toBe('invalid_cidr')
    expect(code('ip_allowlist', { cidrs: ['::/0'] })).toBe('cidr_too_wide')
    expect(code('ip_allowlist', { cidrs: ['::/0', '1.2.3.4/8'] })).toBe('invalid_rule_body')
  })
})
