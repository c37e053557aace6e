import { randomUUID } from 'node:crypto'
import type { AppSettings } from '@alter-vault/contracts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SdkAnswer, signedRequest } from '../support/signed-request.ts'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

let desk: VaultWithProvider

beforeAll(async () => {
  desk = await startVaultWithProvider()
})
afterAll(() => desk?.[Symbol.asyncDispose]())

/** A refusal as both APIs tell it. */
type Refusal = {
  status: number
  code: unknown
  message: string
  errors: { pointer: string; code: string; message: string }[]
}

function refusalIn(status: number, body: unknown): Refusal {
  const { error, code, message, detail, errors } = (body ?? {}) as Record<string, unknown>
  return {
    status,
    code: error ?? code,
    message: String(message ?? detail ?? ''),
    errors: Array.isArray(errors) ? (errors as Refusal['errors']) : [],
  }
}

/** Status, code and the place that is wrong; a refusal that is about one place names it in quotes. */
function expectRefusal(refusal: Refusal, [status, code, pointer]: readonly [number, string, string?], about: string) {
  expect({ status: refusal.status, code: refusal.code }, `${about}: ${refusal.message}`).toEqual({ status, code })
  expect(refusal.message.length, `${about} has a sentence`).toBeGreaterThan(15)
  if (pointer === undefined) return
  expect(
    refusal.errors.map((error) => error.pointer),
    `${about}: ${JSON.stringify(refusal.errors)}`,
  ).toContain(pointer)
  const name = pointer.split(/[/:]/).findLast((part) => part !== '' && !/^\d+$/.test(part)) ?? ''
  const texts = [refusal.message, ...refusal.errors.map((error) => error.message)].join(' ')
  expect(texts.toLowerCase(), `${about} names the field`).toContain(name.toLowerCase())
}

const deep = (levels: number) => `${'['.repeat(levels)}${']'.repeat(levels)}`

