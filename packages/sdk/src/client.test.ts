import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { createFrozenRuntime, FROZEN_NONCE, FROZEN_UNIX_SECONDS } from '../test/frozen-runtime.ts'
import { type RecordingVault, startRecordingVault } from '../test/recording-vault.ts'
import { expectedSignature } from '../test/signature-check.ts'
import { Agent } from './agent.ts'
import { App, type AppOptions } from './app.ts'
import * as errors from './generated/errors.ts'
import { SDK_VERSION } from './version.ts'

const KEY = 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'
const AGENT_ID = '11111111-2222-3333-4444-555555555555'
const GRANT_ID = '00000000-0000-4000-8000-000000000010'
const ACTOR_ID = '00000000-0000-4000-8000-000000000016'
const EMPTY_PAGE = { grants: [], total: 0, limit: 100, offset: 0, has_more: false }
const CATALOG = {
  scope_version: 1,
  resources: { grants: { verbs: ['read'] } },
  action_verbs: ['execute'],
  deprecated: [],
}

let vault: RecordingVault
let runtime: ReturnType<typeof createFrozenRuntime>

beforeEach(async () => {
  vault = await startRecordingVault()
  runtime = createFrozenRuntime()
  vault.answer('/sdk/grants/list', { json: EMPTY_PAGE })
  vault.answer('/sdk/scopes', { json: CATALOG })
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await vault[Symbol.asyncDispose]()
})

function createApp(options: Partial<AppOptions> = {}): App {
  return new App({ apiKey: KEY, baseUrl: vault.url, runtime, ...options })
}

describe('construction', () => {
  test.each(['', 'alter_rk_x', KEY.replace('iwpykn', 'iwpykm'), 7 as unknown as string])(
    'refuses the key %j',
    (apiKey) => {
      expect(() => createApp({ apiKey })).toThrow(errors.AlterSDKError)
      expect(() => createApp({ apiKey })).not.toThrow(errors.AlterValueError)
    },
  )

  test('does not repeat a refused key', () => {
    expect(() => createApp({ apiKey: 'alter_rk_secret' })).toThrow(/^(?!.*secret)/)
  })

  test.each([
    'ftp://vault.example',
    'vault.example',
    'http://vault.example',
    'https://user@vault.example',
    'https://vault.example/?a=1',
    'https://vault.example/#a',
    'https://vault.example?',
    '',
  ])('refuses the base URL %j', (baseUrl) => {
    vi.stubEnv('ALTER_BASE_URL', baseUrl)
    if (baseUrl !== '') expect(() => new App({ apiKey: KEY })).toThrow(errors.AlterValueError)
    expect(() => createApp({ baseUrl })).toThrow(errors.AlterValueError)
  })

  test.each([
    ['https://vault.example/', 'https://vault.example'],
    ['https://vault.example/a/b//', 'https://vault.example/a/b'],
    ['http://localhost:8787', 'http://localhost:8787'],
    ['http://[::1]:8787/', 'http://[::1]:8787'],
  ])('takes the base URL %s as %s', (baseUrl, taken) => {
    expect(createApp({ baseUrl }).baseUrl).toBe(taken)
  })

  test('reads ALTER_BASE_URL when it happens, after the option and before the default', () => {
    vi.stubEnv('ALTER_BASE_URL', 'https://from.environment')
    expect(new App({ apiKey: KEY }).baseUrl).toBe('https://from.environment')
    expect(new App({ apiKey: KEY, baseUrl: 'https://from.option' }).baseUrl).toBe('https://from.option')
    vi.stubEnv('ALTER_BASE_URL', undefined)
    expect(new App({ apiKey: KEY }).baseUrl).toBe('https://backend.alterauth.com')
  })

  test('warns once per process and address that plain http is not encrypted', () => {
    createApp()
    createApp()
    expect(runtime.warnings).toEqual([`Requests to the vault at ${vault.url} are not encrypted`])
  })

  test.each([
    { caller: '' },
    { caller: 'x'.repeat(256) },
    { caller: 'Zoë' },
    { caller: 'a\nb' },
    { caller: ' a' },
    { timeoutMs: 0 },
    { timeoutMs: Number.NaN },
    { callerType: 'robot' as 'agent' },
    { constraints: {} },
  ])('refuses %j', (options) => {
    expect(() => createApp(options)).toThrow(errors.AlterValueError)
  })

  test('shows no key when it is printed', async () => {
    const { inspect } = await import('node:util')
    const shown = [createApp(), createApp().getAgent(AGENT_ID)].map((client) =>
      inspect(client, { depth: 9, showHidden: true }),
    )
    expect(shown.join()).not.toContain('abcdefghijklmnopqrstuv')
  })
})

