import { describe, expect, test } from 'vitest'
import { parseRequestRule } from './request-rule.ts'

const encode = (rule: unknown) =>
  Buffer.from(typeof rule === 'string' ? rule : JSON.stringify(rule)).toString('base64url')
const denial = (when: object) => ({ rule_type: 'json_match', rule_body: { when, effect: 'deny' } })
const hold = (approval: object, when?: object) => ({
  rule_type: 'require_approval',
  rule_body: { effect: 'require_approval', approval, ...(when ? { when } : {}) },
})
const refusal = (header: string) => {
  try {
    parseRequestRule(header)
  } catch (error) {
    return error
  }
  return undefined
}

describe('one-off rule', () => {
  test.each([
    denial({ method: 'POST' }),
    denial({ method: ['POST', 'PUT'], client_ip: '10.0.0.0/8', environment: 'production' }),
    denial({}),
    hold({ approvers: ['ann@example.com'], channels: [] }, { resource_kind: 'oauth' }),
    hold({}),
    { rule_type: 'content_match', rule_body: { match: { families: ['payment'] }, effect: 'deny' } },
  ])('%j is read as it was sent', (rule) => {
    expect(parseRequestRule(encode(rule))).toEqual(rule)
  })

  test('a member that is null counts as absent', () => {
    const rule = { ...denial({ method: 'POST', agent_id: null }), note: null }
    expect(parseRequestRule(encode(rule))).toEqual(denial({ method: 'POST' }))
  })

  test.each([
    ['padding', `${encode(denial({}))}=`],
    ['the other alphabet', 'a+/b'],
    ['nothing', ''],
    ['too many characters', encode(denial({ method: 'x'.repeat(3_200) }))],
    ['no UTF-8', Buffer.from([0xff, 0xfe]).toString('base64url')],
    ['no JSON', encode('{"rule_type":')],
    [
      'a member twice',
      encode('{"rule_type":"json_match","rule_type":"json_match","rule_body":{"when":{},"effect":"deny"}}'),
    ],
    ['an array', encode('[]')],
    ['another member', encode({ ...denial({}), mode: 'shadow' })],
    ['another type', encode({ rule_type: 'ip_allowlist', rule_body: { cidrs: ['10.0.0.0/8'] } })],
    ['an attribute of stored rules', encode(denial({ host: 'api.example.com' }))],
    ['an operator of stored rules', encode(denial({ method: { not_in: ['GET'] } }))],
    ['an effect that widens', encode({ rule_type: 'json_match', rule_body: { when: {}, effect: 'allow' } })],
    ['an expression', encode({ ...hold({}), rule_body: { ...hold({}).rule_body, cel: 'true' } })],
    ['a pass', encode(hold({ approve_for_window: { max_seconds: 60, match: 'exact' } }))],
    ['an empty list of approvers', encode(hold({ approvers: [] }))],
    ['an address that is none', encode(denial({ client_ip: '10.0.0.1/8' }))],
  ])('is refused with %s', (_, header) => {
    expect(refusal(header)).toMatchObject({ code: 'invalid_request_rule', status: 400 })
  })

  test('is refused with bits that no byte holds, though the bytes are a valid rule', () => {
    const text = JSON.stringify(denial({ method: 'POST' }))
    const header = encode(text.padEnd(Math.ceil(text.length / 3) * 3 + 1))
    expect(parseRequestRule(header)).toEqual(denial({ method: 'POST' }))
    expect(header.at(-1)).toBe('A')
    expect(refusal(`${header.slice(0, -1)}B`)).toMatchObject({ message: expect.stringContaining('base64url') })
  })

  test('the refusal names the place inside the body', () => {
    expect(refusal(encode(denial({ client_ip: '10.0.0.1/8' })))).toMatchObject({
      errors: [{ pointer: '/rule_body/when/client_ip', code: 'invalid_cidr' }],
    })
  })
})
