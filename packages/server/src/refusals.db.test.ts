import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest'
import type { FaultPoint } from './kernel/faults.ts'
import { newId } from './kernel/ids.ts'
import { systemAuthor } from './management/index.ts'
import { type RecordingProvider, startRecordingProvider } from './testing/recording-provider.ts'
import { createTestServer, type Reply, type TestServer } from './testing/test-server.ts'

/* Refusals that only the whole server can come to: each as its caller sees it, and with nothing sent. Each test has an app of its own. */

const SCOPES = ['tokens:retrieve', 'proxy:execute']
const MINUTE_MS = 60_000

let server: TestServer
let provider: RecordingProvider
/** What happens whenever a call comes by such a place. */
const happening = new Map<FaultPoint, () => Promise<unknown>>()

let inApp: string
let appId: string
let secretId: string
let appKey: Made
let agent: Made
let systemGrant: string
let agentGrant: string

beforeAll(async () => {
  server = await createTestServer({ faults: { at: async (point) => void (await happening.get(point)?.()) } })
})

afterAll(() => server[Symbol.asyncDispose]())

beforeEach(async () => {
  provider = await startRecordingProvider()
  const host = `127.0.0.1:${provider.port}`
  const app = await make('/api/v1/apps', { name: `Refused ${newId()}`, settings: { allowed_private_hosts: [host] } })
  appId = app.id
  inApp = `/api/v1/apps/${appId}`
  const secret = await make(`${inApp}/managed-secrets`, {
    name: 'shop',
    credential_type: 'bearer',
    value: { token: 'tok_12345678' },
    allowed_hosts: [host],
  })
  secretId = secret.id
  systemGrant = secret.base_grant_id
  appKey = await make(`${inApp}/keys`, { name: 'live', scopes: SCOPES })
  agent = await make(`${inApp}/agents`, {
    name: 'worker',
    scopes: { managed_secret_slugs: ['shop'] },
  })
  agentGrant = (await grant({ principal: { type: 'agent', id: agent.id } })).id
})

afterEach(async () => {
  happening.clear()
  await provider[Symbol.asyncDispose]()
})

/** What a call that makes something answers, as far as it is looked at here. */
type Made = { id: string; api_key: string; base_grant_id: string }

async function make(path: string, body: unknown): Promise<Made> {
  const reply = await server.operator('POST', path, body)
  expect(reply.status, reply.text).toBe(201)
  return reply.body
}
const grant = (body: object) => make(`${inApp}/managed-secrets/${secretId}/grants`, body)
const rule = (type: string, body: object) =>
  make(`${inApp}/rules`, { name: type, type, target: { type: 'app', id: appId }, body })
async function change(path: string, body?: object): Promise<void> {
  const reply = await server.operator('POST', `${inApp}${path}`, body)
  expect(reply.status, reply.text).toBeLessThan(300)
}

const call = (address: object = { grant_id: systemGrant }) => ({
  method: 'GET',
  url: `http://127.0.0.1:${provider.port}/v1/charges`,
  ...address,
})
const proxy = (apiKey: string, address?: object, headers?: Record<string, string>): Promise<Reply> =>
  server.sdk(apiKey, { path: '/sdk/proxy', body: call(address), ...(headers === undefined ? {} : { headers }) })

function expectRefused(reply: Reply, status: number, code: string): void {
  expect([reply.status, reply.body.error], reply.text).toEqual([status, code])
  expect(reply.headers.get('x-alter-refusal')).toBe(code)
  expect(provider.requests).toEqual([])
}