describe('every call', () => {
  test('is signed over exactly the bytes that are sent', async () => {
    await createApp().listGrants({ providerId: 'slack', label: 'Zoë' })
    const [request] = vault.requests
    expect(request).toMatchObject({
      method: 'POST',
      target: '/sdk/grants/list',
      body: '{"limit":100,"offset":0,"provider_id":"slack","label":"Zoë"}',
    })
    expect(request!.headers).toMatchObject({
      'x-api-key': KEY,
      'user-agent': `alter-sdk-typescript/${SDK_VERSION}`,
      'content-type': 'application/json',
      'x-alter-timestamp': String(FROZEN_UNIX_SECONDS),
      'x-alter-nonce': FROZEN_NONCE,
      'x-alter-signature': expectedSignature(request!, KEY),
    })
    expect(
      Object.keys(request!.headers)
        .filter((name) => name.startsWith('x-alter-'))
        .sort(),
    ).toEqual(['x-alter-content-sha256', 'x-alter-nonce', 'x-alter-signature', 'x-alter-timestamp'])
  })

  test('reproduces the published signature of a list of grants', async () => {
    await createApp().listGrants()
    expect(vault.requests[0]!.body).toBe('{"limit":100,"offset":0}')
    expect(vault.requests[0]!.headers['x-alter-signature']).toBe(
      '958c9fd3ee528b89ee4b7ce8bd2f88623aa4ff43ee8bb02c5c15b70b66c7844a',
    )
  })

  test('without a body has no content type either', async () => {
    await createApp().scopes.list()
    expect(vault.requests[0]).toMatchObject({ method: 'GET', target: '/sdk/scopes', body: '' })
    expect(vault.requests[0]!.headers).not.toHaveProperty('content-type')
    expect(vault.requests[0]!.headers['x-alter-content-sha256']).toMatch(/^e3b0c442/)
  })

  test('below a path of the base URL is signed without that path', async () => {
    vault.answer('/mount/sdk/scopes', { json: CATALOG })
    await createApp({ baseUrl: `${vault.url}/mount/` }).scopes.list()
    const [request] = vault.requests
    expect(request!.target).toBe('/mount/sdk/scopes')
    expect(request!.headers['x-alter-signature']).toBe(expectedSignature(request!, KEY, '/mount'))
  })

  test('has a nonce and a time of its own', async () => {
    const app = new App({ apiKey: KEY, baseUrl: vault.url, runtime: { warn: () => undefined } })
    await app.scopes.list()
    await app.scopes.list()
    const nonces = vault.requests.map((request) => request.headers['x-alter-nonce'])
    expect(new Set(nonces).size).toBe(2)
    for (const nonce of nonces) expect(nonce).toMatch(/^[0-9a-f]{32}$/)
  })

  test('carries the caller, its type, and from then on the actor that the vault named', async () => {
    vault.answer('/sdk/scopes', { json: CATALOG, headers: { 'X-Alter-Actor-ID': ACTOR_ID } })
    const app = createApp({ caller: 'billing-cron' })
    expect(app.actorId).toBeNull()
    await app.scopes.list()
    await app.scopes.list()
    expect(app.actorId).toBe(ACTOR_ID)
    const [first, second] = vault.requests
    expect(first!.headers).toMatchObject({ 'x-alter-caller': 'billing-cron', 'x-alter-caller-type': 'service' })
    expect(first!.headers).not.toHaveProperty('x-alter-actor-id')
    expect(second!.headers).toMatchObject({ 'x-alter-actor-id': ACTOR_ID })
    for (const request of [first!, second!]) {
      expect(request.headers['x-alter-signature']).toBe(expectedSignature(request, KEY))
      expect(request.headers['x-alter-signature-v2']).toBe(request.headers['x-alter-signature'])
    }
  })

  test('keeps the first actor when another is named, and says so once; anything but a UUID is no actor', async () => {
    const other = ACTOR_ID.replace('16', '17')
    vault.answer(
      '/sdk/scopes',
      ...['nonsense', ACTOR_ID, other, other].map((id) => ({ json: CATALOG, headers: { 'X-Alter-Actor-ID': id } })),
    )
    const app = createApp({ caller: 'a' })
    runtime.warnings.length = 0
    for (let call = 0; call < 4; call++) await app.scopes.list()
    expect(app.actorId).toBe(ACTOR_ID)
    expect(runtime.warnings).toHaveLength(1)
  })

  test('warns once per client that the key is deprecated, and only for the word true', async () => {
    const app = createApp()
    runtime.warnings.length = 0
    vault.answer(
      '/sdk/scopes',
      ...['True', 'true', 'true'].map((said) => ({ json: CATALOG, headers: { 'X-Alter-Key-Deprecated': said } })),
    )
    await app.scopes.list()
    expect(runtime.warnings).toEqual([])
    await app.scopes.list()
    await app.scopes.list()
    expect(runtime.warnings).toEqual([expect.stringContaining('deprecated')])
  })

  test.each([
    [{ 'X-RateLimit-Limit': '10', 'X-RateLimit-Remaining': '9', 'X-RateLimit-Reset': '1767225660' }, 9],
    [{ 'RateLimit-Policy': '"burst";q=100;w=60, "key";q=10;w=60', RateLimit: '"key";r=4;t=60' }, 4],
  ])('remembers the rate-limit budget of %j', async (headers, remaining) => {
    vault.answer('/sdk/scopes', { json: CATALOG, headers: headers as Record<string, string> }, { json: CATALOG })
    const app = createApp()
    expect(app.lastRateLimit).toBeNull()
    await app.scopes.list()
    await app.scopes.list()
    expect(app.lastRateLimit).toEqual({ limit: 10, remaining, resetAtSeconds: FROZEN_UNIX_SECONDS + 60 })
  })

  test.each([
    [{ 'X-RateLimit-Limit': '10', 'X-RateLimit-Remaining': '9' }],
    [{ 'X-RateLimit-Limit': '10', 'X-RateLimit-Remaining': '-1', 'X-RateLimit-Reset': '1' }],
    [{ 'RateLimit-Policy': '"other";q=100', RateLimit: '"key";r=4;t=60' }],
    [{ 'RateLimit-Policy': '"key";q="100"', RateLimit: '"key";r=4;t=60' }],
  ])('has no budget from %j', async (headers) => {
    vault.answer('/sdk/scopes', { json: CATALOG, headers: headers as Record<string, string> })
    const app = createApp()
    await app.scopes.list()
    expect(app.lastRateLimit).toBeNull()
  })

  test('is sent once, whatever the answer', async () => {
    vault.answer('/sdk/scopes', { status: 503, json: { error: 'service_unavailable' } })
    await expect(createApp().scopes.list()).rejects.toMatchObject({ statusCode: 503 })
    expect(vault.requests).toHaveLength(1)
  })

  test('does not follow a redirect', async () => {
    vault.answer('/sdk/scopes', { status: 302, headers: { location: `${vault.url}/elsewhere` } })
    await expect(createApp().scopes.list()).rejects.toMatchObject({ name: 'BackendError', statusCode: 302 })
    expect(vault.requests).toHaveLength(1)
  })

  test('fails as a network error when the connection breaks', async () => {
    vault.answer('/sdk/scopes', { hangUp: true })
    const error = await createApp()
      .scopes.list()
      .catch((caught) => caught)
    expect(error.constructor).toBe(errors.NetworkError)
    expect(JSON.stringify(error) + error.stack).not.toContain(KEY)
  })

  test('fails as a timeout after 30 s, or as many as said', async () => {
    vault.answer('/sdk/scopes', { silent: true })
    for (const [options, delayMs] of [
      [{}, 30_000],
      [{ timeoutMs: 1_500 }, 1_500],
    ] as const) {
      const call = createApp(options).scopes.list()
      const failure = expect(call).rejects.toMatchObject({
        name: 'TimeoutError',
        message: expect.stringContaining(`${delayMs} ms`),
      })
      expect(runtime.delays.at(-1)).toBe(delayMs)
      runtime.advance(delayMs)
      await failure
    }
  })

  test.each([
    { json: null },
    { body: 'text' },
    { json: { ...CATALOG, scope_version: '1' } },
    { json: { ...CATALOG, resources: { a: {} } } },
  ])('fails as a backend error when the answer is %j', async (reply) => {
    vault.answer('/sdk/scopes', reply)
    await expect(createApp().scopes.list()).rejects.toMatchObject({ name: 'BackendError', statusCode: 200 })
  })
})