describe('the SDK API', () => {
  const send = (
    path: string,
    body?: unknown,
    more: Partial<Parameters<typeof signedRequest>[1]> = {},
  ): Promise<SdkAnswer> => signedRequest(desk.vault.baseUrl, { apiKey: desk.runtimeKey, path, body, ...more })
  const call = (change: Record<string, unknown> = {}, more: Partial<Parameters<typeof signedRequest>[1]> = {}) =>
    send('/sdk/proxy', { method: 'POST', url: `${desk.api.url}/never`, grant_id: desk.grantId, ...change }, more)
  const refused = async (answer: Promise<SdkAnswer>, expected: readonly [number, string, string?], about: string) => {
    const { status, body, headers } = await answer
    expectRefusal(refusalIn(status, body), expected, about)
    expect(headers.get('x-alter-refusal'), about).toBe(expected[1])
    expect(headers.get('x-request-id'), about).toBe(body.request_id)
  }

  it.each([
    ['no JSON', '{"method":', [400, 'invalid_json']],
    ['trailing data', '{} {}', [400, 'invalid_json']],
    ['a member named twice', '{"method":"GET","method":"POST"}', [400, 'invalid_json']],
    ['half a character', '{"method":"\\ud800"}', [400, 'invalid_json']],
    ['too many levels', `{"body":${deep(33)}}`, [400, 'invalid_json']],
    ['a number that no double holds', '{"body":1e400}', [422, 'validation_failed']],
    ['NaN', '{"body":NaN}', [400, 'invalid_json']],
    ['a comment', '{"method":"GET"/* */}', [400, 'invalid_json']],
    ['an array', '[]', [422, 'validation_failed']],
    ['null', 'null', [422, 'validation_failed']],
    ['text', '"GET"', [422, 'validation_failed']],
  ] as const)('refuses a body that is %s', (about, body, expected) =>
    refused(send('/sdk/proxy', body), expected, about),
  )

  it('refuses another content type, and a body that is too large', async () => {
    const text = { headers: { 'content-type': 'text/plain' } }
    await refused(call({}, text), [415, 'unsupported_media_type'], 'text/plain')
    const large = await call({ body: 'x'.repeat(10 * 1024 * 1024) }).catch((error: unknown) => error)
    // The server need not read to the end what it refuses; a client that still writes may see only that.
    if (!(large instanceof Error)) await refused(Promise.resolve(large as SdkAnswer), [413, 'body_too_large'], 'large')
  })

  it.each([
    ['an unknown member', { metod: 'GET' }, [422, 'validation_failed', '/metod']],
    ['no method', { method: undefined }, [422, 'validation_failed', '/method']],
    ['a number as method', { method: 1 }, [422, 'validation_failed', '/method']],
    ['an empty method', { method: '' }, [422, 'validation_failed', '/method']],
    ['a method with a space', { method: 'GET /' }, [422, 'validation_failed', '/method']],
    ['no URL', { url: undefined }, [422, 'validation_failed', '/url']],
    ['an empty URL', { url: '' }, [422, 'validation_failed', '/url']],
    ['a path as URL', { url: '/v1/charges' }, [422, 'blocked_destination']],
    ['a URL that is too long', { url: `https://api.example.com/${'a'.repeat(65_536)}` }, [422, 'query_too_long']],
    ['a query that is too long', { query_params: { q: 'a'.repeat(65_536) } }, [422, 'query_too_long']],
    ['two addresses', { provider_id: 'x' }, [422, 'validation_failed', '/grant_id']],
    ['no address', { grant_id: undefined }, [422, 'validation_failed', '/grant_id']],
    ['a grant id that is none', { grant_id: 'grnt_1' }, [422, 'validation_failed', '/grant_id']],
    ['a grant id in capitals', { grant_id: randomUUID().toUpperCase() }, [422, 'validation_failed', '/grant_id']],
    ["a grant that is nobody's", { grant_id: randomUUID() }, [404, 'grant_not_found']],
    ['a label without a provider', { label: 'x' }, [422, 'validation_failed', '/label']],
    ['an account without a provider', { account: 'x' }, [422, 'validation_failed', '/account']],
    [
      'an app user that is none',
      { grant_id: undefined, provider_id: 'p', app_user_id: 'ann' },
      [422, 'validation_failed', '/app_user_id'],
    ],
    [
      'a provider that is too long',
      { grant_id: undefined, provider_id: 'p'.repeat(256) },
      [422, 'validation_failed', '/provider_id'],
    ],
    ['query parameters as text', { query_params: 'a=b' }, [422, 'validation_failed', '/query_params']],
    ['an object in the query', { query_params: { a: { b: 1 } } }, [422, 'validation_failed', '/query_params/a']],
    [
      'a list in a list in the query',
      { query_params: { a: [['b']] } },
      [422, 'validation_failed', '/query_params/a/0'],
    ],
    ['headers as a list', { headers: [['a', 'b']] }, [422, 'validation_failed', '/headers']],
    ['a number as header', { headers: { 'X-A': 1 } }, [422, 'validation_failed', '/headers/X-A']],
    ['a header name that is none', { headers: { 'X A': '1' } }, [422, 'validation_failed', '/headers/X A']],
    ['a line break in a header', { headers: { 'X-A': 'a\r\nHost: b' } }, [422, 'validation_failed', '/headers/X-A']],
    ['NUL in a header', { headers: { 'X-A': 'a\u0000b' } }, [422, 'invalid_characters', '/headers/X-A']],
    [
      'sixty-five headers',
      { headers: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [`X-${n}`, 'v'])) },
      [422, 'validation_failed', '/headers'],
    ],
    ['more than 16 KiB of headers', { headers: { 'X-A': 'a'.repeat(16_385) } }, [422, 'validation_failed', '/headers']],
    [
      'an object as text',
      { headers: { 'Content-Type': 'text/plain' }, body: { a: 1 } },
      [422, 'validation_failed', '/body'],
    ],
    [
      'an object in a form',
      { headers: { 'Content-Type': 'application/x-www-form-urlencoded' }, body: { a: { b: 1 } } },
      [422, 'validation_failed', '/body/a'],
    ],
    ['a user token without an identity provider', { user_token: 'a.b.c' }, [401, 'jwt_validation_error']],
    ['a reason that is no text', { reason: 5 }, [422, 'validation_failed', '/reason']],
  ] as const)('refuses a proxied call with %s', (about, change, expected) => refused(call(change), expected, about))

  it.each([
    'Host',
    'Authorization',
    'Proxy-Authorization',
    'Authentication',
    'Cookie',
    'Set-Cookie',
    'X-Api-Key',
    'X-Auth-Token',
    'X-Amz-Security-Token',
    'X-Amz-Date',
    'X-Amz-Content-Sha256',
    'X-Goog-Authorization',
    'X-Goog-Iam-Authorization-Token',
    'X-Stripe-Account',
    'X-Shopify-Access-Token',
    'X-HTTP-Method',
    'X-HTTP-Method-Override',
    'X-Method-Override',
    'Content-Length',
    'Transfer-Encoding',
    'Connection',
    'Keep-Alive',
    'Upgrade',
    'TE',
    'Trailer',
    'X-Alter-Caller',
  ])('refuses the header %s from a caller, in any case', async (name) => {
    for (const spelling of [name, name.toLowerCase(), name.toUpperCase()]) {
      await refused(call({ headers: { [spelling]: 'x' } }), [422, 'forbidden_header'], spelling)
    }
  })

  it.each([
    ['no JSON', '{', [400, 'invalid_context']],
    ['a list', '[]', [400, 'invalid_context']],
    ['a number in it', '{"a":1}', [400, 'invalid_context']],
    [
      '21 members',
      JSON.stringify(Object.fromEntries(Array.from({ length: 21 }, (_, n) => [`k${n}`, 'v']))),
      [400, 'invalid_context'],
    ],
    ['a long name', JSON.stringify({ ['k'.repeat(65)]: 'v' }), [400, 'invalid_context']],
    ['a long value', JSON.stringify({ k: 'v'.repeat(513) }), [400, 'invalid_context']],
  ] as const)('refuses a context that is, or has, %s', (about, context, expected) =>
    refused(call({}, { headers: { 'x-alter-context': context } }), expected, about),
  )

  const rule = (value: unknown) => ({
    'x-alter-request-rule': Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString(
      'base64url',
    ),
  })
  it.each([
    ['no base64url', { 'x-alter-request-rule': '!!!' }],
    ['no JSON', rule('{')],
    ['an unknown type', rule({ rule_type: 'allow_all', rule_body: {} })],
    ['an unknown member', rule({ rule_type: 'json_match', rule_body: { when: {}, effect: 'deny', x: 1 } })],
    ['an allow effect', rule({ rule_type: 'json_match', rule_body: { when: {}, effect: 'allow' } })],
    [
      'an attribute of stored rules',
      rule({ rule_type: 'json_match', rule_body: { when: { path: '/x' }, effect: 'deny' } }),
    ],
    [
      'a pass',
      rule({
        rule_type: 'require_approval',
        rule_body: {
          effect: 'require_approval',
          approval: { approve_for_window: { max_seconds: 60, match: 'exact' } },
        },
      }),
    ],
    [
      'more than 4,096 characters',
      rule({
        rule_type: 'json_match',
        rule_body: { when: { method: Array.from({ length: 100 }, () => 'x'.repeat(40)) }, effect: 'deny' },
      }),
    ],
  ])('refuses a one-off rule that is, or has, %s, on every call', async (about, headers) => {
    await refused(call({}, { headers }), [400, 'invalid_request_rule'], about)
    await refused(send('/sdk/grants/list', {}, { headers }), [400, 'invalid_request_rule'], about)
  })

  it.each([
    ['x-alter-timestamp', undefined, 'signature_missing'],
    ['x-alter-timestamp', 'now', 'signature_missing'],
    ['x-alter-nonce', undefined, 'signature_missing'],
    ['x-alter-nonce', 'abc', 'signature_missing'],
    ['x-alter-content-sha256', undefined, 'signature_missing'],
    ['x-alter-content-sha256', '0'.repeat(64), 'signature_invalid'],
    ['x-alter-signature', undefined, 'signature_missing'],
    ['x-alter-signature', 'f'.repeat(64), 'signature_invalid'],
    ['x-alter-actor-id', randomUUID(), 'signature_invalid'],
    ['x-alter-scope-constraints', 'grants:read', 'signature_invalid'],
    ['x-api-key', undefined, 'invalid_key'],
    ['x-api-key', 'alter_rk_short', 'invalid_key'],
    ['x-api-key', 'alter_pk_mfrggzdfmztwq2lknnwg23_sni5u5', 'invalid_key'],
  ])('refuses a call whose %s became %s', async (name, value, code) => {
    const { status, body } = await call({}, { afterwards: { [name]: value } })
    expect({ status, code: body.error }).toEqual({ status: 401, code })
  })

  it.each([
    ['limit', 0],
    ['limit', -1],
    ['limit', 1_001],
    ['limit', 1.5],
    ['limit', '5'],
    ['limit', true],
    ['offset', -1],
    ['offset', 'x'],
    ['provider_id', ''],
    ['label', 'l'.repeat(256)],
    ['status', 7],
    ['unknown', 1],
  ])('refuses a list of grants with %s = %j', (name, value) =>
    refused(send('/sdk/grants/list', { [name]: value }), [422, 'validation_failed', `/${name}`], name),
  )

  it.each([
    ['/sdk/approvals/not-an-id', [404, 'approval_not_found']],
    [`/sdk/approvals/${randomUUID()}`, [404, 'approval_not_found']],
    [`/sdk/approvals/${randomUUID()}/result`, [404, 'approval_not_found']],
    [`/sdk/approvals/${randomUUID()}?wait=26`, [422, 'validation_failed', 'query:wait']],
    [`/sdk/approvals/${randomUUID()}?wait=-1`, [422, 'validation_failed', 'query:wait']],
    [`/sdk/approvals/${randomUUID()}?wait=soon`, [422, 'validation_failed', 'query:wait']],
    [`/sdk/approvals/${randomUUID()}?until=now`, [422, 'validation_failed', 'query:until']],
    ['/sdk/nothing', [404, 'not_found']],
  ] as const)('answers GET %s with what is wrong', (path, expected) =>
    refused(send(path, undefined, { method: 'GET' }), expected, path),
  )

  it('names the methods that a path takes', async () => {
    const answer = await send('/sdk/proxy', undefined, { method: 'GET' })
    expect(answer.status).toBe(405)
    expect(answer.headers.get('allow')).toContain('POST')
  })

  it('cuts a reason that is too long, says so, and goes on', async () => {
    const { status, body } = await call({ url: `${desk.api.url}/long-reason`, reason: 'r'.repeat(2_001) })
    expect(status).toBe(200)
    expect(body.reason_truncated).toBe(true)
  })

  it('takes null for absent', async () => {
    const { status } = await call({
      url: `${desk.api.url}/nulls`,
      label: null,
      account: null,
      headers: null,
      reason: null,
    })
    expect(status).toBe(200)
  })

  it('ignores unknown members of telemetry only', async () => {
    const report = {
      grant_id: desk.grantId,
      method: 'GET',
      url: 'https://x.example/',
      response_status: 200,
      latency_ms: 5,
    }
    expect((await send('/sdk/oauth/audit/api-call', { ...report, later: true })).status).toBe(200)
    await refused(
      send('/sdk/token', { grant_id: desk.grantId, later: true }),
      [422, 'validation_failed', '/later'],
      'token',
    )
  })
})

