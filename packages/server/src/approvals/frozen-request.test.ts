import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { canonicalJson } from '../kernel/canonical-json.ts'
import {
  actionHash,
  actionLine,
  assertFreezable,
  canonicalAction,
  decodeFrozenRequest,
  encodeFrozenRequest,
  type FrozenRequest,
  hasIdempotencyHeader,
} from './frozen-request.ts'

const request = (changes: Partial<FrozenRequest> = {}): FrozenRequest => ({
  appId: '00000000-0000-4000-8000-000000000001',
  method: 'POST',
  url: 'https://api.stripe.com/v1/refunds',
  headers: [
    ['idempotency-key', 'refund-1'],
    ['content-type', 'application/json'],
  ],
  body: Buffer.from('{"charge":"ch_1"}'),
  addedByVault: [{ place: 'header', name: 'authorization' }],
  grant: {
    id: '00000000-0000-4000-8000-000000000002',
    kind: 'managed_secret',
    label: null,
    principalType: 'agent',
    principalId: '00000000-0000-4000-8000-000000000003',
    scopes: [],
  },
  credentialId: '00000000-0000-4000-8000-000000000004',
  provider: { id: 'stripe', name: 'Stripe', account: null },
  key: { id: '00000000-0000-4000-8000-000000000005', prefix: 'alter_ak_0000000', name: 'main', type: 'ak' },
  agent: { id: '00000000-0000-4000-8000-000000000003', name: 'refunder', type: 'agent' },
  appUserId: null,
  caller: null,
  callerType: null,
  actorId: null,
  clientIp: '203.0.113.7',
  userAgent: null,
  traceId: 'a'.repeat(32),
  reason: null,
  context: {},
  decision: {} as FrozenRequest['decision'],
  ...changes,
})

test('the action hash is that of the written formula', () => {
  const text =
    '{"agent_id":"00000000-0000-4000-8000-000000000003","app_id":"00000000-0000-4000-8000-000000000001",' +
    '"app_user_id":null,"body_length":17,' +
    '"body_sha256":"e649ad5691178764eb93ea1b08283505147f508c208f470a3c5a96412292d404",' +
    '"grant_id":"00000000-0000-4000-8000-000000000002",' +
    '"headers":[["content-type","application/json"],["idempotency-key","refund-1"]],' +
    '"method":"POST","provider_id":"stripe","url":"https://api.stripe.com/v1/refunds","v":1}'
  expect(canonicalAction(request())).toBe(text)
  const expected = createHash('sha256').update(`alter.action.v1\n${text}`).digest('hex')
  expect(actionHash(request()).toString('hex')).toBe(expected)
})

test('the form is RFC 8785: what the general canonicalizer makes of the same members', () => {
  expect(canonicalAction(request())).toBe(canonicalJson(JSON.parse(canonicalAction(request()))))
})

test('vectors made by another implementation of RFC 8785', () => {
  const bare = request({
    agent: null,
    headers: [],
    body: null,
    method: 'GET',
    url: 'https://api.stripe.com/v1/charges?limit=3',
  })
  const vectors = { post: request(), bare, accents: request({ headers: [['x-note', 'caf\u0065\u0301 "1"\t€']] }) }
  const hashes = Object.entries(vectors).map(([name, frozen]) => [name, actionHash(frozen).toString('hex')])
  expect(Object.fromEntries(hashes)).toEqual({
    post: '861e6dd9c64aaa710c4dc4eba782b3c2d16fb9a48dd3973bef3c7ca879857817',
    bare: '55e7edb2b128d86d15171897f449dbbd854179d72e3c50a1862902b99b3a4430',
    accents: '90429dbae0ec57ad3e42cb7db101978bc260ef6278a74c495394baa3c237dced',
  })
})

test('every part of what is sent moves the hash, and nothing else does', () => {
  const base = actionHash(request())
  const moves: Partial<FrozenRequest>[] = [
    { method: 'PUT' },
    { url: 'https://api.stripe.com/v1/refunds?x=1' },
    { headers: [['content-type', 'application/json']] },
    { headers: [...request().headers, ['x-a', '1']] },
    { body: Buffer.from('{"charge":"ch_2"}') },
    { body: null },
    { appId: '00000000-0000-4000-8000-00000000000a' },
    { grant: { ...request().grant, id: '00000000-0000-4000-8000-00000000000b' } },
    { provider: { ...request().provider, id: 'other' } },
    { agent: null },
    { appUserId: '00000000-0000-4000-8000-00000000000c' },
  ]
  for (const change of moves) expect(actionHash(request(change)).equals(base)).toBe(false)
  const stays: Partial<FrozenRequest>[] = [
    { headers: [...request().headers].reverse() },
    { reason: 'another' },
    { clientIp: '198.51.100.1' },
    { context: { run_id: '1' } },
    { traceId: 'b'.repeat(32) },
  ]
  for (const change of stays) expect(actionHash(request(change)).equals(base)).toBe(true)
})

// fast-check's own arbitrary of a web path takes over a second to make.
const anyUrl = fc
  .tuple(fc.domain(), fc.string(), fc.webQueryParameters())
  .map(([host, path, query]) => `https://${host}/${encodeURIComponent(path)}?${query}`)

test('what was frozen comes back byte for byte, whatever the bytes; under another hash it does not', () => {
  fc.assert(
    fc.property(
      fc.option(fc.uint8Array({ maxLength: 2_000 }), { nil: null }),
      fc.array(fc.tuple(fc.stringMatching(/^[a-z-]{1,12}$/), fc.string())),
      anyUrl,
      (bytes, headers, url) => {
        const frozen = request({ body: bytes === null ? null : Buffer.from(bytes), headers, url })
        const sealed = encodeFrozenRequest(frozen)
        expect(decodeFrozenRequest(sealed, actionHash(frozen))).toEqual(frozen)
        const other = actionHash({ ...frozen, method: 'DELETE' })
        expect(() => decodeFrozenRequest(sealed, other)).toThrow('must not be shown or sent')
      },
    ),
  )
})

test('half characters have no canonical form and are refused', () => {
  expect(() => assertFreezable(request({ headers: [['x-a', '\ud800']] }))).toThrow('half a character')
  expect(() => assertFreezable(request())).not.toThrow()
})

test('a list shows method, host and path, never the query', () => {
  expect(actionLine(request({ url: 'https://api.stripe.com:8443/v1/refunds?secret=1#x' }))).toBe(
    'POST api.stripe.com:8443/v1/refunds',
  )
})

test('an idempotency header counts under either name and only with a value', () => {
  expect(hasIdempotencyHeader({ headers: [['Idempotency-Key', 'a']] })).toBe(true)
  expect(hasIdempotencyHeader({ headers: [['x-idempotency-key', 'a']] })).toBe(true)
  expect(hasIdempotencyHeader({ headers: [['idempotency-key', '']] })).toBe(false)
  expect(hasIdempotencyHeader({ headers: [['x-request-id', 'a']] })).toBe(false)
})