describe('closing', () => {
  test('refuses further calls and may be done again', async () => {
    const app = createApp()
    await app.close()
    await app.close()
    await expect(app.scopes.list()).rejects.toThrow(errors.AlterSDKError)
    expect(() => app.withConstraints({ scopes: ['a:b'] })).toThrow(errors.AlterSDKError)
    expect(() => app.getAgent(AGENT_ID)).toThrow(errors.AlterValueError)
    expect(vault.requests).toHaveLength(0)
  })

  test('happens at the end of an await using block', async () => {
    let kept: App
    {
      await using app = createApp()
      kept = app
    }
    await expect(kept.scopes.list()).rejects.toThrow('closed')
  })
})

describe('constraints', () => {
  test('ride on every call of the sibling and are signed', async () => {
    const app = createApp()
    const narrowed = app.withConstraints({
      scopes: ['grants:read', 'proxy:execute'],
      rule: { ruleType: 'json_match', ruleBody: { when: { method: 'PÖST' }, effect: 'deny' } },
    })
    await narrowed.scopes.list()
    await app.scopes.list()
    const [constrained, plain] = vault.requests
    expect(constrained!.headers['x-alter-scope-constraints']).toBe('grants:read,proxy:execute')
    const rule = constrained!.headers['x-alter-request-rule']!
    expect(rule).toMatch(/^[A-Za-z0-9_-]+$/)
    expect(Buffer.from(rule, 'base64url').toString()).toBe(
      '{"rule_type":"json_match","rule_body":{"when":{"method":"PÖST"},"effect":"deny"}}',
    )
    expect(constrained!.headers['x-alter-signature']).toBe(expectedSignature(constrained!, KEY))
    expect(constrained!.headers).not.toHaveProperty('x-alter-signature-v2')
    expect(plain!.headers).not.toHaveProperty('x-alter-scope-constraints')
  })

  test('accept a rule in its JSON form', async () => {
    await createApp()
      .withConstraints({ rule: { rule_type: 'a', rule_body: { b_c: 1 } } })
      .scopes.list()
    const header = vault.requests[0]!.headers['x-alter-request-rule']!
    expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({ rule_type: 'a', rule_body: { b_c: 1 } })
  })

  test.each([
    {},
    { scopes: [] },
    { scopes: ['*'] },
    { scopes: ['a:*'] },
    { scopes: ['a:b', ''] },
    { scopes: ['a b'] },
    { scopes: 'a:b' },
    { rule: {} },
    { rule: { ruleType: 'a' } },
    { rule: { ruleType: '', ruleBody: {} } },
    { rule: { ruleType: 'a', ruleBody: [] } },
    { rule: { ruleType: 'a', ruleBody: {}, extra: 1 } },
    { rule: { ruleType: 'a', ruleBody: { text: 'x'.repeat(3_100) } } },
    { rule: { ruleType: 'a', ruleBody: { n: Number.NaN } } },
  ])('refuse %j', (constraints) => {
    expect(() => createApp().withConstraints(constraints as never)).toThrow(errors.AlterValueError)
  })

  test('do not nest', () => {
    expect(() =>
      createApp()
        .withConstraints({ scopes: ['a:b'] })
        .withConstraints({ scopes: ['a:b'] }),
    ).toThrow(errors.AlterValueError)
  })

  test('stay on an agent of a constrained app', async () => {
    vault.answer('/sdk/agents/me', { status: 401, json: {} })
    const agent = createApp()
      .withConstraints({ scopes: ['grants:read'] })
      .getAgent(AGENT_ID)
    await agent.me().catch(() => undefined)
    expect(vault.requests[0]!.headers).toMatchObject({
      'x-alter-scope-constraints': 'grants:read',
      'x-alter-caller': AGENT_ID,
    })
  })
})