describe('a key', () => {
  test('that has expired is refused', async () => {
    const key = await make(`${inApp}/keys`, { name: 'short', scopes: SCOPES, expires_in: '5m' })
    server.advance(6 * MINUTE_MS)
    expectRefused(await proxy(key.api_key), 401, 'key_expired')
  })

  test('that was rotated works until its grace is over', async () => {
    await change(`/keys/${appKey.id}/rotate`, { grace_seconds: 60 })
    expect((await proxy(appKey.api_key)).status).toBe(200)
    provider.requests.length = 0
    server.advance(2 * MINUTE_MS)
    expectRefused(await proxy(appKey.api_key), 401, 'key_rotated_grace_expired')
  })

  test('of an archived app rests until the app is back', async () => {
    await change('/archive')
    expectRefused(await proxy(appKey.api_key), 401, 'key_not_active')
    await change('/unarchive')
    expect((await proxy(appKey.api_key)).status).toBe(200)
  })

  test('of one agent does not act as another', async () => {
    const headers = { 'x-alter-caller': newId(), 'x-alter-caller-type': 'agent' }
    expectRefused(await proxy(agent.api_key, { grant_id: agentGrant }, headers), 400, 'caller_agent_mismatch')
  })

  test('that acts as an agent is refused while agents cannot be read', async () => {
    expect((await proxy(appKey.api_key)).status).toBe(200)
    provider.requests.length = 0
    await server.asOwner('alter table agents rename to agents_away')
    onTestFinished(async () => void (await server.asOwner('alter table agents_away rename to agents')))
    const headers = { 'x-alter-caller': agent.id, 'x-alter-caller-type': 'agent' }
    const refused = await proxy(appKey.api_key, { grant_id: agentGrant }, headers)
    expectRefused(refused, 503, 'caller_agent_resolution_error')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
  })
})

describe('a grant', () => {
  test('that has expired is refused', async () => {
    const expires = new Date(server.clock.now() + 5 * MINUTE_MS).toISOString()
    const { id } = await grant({ principal: { type: 'system' }, label: 'short', grant_policy: { expires_at: expires } })
    server.advance(6 * MINUTE_MS)
    expectRefused(await proxy(appKey.api_key, { grant_id: id }), 403, 'grant_expired')
  })

  test('whose credential was revoked is refused', async () => {
    await server.asOwner(`update credentials set status = 'revoked' where app_id = $1`, [appId])
    expectRefused(await proxy(appKey.api_key), 403, 'credential_revoked')
  })

  test('that an agent had and lost is gone for it, and it is not told how', async () => {
    await change(`/grants/${agentGrant}/revoke`, {})
    const refused = await proxy(agent.api_key, { grant_id: agentGrant })
    expectRefused(refused, 410, 'grant_deleted')
    expect(refused.text).not.toContain('revoked')
  })

  test('that an agent never had is none for it', async () => {
    expectRefused(await proxy(agent.api_key, { provider_id: 'nothing' }), 404, 'no_delegated_grant')
  })

  test('that is one of several must be named', async () => {
    await change(`/grants/${systemGrant}/revoke`, {})
    const ids = []
    for (const label of ['red', 'blue']) ids.push((await grant({ principal: { type: 'system' }, label })).id)
    const refused = await proxy(appKey.api_key, { provider_id: 'shop' })
    expectRefused(refused, 409, 'ambiguous_grant')
    expect(refused.body.grant_ids.sort()).toEqual(ids.sort())
    expect((await proxy(appKey.api_key, { provider_id: 'shop', label: 'blue' })).status).toBe(200)
  })

  test('that is restricted does not hand out its credential', async () => {
    const policy = { restrictions: { allowed_methods: ['GET'] } }
    const { id } = await grant({ principal: { type: 'system' }, label: 'narrow', grant_policy: policy })
    const refused = await server.sdk(appKey.api_key, { path: '/sdk/token', body: { grant_id: id } })
    expectRefused(refused, 400, 'restricted_grant_requires_proxy')
    expect(refused.body.advice).toBe('use_proxy')
  })
})