describe('the management API', () => {
  const ask = async (method: string, path: string, body?: unknown, headers?: Record<string, string>) => {
    const answer = await desk.operator.ask(method, path.replace('~', desk.operator.inApp), body, headers)
    expect(answer.headers.get('content-type'), path).toContain('application/problem+json')
    return refusalIn(answer.status, answer.body)
  }
  const secret = (change: Record<string, unknown>) => ({
    name: 'Bad',
    credential_type: 'bearer',
    value: { token: 'abc' },
    allowed_hosts: ['api.example.com'],
    ...change,
  })
  const ruleBody = (change: Record<string, unknown>) => ({
    name: 'Bad',
    type: 'json_match',
    body: { when: {}, effect: 'deny' },
    target: { type: 'app', id: desk.appId },
    ...change,
  })

  it.each([
    ['GET', '/api/v1/apps?limit=0', undefined, [422, 'validation_failed', 'query:limit']],
    ['GET', '/api/v1/apps?limit=1001', undefined, [422, 'validation_failed', 'query:limit']],
    ['GET', '/api/v1/apps?limit=ten', undefined, [422, 'validation_failed', 'query:limit']],
    ['GET', '/api/v1/apps?limit=1e2', undefined, [422, 'validation_failed', 'query:limit']],
    ['GET', '/api/v1/apps?page=2', undefined, [400, 'unknown_parameter']],
    ['GET', '/api/v1/apps?cursor=forged', undefined, [400, 'invalid_cursor']],
    ['GET', '/api/v1/apps/not-an-id', undefined, [404, 'not_found']],
    ['GET', `/api/v1/apps/${randomUUID()}`, undefined, [404, 'not_found']],
    ['GET', '~/keys/not-an-id', undefined, [404, 'not_found']],
    ['GET', `~/keys/${randomUUID()}`, undefined, [404, 'not_found']],
    ['POST', '/api/v1/apps', '{"name":"a","name":"b"}', [400, 'invalid_json']],
    ['POST', '/api/v1/apps', '{"name":', [400, 'invalid_json']],
    ['POST', '/api/v1/apps', { name: 'a', nmae: 'b' }, [422, 'unknown_field', '/nmae']],
    ['POST', '/api/v1/apps', {}, [422, 'validation_failed', '/name']],
    ['POST', '/api/v1/apps', { name: '' }, [422, 'validation_failed', '/name']],
    ['POST', '/api/v1/apps', { name: 'n'.repeat(101) }, [422, 'validation_failed', '/name']],
    ['POST', '/api/v1/apps', { name: 7 }, [422, 'validation_failed', '/name']],
    ['POST', '/api/v1/apps', { name: 'a\u0000b' }, [422, 'invalid_characters', '/name']],
    ['POST', '/api/v1/apps', { name: 'a\u202eb' }, [422, 'invalid_characters', '/name']],
    [
      'POST',
      '/api/v1/apps',
      { name: 'x', settings: { retain_body_days: 366 } },
      [422, 'validation_failed', '/settings/retain_body_days'],
    ],
    [
      'POST',
      '/api/v1/apps',
      { name: 'x', settings: { allowed_private_hosts: ['localhost'] } },
      [422, 'validation_failed', '/settings/allowed_private_hosts/0'],
    ],
    ['POST', '~/keys', { name: 'k', scopes: [] }, [422, 'validation_failed', '/scopes']],
    ['POST', '~/keys', { name: 'k', scopes: ['*'] }, [400, 'invalid_scope']],
    ['POST', '~/keys', { name: 'k', scopes: ['grants:everything'] }, [400, 'invalid_scope']],
    ['POST', '~/keys', { name: 'k', scopes: ['grants:read'], cidr_allowlist: ['0.0.0.0/0'] }, [422, 'cidr_too_wide']],
    ['POST', '~/keys', { name: 'k', scopes: ['grants:read'], cidr_allowlist: ['10.0.0.1/8'] }, [422, 'invalid_cidr']],
    [
      'POST',
      '~/keys',
      { name: 'k', scopes: ['grants:read'], cidr_allowlist: ['fe80::1%eth0/64'] },
      [422, 'invalid_cidr'],
    ],
    [
      'POST',
      '~/keys',
      { name: 'k', scopes: ['grants:read'], rate_limit_rpm: 0 },
      [422, 'validation_failed', '/rate_limit_rpm'],
    ],
    [
      'POST',
      '~/keys',
      { name: 'k', scopes: ['grants:read'], expires_in: 'soon' },
      [422, 'validation_failed', '/expires_in'],
    ],
    [
      'POST',
      '~/keys',
      { name: 'k', scopes: ['grants:read'], expires_at: '2030-01-01T00:00:00' },
      [422, 'validation_failed', '/expires_at'],
    ],
    [
      'POST',
      '~/keys',
      { name: 'k', scopes: ['grants:read'], expires_at: '2030-02-30T00:00:00Z' },
      [422, 'validation_failed', '/expires_at'],
    ],
    [
      'POST',
      '~/keys',
      { name: 'k', scopes: ['grants:read'], expires_at: '2020-01-01T00:00:00Z' },
      [422, 'validation_failed', '/expires_at'],
    ],
    [
      'POST',
      '~/keys',
      { name: 'k', scopes: ['grants:read'], expires_in: '1d', expires_at: '2030-01-01T00:00:00Z' },
      [422, 'validation_failed'],
    ],
    [
      'POST',
      '~/keys',
      { name: 'k', scopes: ['grants:read'], metadata: { big: 'm'.repeat(4_096) } },
      [422, 'validation_failed', '/metadata'],
    ],
    ['POST', '~/agents', { name: 'Not a slug' }, [422, 'validation_failed', '/name']],
    [
      'POST',
      '~/agents',
      { name: 'a', scopes: { managed_secret_slugs: [] } },
      [422, 'validation_failed', '/scopes/managed_secret_slugs'],
    ],
    [
      'POST',
      '~/agents',
      { name: 'a', policy: { requires_approval: { window_seconds: 59 } } },
      [422, 'validation_failed', '/policy/requires_approval/window_seconds'],
    ],
    ['POST', '~/managed-secrets', secret({ value: { token: '' } }), [422, 'validation_failed', '/value/token']],
    ['POST', '~/managed-secrets', secret({ value: { token: 'a\r\nb' } }), [422, 'validation_failed', '/value/token']],
    ['POST', '~/managed-secrets', secret({ value: { token: 't'.repeat(17 * 1024) } }), [422, 'validation_failed']],
    ['POST', '~/managed-secrets', secret({ value: { tokn: 'a' } }), [422, 'validation_failed']],
    ['POST', '~/managed-secrets', secret({ allowed_hosts: ['*'] }), [422, 'validation_failed', '/allowed_hosts/0']],
    ['POST', '~/managed-secrets', secret({ allowed_hosts: ['*.com'] }), [422, 'validation_failed', '/allowed_hosts/0']],
    [
      'POST',
      '~/managed-secrets',
      secret({ allowed_hosts: ['10.0.0.1'] }),
      [422, 'validation_failed', '/allowed_hosts/0'],
    ],
    [
      'POST',
      '~/managed-secrets',
      secret({ allowed_hosts: ['https://api.example.com/'] }),
      [422, 'validation_failed', '/allowed_hosts/0'],
    ],
    ['POST', '~/managed-secrets', secret({ allowed_hosts: [] }), [422, 'allowed_hosts_required']],
    [
      'POST',
      '~/managed-secrets',
      secret({ injection: { header: 'Host' } }),
      [422, 'validation_failed', '/injection/header'],
    ],
    [
      'POST',
      '~/managed-secrets',
      secret({ injection: { format: 'Bearer' } }),
      [422, 'validation_failed', '/injection/format'],
    ],
    [
      'POST',
      '~/managed-secrets',
      secret({ injection: { format: '{token}{token}' } }),
      [422, 'validation_failed', '/injection/format'],
    ],
    [
      'POST',
      '~/managed-secrets',
      secret({ credential_type: 'password' }),
      [422, 'validation_failed', '/credential_type'],
    ],
    ['POST', `~/managed-secrets/${randomUUID()}/grants`, { principal: { type: 'system' } }, [404, 'not_found']],
  ] as const)('refuses %s %s with %j', async (method, path, body, expected) => {
    expectRefusal(await ask(method, path, body), expected, `${method} ${path} ${JSON.stringify(body)?.slice(0, 200)}`)
  })

  it.each([
    ['two targets', { target: { type: 'app', id: randomUUID(), agent: 'x' } }, [422, 'invalid_target']],
    ['no target', { target: undefined }, [422, 'invalid_target']],
    ['a target of another app', { target: { type: 'app', id: randomUUID() } }, [404, 'not_found']],
    ['an unknown type', { type: 'allow' }, [422, 'validation_failed', '/type']],
    [
      'an unknown member of the body',
      { body: { when: {}, effect: 'deny', x: 1 } },
      [422, 'invalid_rule_body', '/body/x'],
    ],
    ['an allow effect', { body: { when: {}, effect: 'allow' } }, [422, 'invalid_rule_body', '/body/effect']],
    [
      'an unknown attribute',
      { body: { when: { url: 'x' }, effect: 'deny' } },
      [422, 'invalid_rule_body', '/body/when/url'],
    ],
    [
      'a zone in the wrong case',
      {
        type: 'time_window',
        body: { timezone: 'europe/paris', windows: [{ days: ['mon'], start: '09:00', end: '17:00' }] },
      },
      [422, 'invalid_rule_body', '/body/timezone'],
    ],
    [
      'a window without length',
      {
        type: 'time_window',
        body: { timezone: 'Europe/Paris', windows: [{ days: ['mon'], start: '09:00', end: '09:00' }] },
      },
      [422, 'invalid_rule_body'],
    ],
    [
      'a date that is none',
      {
        type: 'time_window',
        body: {
          timezone: 'Europe/Paris',
          windows: [{ days: ['mon'], start: '09:00', end: '17:00' }],
          excluded_dates: ['2026-02-30'],
        },
      },
      [422, 'invalid_rule_body', '/body/excluded_dates/0'],
    ],
    ['a CIDR of everything', { type: 'ip_allowlist', body: { cidrs: ['0.0.0.0/0'] } }, [422, 'cidr_too_wide']],
    [
      'a short approval window',
      { type: 'require_approval', body: { effect: 'require_approval', approval: { window_seconds: 59 } } },
      [422, 'invalid_rule_body', '/body/approval/window_seconds'],
    ],
    [
      'no approver',
      { type: 'require_approval', body: { effect: 'require_approval', approval: { approvers: [] } } },
      [422, 'invalid_rule_body', '/body/approval/approvers'],
    ],
    [
      'a quorum without approvers',
      { type: 'require_approval', body: { effect: 'require_approval', approval: { quorum: 2 } } },
      [422, 'invalid_rule_body', '/body/approval/quorum'],
    ],
    ['a limit of nothing', { type: 'rate_limit', body: { limit: 0 } }, [422, 'invalid_rule_body', '/body/limit']],
    [
      'CEL that does not parse',
      { type: 'cel', body: { expression: 'request.', effect: 'deny' } },
      [422, 'invalid_cel'],
    ],
    ['CEL that is no question', { type: 'cel', body: { expression: '1 + 1', effect: 'deny' } }, [422, 'invalid_cel']],
    [
      'CEL about something unknown',
      { type: 'cel', body: { expression: 'moon.phase == 1', effect: 'deny' } },
      [422, 'invalid_cel'],
    ],
  ] as const)('refuses a rule with %s', async (about, change, expected) => {
    expectRefusal(await ask('POST', '~/rules', ruleBody(change)), expected, about)
  })

  it('asks which version is meant before it changes anything', async () => {
    expectRefusal(await ask('PATCH', '~', { description: 'x' }), [428, 'precondition_required'], 'no If-Match')
    expectRefusal(
      await ask('PATCH', '~', { description: 'x' }, { 'If-Match': '"0"' }),
      [412, 'version_conflict'],
      'stale',
    )
  })

  it('knows who asks', async () => {
    for (const token of ['', 'Bearer', 'Bearer nothing', `Bearer ${desk.runtimeKey}`, 'Basic YTpi']) {
      const response = await fetch(`${desk.vault.baseUrl}/api/v1/apps`, {
        headers: token === '' ? {} : { Authorization: token },
      })
      expectRefusal(refusalIn(response.status, await response.json()), [401, 'authentication_required'], token)
    }
  })
})

