import { hash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { deriveSigningKey, signText } from '../crypto/signing-key.ts'
import { hasActorLine, type SignedParts, stringToSign } from './string-to-sign.ts'

const key = deriveSigningKey('alter_rk_abcdefghijklmnopqrstuv_iwpykn')
const request = (over: Partial<SignedParts> & { body?: string }): SignedParts => ({
  method: 'POST',
  target: '/sdk/grants/list',
  timestamp: '1767225600',
  nonce: '000102030405060708090a0b0c0d0e0f',
  contentSha256: hash('sha256', over.body ?? ''),
  scopeConstraints: '',
  requestRule: undefined,
  caller: undefined,
  callerType: undefined,
  actorId: undefined,
  context: undefined,
  ...over,
})

describe('the published vectors', () => {
  test('a body and no actor', () => {
    const parts = request({ body: '{"limit":100,"offset":0}' })
    expect(parts.contentSha256).toBe('79cca47b16046efc521110b1af7825c6ea1893f0513b5314c7d4cc8cc4bed0fb')
    expect(signText(key, stringToSign(parts))).toBe('958c9fd3ee528b89ee4b7ce8bd2f88623aa4ff43ee8bb02c5c15b70b66c7844a')
    expect(hasActorLine(parts)).toBe(false)
  })

  test('an escaped path and a query that must be sorted', () => {
    const target = '/sdk/provider-specs/oauth/git%20hub/operations?limit=10&offset=5&search=a%2Fb+c%26d'
    expect(signText(key, stringToSign(request({ method: 'GET', target })))).toBe(
      '311458235c82fdb4fd9ed7fd47e526653f6c557a8847b50a85f3e1d91aed283e',
    )
  })

  test('every optional line', () => {
    const parts = request({
      target: '/sdk/proxy',
      body: '{"method":"GET","url":"https://api.example.com/","grant_id":"00000000-0000-4000-8000-000000000010"}',
      scopeConstraints: 'proxy:execute',
      requestRule: 'eyJydWxlX3R5cGUiOiJqc29uX21hdGNoIn0',
      caller: 'billing-cron',
      callerType: 'service',
      actorId: '00000000-0000-4000-8000-000000000016',
      context: '{"ticket":"1"}',
    })
    expect(signText(key, stringToSign(parts))).toBe('b148d22305b447e169e6e4068aa8dc682a4f749a269525629980f377954f0e2d')
    expect(hasActorLine(parts)).toBe(true)
  })
})

const targetLine = (target: string) => stringToSign(request({ target })).split('\n')[1]

test.each([
  ['/sdk/agents/a%2Fb', '/sdk/agents/a/b'],
  ['/sdk/x%zz%', '/sdk/x%zz%'],
  ['/sdk/%ff', '/sdk/\ufffd'],
  ['/sdk/x?', '/sdk/x'],
  ['/sdk/x?b=2&a=1&a=0', '/sdk/x?a=0&a=1&b=2'],
  ['/sdk/x?a&&b', '/sdk/x?a=&b='],
  ['/sdk/x?q=*~%7E', '/sdk/x?q=%2A~~'],
  ['/sdk/x?q=%C3%A9+e', '/sdk/x?q=%C3%A9+e'],
])('%s is signed as %s', (target, signed) => {
  expect(targetLine(target)).toBe(signed)
})