describe('an agent', () => {
  const ME = {
    id: AGENT_ID,
    name: 'refunds',
    type: 'agent',
    status: 'active',
    version: 3,
    created_at: '2026-01-01T00:00:00Z',
    scopes: { slack: ['chat:write'], managed_secret_slugs: ['stripe'] },
    metadata: { teamName: 'x', team_name: 'y' },
    policy: { requires_approval: { approvers: ['a@x'] } },
  }

  test('of an app acts under its id and keeps no user token getter', async () => {
    vault.answer('/sdk/agents/me', { json: ME })
    const agent = createApp({ caller: 'cron', userTokenGetter: () => 'jwt' }).getAgent(AGENT_ID.toUpperCase())
    expect(agent).toBeInstanceOf(Agent)
    const me = await agent.me()
    expect(me).toMatchObject({ id: AGENT_ID, displayName: null, lastUsedAt: null, parentAgentId: null })
    expect(me.metadata).toEqual(ME.metadata)
    expect(me.policy).toEqual(ME.policy)
    expect(me.scopes).toEqual(ME.scopes)
    expect(vault.requests[0]!.headers).toMatchObject({ 'x-alter-caller': AGENT_ID, 'x-alter-caller-type': 'agent' })
    vault.answer('/sdk/token', { status: 401, json: {} })
    await agent.request('GET', 'https://api.example.com', { provider: 'x' }).catch(() => undefined)
    expect(JSON.parse(vault.to('/sdk/token')[0]!.body)).not.toHaveProperty('user_token')
  })

  test('with its own key names no caller unless one is given', async () => {
    vault.answer('/sdk/agents/me', { json: ME })
    await new Agent({ apiKey: KEY, baseUrl: vault.url, runtime }).me()
    await new Agent({ apiKey: KEY, baseUrl: vault.url, runtime, caller: 'worker' }).me()
    expect(vault.requests[0]!.headers).not.toHaveProperty('x-alter-caller')
    expect(vault.requests[1]!.headers).toMatchObject({ 'x-alter-caller': 'worker', 'x-alter-caller-type': 'agent' })
  })

  test.each(['', 'refunds', '../x'])('is not found by the id %j', (id) => {
    expect(() => createApp().getAgent(id)).toThrow(errors.AlterValueError)
  })

  test('whose key is no agent key hears so from the agents mapper', async () => {
    vault.answer('/sdk/agents/me', {
      status: 403,
      json: { error: 'me_requires_agent_key', message: 'x', hint: 'Use an agent key.' },
    })
    const error = await createApp()
      .getAgent(AGENT_ID)
      .me()
      .catch((caught) => caught)
    expect(error.constructor).toBe(errors.MeRequiresAgentKeyError)
    expect(error.hint).toBe('Use an agent key.')
  })
})