describe('every endpoint', () => {
  type Operation = {
    operationId: string
    requestBody?: { content: Record<string, { schema: { properties?: object } }> }
  }
  const JUNK: unknown[] = [
    {},
    [],
    null,
    0,
    '',
    'text',
    { constructor: 1 },
    { __proto__: null, a: { b: [null] } },
    { name: { $ne: 1 } },
  ]
  const wrongValues = [
    null,
    -1,
    1.5,
    '',
    '\u0000',
    'x'.repeat(5_000),
    [],
    [null],
    {},
    { a: 1 },
    true,
    '../..',
    '%00',
    "' or 1=1 --",
  ]

  it('answers junk with a refusal and never with a fault', { timeout: 80_000 }, async () => {
    const described = (await (await fetch(`${desk.vault.baseUrl}/api/v1/openapi.json`)).json()) as {
      paths: Record<string, Record<string, Operation>>
    }
    const ids = ['not-an-id', randomUUID()]
    let sent = 0
    for (const [template, operations] of Object.entries(described.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const { properties = {} } = operation.requestBody?.content['application/json']?.schema ?? {}
        const one = wrongValues[sent % wrongValues.length]
        const bodies =
          operation.requestBody === undefined
            ? [undefined]
            : [
                ...JUNK,
                ...Object.keys(properties).map((name, index) => ({
                  [name]: wrongValues[(index + sent) % wrongValues.length],
                })),
                Object.fromEntries(Object.keys(properties).map((name) => [name, one])),
              ]
        for (const [index, body] of bodies.entries()) {
          const path = template.replace('{app_id}', desk.appId).replace(/\{[a-z_]+\}/g, ids[index % 2] ?? '')
          const query = index % 3 === 0 ? '?limit=%00&unknown[]=1' : ''
          const verb = method.toUpperCase()
          const answer = path.startsWith('/sdk/')
            ? await signedRequest(desk.vault.baseUrl, {
                apiKey: desk.runtimeKey,
                method: verb,
                path,
                body: body === undefined ? undefined : JSON.stringify(body),
              })
            : await desk.operator.ask(verb, `${path}${query}`, body, { 'If-Match': '"999"' })
          sent += 1
          const about = `${verb} ${path}${query} ${JSON.stringify(body)?.slice(0, 200)} -> ${answer.status} ${answer.text.slice(0, 300)}`
          expect(answer.status, about).toBeLessThan(500)
          if (answer.status >= 400) expect(refusalIn(answer.status, answer.body).code, about).toMatch(/^[a-z_]+$/)
        }
      }
    }
    expect(sent).toBeGreaterThan(200)
    expect(desk.vault.logs()).not.toContain('"code":"internal_error"')
    const { settings } = (await desk.operator.app()) as { settings: AppSettings }
    expect(settings.allowed_private_hosts, 'junk changed nothing').toEqual([desk.api.host])
  })
})

it('sent nothing that was refused', () => {
  expect(desk.api.to('/never')).toEqual([])
})
