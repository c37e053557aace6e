import type { Endpoint } from '@alter-vault/contracts'
import { expect, test } from 'vitest'
import { createAgents } from './agents/index.ts'
import { createApps } from './apps/index.ts'
import { checksNothing } from './http/authenticators.ts'
import type { BoundEndpoint } from './http/bind-endpoint.ts'
import { createListener } from './http/listener.ts'
import { newId } from './kernel/ids.ts'
import { silentLog } from './kernel/log.ts'
import { createKeys, endKeysWith } from './keys/index.ts'
import { createEndings, systemAuthor } from './management/index.ts'
import { createOrganizationRoutes } from './organizations/index.ts'
import { createRules, endRulesWith } from './rules/index.ts'
import { createManagementTest } from './testing/management.ts'
import { createPatAuthenticator, createTokenRoutes, createTokens } from './tokens/index.ts'

// biome-ignore lint/suspicious/noExplicitAny: the listener has checked the answer against its declaration
type Reply = { status: number; headers: Headers; body: any }
type Call = (method: string, path: string, body?: unknown, headers?: Record<string, string>) => Promise<Reply>

/** The management API of the slices that need no credential, on loopback, with every answer checked against its declaration. */
async function createManagementApi() {
  const t = await createManagementTest()
  const endings = createEndings([endKeysWith, endRulesWith])
  const rules = createRules(t)
  const keys = createKeys({ ...t, endings })
  const agents = createAgents({ ...t, endings, keys, rules })
  const apps = createApps({ ...t, endings, keyring: { forget: () => undefined } })
  const tokens = createTokens(t)
  const bound: BoundEndpoint[] = [
    ...createOrganizationRoutes({ db: t.db }),
    ...apps.routes,
    ...createTokenRoutes(),
    ...keys.routes,
    ...agents.routes,
    ...rules.routes,
  ]
  const listener = await createListener({
    declared: bound.map((one): Endpoint => one.endpoint),
    bound,
    hotRoutes: new Map(),
    authenticators: {
      operator: createPatAuthenticator(t),
      public: checksNothing,
      api_key: async () => {
        throw new Error('no SDK call is made here')
      },
    },
    log: silentLog,
    clock: t.clock,
    publicUrl: 'http://localhost',
    trustedProxies: [],
    maxConnections: 1_000,
    bodyMemoryMib: 256,
    assertContracts: true,
  })
  const { port } = await listener.listen({ host: '127.0.0.1', port: 0 })
  const { memberId } = t.owner as { memberId: string }
  const mint = async (scopes: string[], appIds: string[] | null = null) => {
    const { organizationId } = t
    const minted = await tokens.mintPersonalAccessToken({
      author: systemAuthor,
      organizationId,
      memberId,
      name: 't',
      scopes,
      appIds,
    })
    return minted.token.reveal()
  }
  const callWith =
    (token: string): Call =>
    async (method, path, body, headers = {}) => {
      const response = await fetch(`http://127.0.0.1:${port}/api/v1${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      const text = await response.text()
      return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) }
    }
  const everything = await mint([
    ...['apps:write', 'apps:delete', 'keys:admin', 'agents:admin', 'app_policy:write', 'org:read'].map(
      (scope) => `dashboard_${scope}`,
    ),
  ])
  return {
    ...t,
    call: callWith(everything),
    callWith,
    mint,
    async [Symbol.asyncDispose]() {
      await listener.close(1_000)
      await t[Symbol.asyncDispose]()
    },
  }
}

const versioned = (reply: Reply) => ({ 'if-match': reply.headers.get('etag')! })

test('an operator runs an app from its creation to its end', async () => {
  await using api = await createManagementApi()
  const { call } = api
  const organizations = await call('GET', '/organizations')
  expect(organizations.body.items).toMatchObject([{ id: api.organizationId, slug: `acme-${api.organizationId}` }])
  expect((await call('GET', `/organizations/${api.organizationId}/key-policy`)).body.require_expiry).toBe(false)

  const created = await call('POST', '/apps', { name: 'Billing', environment: 'staging' })
  expect([created.status, created.headers.get('etag'), created.body.slug]).toEqual([201, '"1"', 'billing'])
  const app = `/apps/${created.body.id}`
  const changed = await call('PATCH', app, { description: 'Invoices' }, versioned(created))
  expect([changed.status, changed.headers.get('etag')]).toEqual([200, '"2"'])
  expect((await call('PATCH', app, { description: 'x' })).status).toBe(428)
  expect((await call('PATCH', app, { description: 'x' }, versioned(created))).body).toMatchObject({
    status: 412,
    code: 'version_conflict',
    current_version: 2,
  })
  expect((await call('POST', `${app}/unarchive`)).body.code).toBe('app_not_archived')
  expect((await call('POST', `${app}/archive`)).body.status).toBe('archived')
  expect((await call('POST', `${app}/unarchive`)).body.status).toBe('live')
  const shown = await call('GET', `${app}?include_stats=true`)
  expect(shown.body.stats).toMatchObject({ active_keys: 0 })
  expect((await call('DELETE', app, { confirm: 'billing' }, versioned(shown))).body.code).toBe('confirm_mismatch')
  expect((await call('DELETE', app, { confirm: 'Billing' }, versioned(shown))).body).toMatchObject({ deleted: true })
  expect((await call('GET', app)).status).toBe(404)
})

test('an operator mints, rotates, marks and revokes keys', async () => {
  await using api = await createManagementApi()
  const keys = `/apps/${api.app.appId}/keys`
  const { call } = api
  const minted = await call('POST', keys, { name: 'web', scopes: ['proxy:execute'], expires_in: '30d' })
  expect([minted.status, minted.body.api_key]).toEqual([201, expect.stringMatching(/^alter_rk_/)])
  const key = `${keys}/${minted.body.id}`
  expect((await call('PATCH', key, { name: 'web 2' })).body.name).toBe('web 2')
  expect((await call('POST', `${key}/deprecate`)).body.status).toBe('deprecated')
  expect((await call('POST', `${key}/undeprecate`)).body.status).toBe('active')
  const rotated = await call('POST', `${key}/rotate`, { grace_seconds: 60 })
  expect(rotated.body).toMatchObject({ name: 'web 2', status: 'active' })
  expect((await call('GET', `${keys}/statistics`)).body).toEqual({
    active: 1,
    rotated_in_grace: 1,
    total: 2,
    max_allowed: 50,
  })
  expect((await call('GET', `${keys}?status=rotated_in_grace`)).body.items).toMatchObject([{ id: minted.body.id }])
  expect((await call('POST', `${key}/revoke`, {})).body.status).toBe('revoked')
  expect((await call('POST', `${key}/deprecate`)).body).toMatchObject({ status: 409, code: 'key_revoked' })
  const first = await call('GET', `${keys}?limit=1`)
  const second = await call('GET', `${keys}?limit=1&cursor=${first.body.next_cursor}`)
  expect([first.body.has_more, second.body.has_more, second.body.next_cursor]).toEqual([true, false, null])
  expect(JSON.stringify([first.body, second.body])).not.toContain(rotated.body.api_key)
})

test('an operator makes an agent, changes it, gives it keys and ends it', async () => {
  await using api = await createManagementApi()
  const agents = `/apps/${api.app.appId}/agents`
  const { call } = api
  const created = await call('POST', agents, {
    name: 'refund-bot',
    scopes: { stripe: ['refunds'] },
    policy: { requires_approval: { approvers: ['ann@acme.test'] } },
  })
  expect([created.status, created.headers.get('etag')]).toEqual([201, '"1"'])
  const agent = `${agents}/${created.body.id}`
  const changed = await call('PATCH', agent, { scopes: {}, grace_seconds: 0 }, versioned(created))
  expect(changed.body).toMatchObject({ version: 2, scopes: {}, scopes_pending: null })
  const key = await call('POST', `${agent}/keys`, { name: 'second' })
  expect(key.body.api_key).toMatch(/^alter_ak_/)
  expect((await call('POST', `${agent}/keys/${key.body.key_id}/deprecate`)).body.status).toBe('deprecated')
  expect((await call('POST', `${agent}/keys/${key.body.key_id}/undeprecate`)).body.status).toBe('active')
  expect((await call('GET', `${agent}/keys`)).body.items).toHaveLength(2)
  expect((await call('POST', `${agent}/keys/${key.body.key_id}/revoke`, {})).body.status).toBe('revoked')
  expect((await call('POST', `${agent}/keys/${created.body.key_id}/revoke`, {})).body.code).toBe('last_active_key')
  expect((await call('POST', `${agent}/suspend`)).body.status).toBe('inactive')
  expect((await call('GET', `${agents}?status=inactive&search=refund`)).body.items).toHaveLength(1)
  expect((await call('POST', `${agent}/resume`)).body.status).toBe('active')
  expect((await call('POST', `${agent}/revoke`)).body.status).toBe('revoked')
})

test('an operator writes, checks, restores and reads rules', async () => {
  await using api = await createManagementApi()
  const app = `/apps/${api.app.appId}`
  const { call } = api
  const rule = { type: 'ip_allowlist', name: 'Office', body: { cidrs: ['10.0.0.0/8'] } }
  const created = await call('POST', `${app}/rules`, { ...rule, target: { type: 'app', id: api.app.appId } })
  expect([created.status, created.headers.get('etag')]).toEqual([201, '"1"'])
  expect((await call('POST', `${app}/rules`, rule)).body.code).toBe('invalid_target')
  const at = `${app}/rules/${created.body.id}`
  const changed = await call('PATCH', at, { enabled: false }, versioned(created))
  expect(changed.body).toMatchObject({ version: 2, enabled: false })
  const versions = await call('GET', `${at}/versions?limit=1`)
  expect(versions.body).toMatchObject({ items: [{ version: 1, rule: { enabled: true } }], has_more: false })
  const restored = await call('POST', `${at}/restore`, { version: 1 })
  expect(restored.body).toMatchObject({ version: 3, enabled: true })
  expect((await call('GET', `${app}/rules?target_type=app&enabled=true`)).body.items).toHaveLength(1)
  const policy = await call('GET', `${app}/policy?provider_id=stripe`)
  expect(policy.body.targets.map((one: { target: { type: string } }) => one.target.type)).toEqual([
    'organization',
    'app',
    'provider',
  ])
  expect(policy.body.targets[1].rules).toMatchObject([{ id: created.body.id }])
  const checked = await call('POST', `${app}/policy/validate`, {
    rules: [
      { type: 'ip_allowlist', body: { cidrs: ['10.0.0.0/8'] } },
      { type: 'cel', body: { expression: '1 +', effect: 'deny' } },
    ],
  })
  expect(checked.body).toMatchObject({
    valid: false,
    results: [{ valid: true }, { valid: false, errors: [{ code: 'invalid_cel' }] }],
  })
  expect((await call('DELETE', at, undefined, versioned(restored))).body).toMatchObject({ deleted: true })
  expect((await call('GET', at)).status).toBe(404)
  expect((await call('GET', `${at}/versions`)).body.items).toHaveLength(3)
})

test('organization rules are read by a token and written in person only', async () => {
  await using api = await createManagementApi()
  const rules = `/organizations/${api.organizationId}/rules`
  expect((await api.call('GET', rules)).body.items).toEqual([])
  for (const [method, path] of [
    ['POST', rules],
    ['PATCH', `${rules}/${newId()}`],
    ['DELETE', `${rules}/${newId()}`],
    ['GET', '/me/tokens'],
    ['POST', '/me/tokens'],
    ['DELETE', `/me/tokens/${newId()}`],
  ] as const) {
    const { status, body } = await api.call(method, path, method === 'GET' ? undefined : {})
    expect([status, body.code]).toEqual([403, 'interactive_session_required'])
  }
})

test('whatever lies in another app answers like what nobody has', async () => {
  await using api = await createManagementApi()
  const { call } = api
  const other = `/apps/${api.otherApp.appId}`
  const key = (await call('POST', `${other}/keys`, { name: 'k', scopes: ['proxy:execute'] })).body
  const agent = (await call('POST', `${other}/agents`, { name: 'bot' })).body
  const rule = (
    await call('POST', `${other}/rules`, {
      target: { type: 'app', id: api.otherApp.appId },
      type: 'ttl',
      name: 'idle',
      body: { max_idle_seconds: 60 },
    })
  ).body
  const mine = `/apps/${api.app.appId}`
  const paths = (ids: { key: string; agent: string; rule: string }): [string, string, unknown?][] => [
    ['GET', `${mine}/keys/${ids.key}`],
    ['PATCH', `${mine}/keys/${ids.key}`, { name: 'x' }],
    ['POST', `${mine}/keys/${ids.key}/revoke`, {}],
    ['GET', `${mine}/agents/${ids.agent}`],
    ['POST', `${mine}/agents/${ids.agent}/revoke`, {}],
    ['POST', `${mine}/agents/${ids.agent}/keys`, {}],
    ['GET', `${mine}/rules/${ids.rule}`],
    ['PATCH', `${mine}/rules/${ids.rule}`, { enabled: false }],
    [
      'POST',
      `${mine}/rules`,
      { target: { type: 'agent', id: ids.agent }, type: 'ttl', name: 'n', body: { max_idle_seconds: 60 } },
    ],
  ]
  const answers = async (ids: { key: string; agent: string; rule: string }) => {
    const said: unknown[] = []
    for (const [method, path, body] of paths(ids)) {
      const { request_id: _, ...refusal } = (await call(method, path, body, { 'if-match': '"1"' })).body
      said.push(refusal)
    }
    return said
  }
  const foreign = await answers({ key: key.id, agent: agent.id, rule: rule.id })
  expect(foreign).toEqual(await answers({ key: newId(), agent: newId(), rule: newId() }))
  for (const refusal of foreign) expect(refusal).toMatchObject({ status: 404, code: 'not_found' })
  const limited = api.callWith(await api.mint(['dashboard_keys:read'], [api.app.appId]))
  const [outside, unknown] = [await limited('GET', `${other}/keys`), await limited('GET', `/apps/${newId()}/keys`)]
  expect(outside.status).toBe(404)
  expect({ ...outside.body, request_id: '' }).toEqual({ ...unknown.body, request_id: '' })
})

test.each([
  ['GET', '/keys?limit=1001', undefined, 422, 'validation_failed'],
  ['GET', '/keys?limit=1.5', undefined, 422, 'validation_failed'],
  ['GET', '/keys?limit=-1', undefined, 422, 'validation_failed'],
  ['GET', '/keys?cursor=nonsense', undefined, 400, 'invalid_cursor'],
  ['GET', '/keys?color=red', undefined, 400, 'unknown_parameter'],
  ['POST', '/keys', { name: 'k', scopes: [] }, 422, 'validation_failed'],
  ['POST', '/keys', { name: 'k', scopes: ['*'] }, 400, 'invalid_scope'],
  ['POST', '/keys', { name: 'k', scopes: ['proxy:execute'], admin: true }, 422, 'unknown_field'],
  ['POST', '/keys', { name: 'k\u202egnp', scopes: ['proxy:execute'] }, 422, 'invalid_characters'],
  ['POST', '/keys', { name: 'k', scopes: ['proxy:execute'], cidr_allowlist: ['0.0.0.0/0'] }, 422, 'cidr_too_wide'],
  ['POST', '/keys', { name: 'k', scopes: ['proxy:execute'], rate_limit_rpm: 100_001 }, 422, 'validation_failed'],
  [
    'POST',
    '/keys',
    { name: 'k', scopes: ['proxy:execute'], expires_at: '2030-01-01T00:00:00' },
    422,
    'validation_failed',
  ],
  ['POST', '/agents', { name: 'Refund Bot' }, 422, 'validation_failed'],
  ['POST', '/agents', { name: 'bot', scopes: { stripe: [] } }, 422, 'validation_failed'],
  ['POST', '/agents', { name: 'bot', policy: { ip_allowlist: { cidrs: [] } } }, 422, 'validation_failed'],
  ['POST', '/rules', { type: 'ttl', name: 'n\u0000', body: {} }, 422, 'invalid_characters'],
])('%s ~%s with %j is answered %i %s', async (method, path, body, status, code) => {
  await using api = await createManagementApi()
  const reply = await api.call(method, `/apps/${api.app.appId}${path}`, body)
  expect([reply.status, reply.body.code]).toEqual([status, code])
})

test('a repeat under an idempotency key is the first answer without its secret', async () => {
  await using api = await createManagementApi()
  const headers = { 'idempotency-key': 'k-1' }
  for (const [path, body] of [
    [`/apps/${api.app.appId}/keys`, { name: 'k', scopes: ['proxy:execute'] }],
    [`/apps/${api.app.appId}/agents`, { name: 'bot' }],
  ] as const) {
    const first = await api.call('POST', path, body, headers)
    const again = await api.call('POST', path, body, headers)
    expect(again.headers.get('idempotent-replayed')).toBe('true')
    expect(again.body).toEqual({ ...first.body, api_key: null })
    const other = await api.call('POST', path, { ...body, name: 'other' }, headers)
    expect([other.status, other.body.code]).toEqual([409, 'idempotency_key_body_mismatch'])
  }
})