describe('listing grants', () => {
  test('sends only what is set, an app with its user token', async () => {
    const app = createApp({ userTokenGetter: async () => 'jwt' })
    await app.listGrants({ status: 'active', account: 'a@x', limit: 1_000, offset: 7 })
    expect(vault.requests[0]!.body).toBe(
      '{"limit":1000,"offset":7,"status":"active","account":"a@x","user_token":"jwt"}',
    )
    await app.listGrants({ endUserToken: 'other' })
    expect(JSON.parse(vault.requests[1]!.body).user_token).toBe('other')
  })

  test('of an agent takes the user token as an argument only', async () => {
    const agent = new Agent({ apiKey: KEY, baseUrl: vault.url, runtime, userTokenGetter: () => 'jwt' })
    await agent.listGrants()
    expect(vault.requests[0]!.body).toBe('{"limit":100,"offset":0}')
  })

  test('returns both kinds', async () => {
    vault.answer('/sdk/grants/list', {
      json: {
        grants: [
          {
            grant_kind: 'oauth',
            grant_id: GRANT_ID,
            provider_id: 'slack',
            status: 'active',
            created_at: '2026-01-01T00:00:00Z',
            principal_type: 'user',
            api_base_url: 'https://slack.com/api',
          },
          {
            grant_kind: 'managed_secret',
            grant_id: GRANT_ID,
            managed_secret_id: 'm',
            managed_secret_slug: 'stripe',
            managed_secret_name: 'Stripe',
            status: 'active',
            created_at: '2026-01-01T00:00:00Z',
            principal_type: 'agent',
            credential_kind: 'a new kind',
          },
        ],
        total: 2,
        limit: 100,
        offset: 0,
        has_more: false,
        a_new_field: 1,
      },
    })
    const { grants } = await createApp().listGrants()
    expect(grants.map((grant) => (grant.grantKind === 'oauth' ? grant.apiBaseUrl : grant.managedSecretSlug))).toEqual([
      null,
      'stripe',
    ])
    expect(grants[1]).toMatchObject({ credentialKind: null, accessVia: 'ownership', depth: 0 })
  })

  test.each([{ limit: 0 }, { limit: 1_001 }, { limit: 1.5 }, { offset: -1 }])('refuses %j', async (options) => {
    await expect(createApp().listGrants(options)).rejects.toThrow(errors.AlterValueError)
    expect(vault.requests).toHaveLength(0)
  })
})

