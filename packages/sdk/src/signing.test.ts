import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonicalTarget, deriveSigningKey, encodeStrictly, signRequest } from './signing.ts'

const KEY = 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'
const signingKey = deriveSigningKey(KEY)
const frozen = { timestamp: '1767225600', nonce: '000102030405060708090a0b0c0d0e0f' }

describe('the signing key', () => {
  test('is derived from the API key alone', () => {
    expect(Buffer.from(signingKey).toString('hex')).toBe(
      'd686d74251939c285fe8fa5ad18c0e2003f1ca17a5346e7838389386c1ac079f',
    )
  })
})

describe('a signature', () => {
  test('of a body without actor headers is the published one, sent once', () => {
    const headers = signRequest(signingKey, {
      method: 'POST',
      target: '/sdk/grants/list',
      body: '{"limit":100,"offset":0}',
      ...frozen,
      claims: {},
    })
    expect(headers).toEqual({
      'X-Alter-Timestamp': '1767225600',
      'X-Alter-Nonce': '000102030405060708090a0b0c0d0e0f',
      'X-Alter-Content-SHA256': '79cca47b16046efc521110b1af7825c6ea1893f0513b5314c7d4cc8cc4bed0fb',
      'X-Alter-Signature': '958c9fd3ee528b89ee4b7ce8bd2f88623aa4ff43ee8bb02c5c15b70b66c7844a',
    })
  })

  test('of an encoded path and query is the published one', () => {
    const headers = signRequest(signingKey, {
      method: 'GET',
      target: '/sdk/provider-specs/oauth/git%20hub/operations?limit=10&offset=5&search=a%2Fb+c%26d',
      body: '',
      ...frozen,
      claims: {},
    })
    expect(headers['X-Alter-Content-SHA256']).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
    expect(headers['X-Alter-Signature']).toBe('311458235c82fdb4fd9ed7fd47e526653f6c557a8847b50a85f3e1d91aed283e')
  })

  test('of constraints and every actor header is the published one, sent twice', () => {
    const headers = signRequest(signingKey, {
      method: 'POST',
      target: '/sdk/proxy',
      body: '{"method":"GET","url":"https://api.example.com/","grant_id":"00000000-0000-4000-8000-000000000010"}',
      ...frozen,
      claims: {
        scopeConstraints: 'proxy:execute',
        requestRule: 'eyJydWxlX3R5cGUiOiJqc29uX21hdGNoIn0',
        caller: 'billing-cron',
        callerType: 'service',
        actorId: '00000000-0000-4000-8000-000000000016',
        context: '{"ticket":"1"}',
      },
    })
    expect(headers).toMatchObject({
      'X-Alter-Content-SHA256': '3a89be1ac6bab133c24198550eb2aae62e084fb759ca270ff8c5e1aa87292ffd',
      'X-Alter-Scope-Constraints': 'proxy:execute',
      'X-Alter-Request-Rule': 'eyJydWxlX3R5cGUiOiJqc29uX21hdGNoIn0',
      'X-Alter-Caller': 'billing-cron',
      'X-Alter-Caller-Type': 'service',
      'X-Alter-Actor-ID': '00000000-0000-4000-8000-000000000016',
      'X-Alter-Context': '{"ticket":"1"}',
      'X-Alter-Signature': 'b148d22305b447e169e6e4068aa8dc682a4f749a269525629980f377954f0e2d',
      'X-Alter-Signature-V2': 'b148d22305b447e169e6e4068aa8dc682a4f749a269525629980f377954f0e2d',
    })
  })

  test('of constraints alone has no second header', () => {
    const headers = signRequest(signingKey, {
      method: 'POST',
      target: '/sdk/token',
      body: '{}',
      ...frozen,
      claims: { scopeConstraints: 'a:b', requestRule: 'eyJ9' },
    })
    const lines = ['POST', '/sdk/token', frozen.timestamp, frozen.nonce, headers['X-Alter-Content-SHA256'], 'a:b']
    const expected = createHmac('sha256', signingKey)
      .update([...lines, 'request-rule:eyJ9'].join('\n'))
      .digest('hex')
    expect(headers['X-Alter-Signature']).toBe(expected)
    expect(headers).not.toHaveProperty('X-Alter-Signature-V2')
  })

  test('changes when any one claim changes', () => {
    const claims = { caller: 'a', callerType: 'agent', actorId: 'b', context: '{}' }
    const request = { method: 'GET', target: '/sdk/scopes', body: '', ...frozen }
    const signatures = [{}, ...Object.keys(claims).map((name) => ({ [name]: 'z' }))].map(
      (change) => signRequest(signingKey, { ...request, claims: { ...claims, ...change } })['X-Alter-Signature'],
    )
    expect(new Set(signatures).size).toBe(signatures.length)
  })
})

describe('the canonical target', () => {
  test.each([
    ['/sdk/agents/a%2Fb', '/sdk/agents/a/b'],
    ['/sdk/agents/%zz%2', '/sdk/agents/%zz%2'],
    ['/sdk/agents/%ff', '/sdk/agents/\ufffd'],
    ['/sdk/agents/%EF%BB%BFx', '/sdk/agents/\ufeffx'],
    ['/sdk/agents/%C3%A9', '/sdk/agents/é'],
    ['/sdk/agents/a+b', '/sdk/agents/a+b'],
    ['/sdk/agents/é%C3', '/sdk/agents/é\ufffd'],
    ['/sdk/agents?', '/sdk/agents'],
    ['/sdk/agents?a', '/sdk/agents?a='],
    ['/sdk/agents?a=&&b=1&', '/sdk/agents?a=&b=1'],
    ['/sdk/agents?b=2&a=1&a=0', '/sdk/agents?a=0&a=1&b=2'],
    ['/sdk/agents?q=a%20b+c', '/sdk/agents?q=a+b+c'],
    ['/sdk/agents?q=*~!()%7E', '/sdk/agents?q=%2A~%21%28%29~'],
    ['/sdk/agents?q=a=b', '/sdk/agents?q=a%3Db'],
    ['/sdk/agents?q=%zz', '/sdk/agents?q=%25zz'],
    ['/sdk/agents?q=%2b', '/sdk/agents?q=%2B'],
    ['/sdk/agents?q=a?b', '/sdk/agents?q=a%3Fb'],
  ])('of %s is %s', (target, canonical) => {
    expect(canonicalTarget(target)).toBe(canonical)
  })

  test('sorts by code point, where UTF-16 would put surrogate pairs first', () => {
    expect(canonicalTarget('/p?%F0%9F%98%80=1&%EF%BF%BD=2')).toBe('/p?%EF%BF%BD=2&%F0%9F%98%80=1')
  })

  test('is the same for a query and its canonical form', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }))), (pairs) => {
        const query = pairs.map(([name, value]) => `${encodeStrictly(name)}=${encodeStrictly(value)}`).join('&')
        const once = canonicalTarget(`/p?${query}`)
        expect(canonicalTarget(once)).toBe(once)
      }),
    )
  })

  test('decodes a path as decodeURIComponent does wherever that succeeds', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        const encoded = `/p/${encodeURIComponent(text.toWellFormed())}`
        expect(canonicalTarget(encoded)).toBe(decodeURIComponent(encoded))
      }),
    )
  })
})

describe('encodeStrictly', () => {
  test('keeps exactly the unreserved characters', () => {
    const ascii = Array.from({ length: 128 }, (_item, code) => String.fromCharCode(code))
    const kept = ascii.filter((character) => encodeStrictly(character) === character).join('')
    expect(kept).toBe('-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~')
  })
})
