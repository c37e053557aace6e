import { describe, expect, test } from 'vitest'
import { compileRules, type StoredRule } from './compile-rules.ts'
import { contextOf, requestWith, ruleOf } from './context-for-tests.ts'
import { UNKNOWN } from './fact.ts'
import { traceRules } from './trace-rules.ts'

const AT = Date.parse('2026-03-07T10:00:00Z')

const rule = (id: string, type: string, body: unknown, other: Partial<StoredRule> = {}) =>
  ruleOf(type, body, { id, name: `rule ${id}`, ...other })

const trace = (rules: StoredRule[], context = contextOf()) =>
  traceRules({ rules: compileRules(rules), context, atMs: AT, phase: 'simulation' })

describe('the trace of a decision', () => {
  test('says of each rule what it did and what it looked at', () => {
    const amount = { when: { method: 'POST', 'body:/amount': { gt: 500 } }, effect: 'deny' }
    const post = contextOf({ request: requestWith({ method: 'POST', body: '{"amount": 600}' }) })
    expect(trace([rule('1', 'json_match', amount)], post)).toEqual([
      {
        rule_id: '1',
        rule_name: 'rule 1',
        rule_type: 'json_match',
        target: { type: 'app', id: 'app-1' },
        shadow: false,
        result: 'matched',
        effect: 'deny',
        attributes: { 'request.method': 'POST', 'request.body': { amount: 600 } },
      },
    ])
    // The body is looked at only when the rest matches.
    expect(trace([rule('1', 'json_match', amount)])).toMatchObject([
      { result: 'not_matched', effect: null, attributes: { 'request.method': 'GET' } },
    ])
  })

  test('keeps the order of evaluation, shadow rules included, and leaves out what has ended or is on another target', () => {
    const traced = trace([
      rule('3', 'rate_limit', { limit: 5 }),
      rule('1', 'ip_allowlist', { cidrs: ['10.0.0.0/8'] }, { mode: 'shadow', target: { type: 'key', id: 'key-1' } }),
      rule('2', 'json_match', { when: {}, effect: 'deny' }, { expiresAtMs: AT }),
      rule('4', 'json_match', { when: {}, effect: 'deny' }, { target: { type: 'agent', id: 'another' } }),
    ])
    expect(traced.map(({ rule_id, shadow, effect, attributes }) => [rule_id, shadow, effect, attributes])).toEqual([
      ['3', false, 'charge', { 'grant.id': contextOf().grant.id, now: '2026-03-07T10:00:00.000Z' }],
      ['1', true, 'deny', { 'client.ip': '198.51.100.7' }],
    ])
  })

  test('tells what cannot be known, and what is not there', () => {
    const onPath = rule('1', 'json_match', { when: { path: '/v1' }, effect: 'deny' })
    const onAgent = rule('2', 'json_match', { when: { agent_id: 'a' }, effect: 'deny' })
    expect(trace([onPath, onAgent], contextOf({ mode: 'retrieve', request: UNKNOWN }))).toMatchObject([
      { result: 'unknown', effect: 'deny', attributes: { request: { unknown: true } } },
      { result: 'not_matched', effect: null, attributes: { agent: null } },
    ])
  })
})