describe('granting a managed secret', () => {
  const PATH = '/sdk/managed-secrets/sec%2Fret/grants'
  const CREATED = { grant_id: GRANT_ID, principal_type: 'user', label: null, created_at: '2026-01-01T00:00:00Z' }

  test.each([
    [
      { type: 'user', userToken: 'jwt', label: 'l' },
      { type: 'user', user_token: 'jwt', label: 'l' },
    ],
    [
      { type: 'group', externalGroupId: 'g', idpId: 'i', label: 'l' },
      { type: 'group', external_group_id: 'g', idp_id: 'i', label: 'l' },
    ],
    [{ type: 'system' }, { type: 'system', label: null }],
    [
      { type: 'agent', label: 'l' },
      { type: 'agent', label: 'l' },
    ],
  ] as const)('writes the principal %j', async (principal, wire) => {
    vault.answer(PATH, { json: CREATED })
    const created = await createApp().createManagedSecretGrant('sec/ret', { principal })
    expect(JSON.parse(vault.requests[0]!.body)).toEqual({ principal: wire, grant_policy: {} })
    expect(created).toMatchObject({ grantId: GRANT_ID, label: null, credentialId: null })
  })

  test('writes limits and credential', async () => {
    vault.answer(PATH, { json: CREATED })
    await createApp().createManagedSecretGrant('sec/ret', {
      principal: { type: 'system' },
      grantPolicy: { maxTtlSeconds: 60, expiresAt: '2027-01-01T00:00:00Z' },
      credentialId: 'c',
    })
    expect(JSON.parse(vault.requests[0]!.body)).toEqual({
      principal: { type: 'system', label: null },
      grant_policy: { expires_at: '2027-01-01T00:00:00Z', max_ttl_seconds: 60 },
      credential_id: 'c',
    })
  })

  test.each([
    { principal: { type: 'user', userToken: '', label: 'l' } },
    { principal: { type: 'user', userToken: 'x'.repeat(8_193), label: 'l' } },
    { principal: { type: 'group', externalGroupId: 'g', idpId: 'i', label: '' } },
    { principal: { type: 'robot' } },
    { principal: { type: 'system' }, grantPolicy: { maxTtlSeconds: 0 } },
    { principal: { type: 'system' }, grantPolicy: { max_ttl_seconds: 60 } },
  ])('refuses %j', async (options) => {
    await expect(createApp().createManagedSecretGrant('s', options as never)).rejects.toThrow(errors.AlterValueError)
    expect(vault.requests).toHaveLength(0)
  })

  test.each(['..', '.'])('refuses the id %j, which would be another path', async (id) => {
    await expect(createApp().createManagedSecretGrant(id, { principal: { type: 'system' } })).rejects.toThrow(
      errors.AlterValueError,
    )
    expect(vault.requests).toHaveLength(0)
  })

  test('fails when the label is absent rather than null', async () => {
    const { label: _label, ...without } = CREATED
    vault.answer(PATH, { json: without })
    await expect(
      createApp().createManagedSecretGrant('sec/ret', { principal: { type: 'system' } }),
    ).rejects.toMatchObject({
      name: 'BackendError',
      details: { field: 'label', status_code: 200 },
    })
  })
})

describe('revoking a grant', () => {
  const REVOKED = { success: true, message: 'Revoked', grant_id: GRANT_ID, revoked_at: '2026-01-01T00:00:00Z' }

  test('names it in lower case and gives the reason and the user token', async () => {
    vault.answer(`/sdk/oauth/grants/${GRANT_ID.toLowerCase()}/revoke`, { json: REVOKED })
    const app = createApp({ userTokenGetter: () => 'jwt' })
    expect(await app.revokeGrant(GRANT_ID.toUpperCase(), { reason: 'left' })).toMatchObject({
      success: true,
      grantId: GRANT_ID,
    })
    expect(vault.requests[0]!.body).toBe('{"reason":"left","user_token":"jwt"}')
  })

  test('sends an empty object when there is nothing to say', async () => {
    vault.answer(`/sdk/oauth/grants/${GRANT_ID}/revoke`, { json: REVOKED })
    await createApp().revokeGrant(GRANT_ID)
    expect(vault.requests[0]!.body).toBe('{}')
  })

  test('refuses an id that is no UUID', async () => {
    await expect(createApp().revokeGrant('../me')).rejects.toThrow(errors.AlterValueError)
  })

  test('of a grant that is not there is not found', async () => {
    vault.answer(`/sdk/oauth/grants/${GRANT_ID}/revoke`, {
      status: 404,
      json: { error: 'grant_not_found', provider_id: 'slack' },
    })
    await expect(createApp().revokeGrant(GRANT_ID)).rejects.toMatchObject({
      name: 'GrantNotFoundError',
      providerId: 'slack',
    })
  })
})