describe('a decision', () => {
  test('by an expression that is true denies', async () => {
    await rule('cel', { expression: 'request.path.startsWith("/v1/")', effect: 'deny' })
    expectRefused(await proxy(appKey.api_key), 403, 'cel_denied')
  })

  test('is not made by a clock that was set back', async () => {
    expect((await proxy(appKey.api_key)).status).toBe(200)
    provider.requests.length = 0
    server.advance(-2 * MINUTE_MS)
    onTestFinished(() => server.advance(2 * MINUTE_MS))
    expectRefused(await proxy(appKey.api_key), 403, 'clock_untrusted')
  })

  test('is given up when the rules move under it each time', async () => {
    happening.set('before_intent', () => rule('json_match', { when: { method: 'DELETE' }, effect: 'deny' }))
    expectRefused(await proxy(appKey.api_key), 403, 'policy_version_drift')
  })

  test('that a caller only tries out shows no more of rules than a refusal would', async () => {
    const { organization_id: organizationId } = server.dev
    const home = { kind: 'organization', organizationId } as const
    const ofOrganization = await server.writeRules.createRule({
      home,
      author: systemAuthor,
      target: { type: 'organization', id: organizationId },
      type: 'json_match',
      name: 'A secret of the board',
      body: { when: { method: 'GET' }, effect: 'deny' },
    })
    onTestFinished(async () => {
      await server.writeRules.deleteRule({ home, author: systemAuthor, ruleId: ofOrganization.id, expectedVersion: 1 })
    })
    await make(`${inApp}/rules`, {
      name: 'Only a shadow',
      type: 'json_match',
      target: { type: 'app', id: appId },
      mode: 'shadow',
      body: { when: { method: 'GET' }, effect: 'deny' },
    })
    const tried = await proxy(appKey.api_key, { grant_id: systemGrant, dry_run: true })
    expect([tried.status, tried.body.effect, tried.body.phase]).toEqual([200, 'deny', 'simulation'])
    expect(tried.body.reasons).toEqual([{ code: 'policy_denied', rule_id: expect.any(String), details: {} }])
    expect(tried.text).not.toMatch(/board|shadow"/)
    expect(provider.requests).toEqual([])
  })
})

describe('an operator', () => {
  test('hears which address range of an agent is none', async () => {
    const reply = await server.operator('POST', `${inApp}/agents`, {
      name: 'elsewhere',
      policy: { ip_allowlist: { cidrs: ['10.0.0.1/8'] } },
    })
    expect([reply.status, reply.body.code]).toEqual([422, 'invalid_cidr'])
  })

  test('restores no version that the store cannot count to', async () => {
    const { id } = await rule('json_match', { when: { method: 'DELETE' }, effect: 'deny' })
    const restore = (version: number) => server.operator('POST', `${inApp}/rules/${id}/restore`, { version })
    expect((await restore(2_147_483_647)).status).toBe(404)
    expect((await restore(2_147_483_648)).body).toMatchObject({ status: 422, errors: [{ pointer: '/version' }] })
  })

  test('sees by simulation what each rule would say, and nothing is sent', async () => {
    const { id } = await rule('json_match', { when: { method: 'GET' }, effect: 'deny' })
    const draft = { target: { type: 'app', id: appId }, type: 'ip_allowlist', body: { cidrs: ['127.0.0.0/8'] } }
    const reply = await server.operator('POST', `${inApp}/policy/simulate`, { ...call(), draft_rules: [draft] })
    expect([reply.status, reply.body.decision.effect], reply.text).toEqual([200, 'deny'])
    const traced = reply.body.rules.toSorted((a: { effect: string }) => (a.effect === 'deny' ? -1 : 1))
    expect(traced).toMatchObject([
      { rule_id: id, result: 'matched', effect: 'deny', attributes: { 'request.method': 'GET' } },
      { rule_name: 'Draft', result: 'not_matched', effect: null, attributes: { 'client.ip': '127.0.0.1' } },
    ])
    const without = await server.operator('POST', `${inApp}/policy/simulate`, { ...call(), disabled_rule_ids: [id] })
    expect([without.body.decision.effect, without.body.rules]).toEqual(['allow', []])
    expect(provider.requests).toEqual([])
  })

  test('does not simulate at a time that does not exist', async () => {
    const reply = await server.operator('POST', `${inApp}/policy/simulate`, { ...call(), at: '2026-02-30T00:00:00Z' })
    expect([reply.status, reply.body.code, reply.body.errors[0].pointer]).toEqual([422, 'validation_failed', '/at'])
  })
})