describe('the user token getter', () => {
  test('may have none at the moment', async () => {
    await createApp({ userTokenGetter: () => null }).listGrants()
    expect(JSON.parse(vault.requests[0]!.body)).not.toHaveProperty('user_token')
  })

  test.each(['', 7])('must not give %j', async (token) => {
    await expect(createApp({ userTokenGetter: () => token as string }).listGrants()).rejects.toThrow(
      errors.AlterValueError,
    )
  })

  test('fails the call with its own error', async () => {
    const app = createApp({ userTokenGetter: () => Promise.reject(new Error('signed out')) })
    await expect(app.listGrants()).rejects.toThrow('signed out')
    expect(vault.requests).toHaveLength(0)
  })
})

describe('a trace', () => {
  const agent = (caller?: string) => new Agent({ apiKey: KEY, baseUrl: vault.url, runtime, ...(caller && { caller }) })
  const contexts = () => vault.requests.map((request) => JSON.parse(request.headers['x-alter-context'] ?? 'null'))

  test('labels every call inside it, of any client, across awaits', async () => {
    const app = createApp()
    const result = await agent('planner').trace(
      { runId: 'r', threadId: 't', metadata: { ticket: 'Zoë 😀' } },
      async () => {
        await Promise.resolve()
        await app.scopes.list()
        return 7
      },
    )
    expect(result).toBe(7)
    await app.scopes.list()
    expect(contexts()).toEqual([{ agent: 'planner', run_id: 'r', thread_id: 't', ticket: 'Zoë 😀' }, null])
    const [request] = vault.requests
    expect(request!.headers['x-alter-context']).toMatch(/^[\x20-\x7e]+$/)
    expect(request!.headers['x-alter-signature-v2']).toBe(expectedSignature(request!, KEY))
  })

  test('nests: inner labels win, the outer agent is the parent', async () => {
    const [outer, inner] = [agent('outer'), agent('inner')]
    await outer.trace({ runId: 'r1', metadata: { a: '1' } }, () =>
      inner.trace({ runId: 'r2' }, () => inner.trace({ metadata: { b: '2' } }, () => inner.scopes.list())),
    )
    expect(contexts()).toEqual([{ agent: 'inner', parent_agent: 'outer', run_id: 'r2', a: '1', b: '2' }])
  })

  test('names a parent that is given, and an agent without a caller by a name of its own', async () => {
    const local = agent()
    await local.trace({ parent: agent('boss') }, () => local.scopes.list())
    await local.trace({ parent: 'chief' }, () => local.scopes.list())
    const [first, second] = contexts()
    expect(first).toEqual({ agent: expect.stringMatching(/^agent-local-[0-9a-f-]{36}$/), parent_agent: 'boss' })
    expect(second).toEqual({ agent: first.agent, parent_agent: 'chief' })
  })

  test.each(['agent', 'parent_agent', 'run_id', 'thread_id', 'tool', 'tool_call_id', 'framework'])(
    'reserves %s',
    (name) => {
      expect(() => agent('a').trace({ metadata: { [name]: 'x' } }, () => 1)).toThrow(errors.AlterValueError)
    },
  )

  test.each([
    Object.fromEntries(Array.from({ length: 20 }, (_item, index) => [`k${index}`, 'v'])),
    { ['k'.repeat(65)]: 'v' },
    { '': 'v' },
    { k: 'v'.repeat(513) },
    Object.fromEntries(Array.from({ length: 9 }, (_item, index) => [`k${index}`, 'é'.repeat(100)])),
    { k: 7 as unknown as string },
  ])('refuses labels past the limits (%#)', (metadata) => {
    expect(() => agent('a').trace({ metadata }, () => 1)).toThrow(errors.AlterValueError)
  })
})
