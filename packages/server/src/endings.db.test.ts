import { expect, test } from 'vitest'
import type { Ended } from './management/index.ts'
import { createTestServer, type Reply, type TestServer } from './testing/test-server.ts'

/*
 * What ends with what, over the API of the whole server: nothing that depends on the ended thing stays live, what does not depend on it
 * does, and the audit rows come in their order.
 */

/** What is live in the app of the demonstration. `waiting` are held requests, by the grant that they wait on. */
type Live = {
  keys: string[]
  keyRoutes: number
  credentials: number
  grants: string[]
  agents: number
  rules: string[]
  waiting: string[]
  dataKeys: number
}

const BEFORE: Live = {
  keys: ['agent', 'app'],
  keyRoutes: 2,
  credentials: 1,
  grants: ['agent', 'app'],
  agents: 1,
  rules: ['agent', 'app', 'grant of agent', 'grant of app', 'key', 'provider', 'provider'],
  waiting: ['agent', 'app'],
  dataKeys: 1,
}

const ofGrant = ['approval.denied', 'grant.revoked', 'rule.deleted']

type Case = {
  call: (
    server: TestServer,
  ) => readonly [method: string, path: string, body?: object] | Promise<readonly [string, string]>
  leaves: Partial<Live>
  events: readonly string[]
}

/** Announced in the course of another: by a deleted secret, by a revoked grant. */
type Nested = 'provider' | 'grant_policy'

const cases: Record<Exclude<Ended['type'], Nested> | 'archived app', Case> = {
  grant: {
    call: ({ dev }) => ['POST', `/grants/${dev.grants.payments_agent}/revoke`],
    leaves: {
      grants: ['app'],
      rules: ['agent', 'app', 'grant of app', 'key', 'provider', 'provider'],
      waiting: ['app'],
    },
    events: ofGrant,
  },
  secret: {
    call: ({ dev }) => [
      'DELETE',
      `/managed-secrets/${dev.managed_secret_id}`,
      { confirm: 'demo-payments', force: true },
    ],
    leaves: { credentials: 0, grants: [], rules: ['agent', 'app', 'key'], waiting: [] },
    events: [...ofGrant, ...ofGrant, 'credential.revoked', 'rule.deleted', 'rule.deleted', 'secret.deleted'],
  },
  agent: {
    call: ({ dev }) => ['POST', `/agents/${dev.agent_id}/revoke`],
    leaves: {
      keys: ['app'],
      grants: ['app'],
      agents: 0,
      rules: ['app', 'grant of app', 'key', 'provider', 'provider'],
      waiting: ['app'],
    },
    events: ['agent.revoked', 'key.revoked', ...ofGrant, 'rule.deleted'],
  },
  key: {
    call: async (server) => ['POST', `/keys/${(await keysOf(server)).app}/revoke`],
    leaves: { keys: ['agent'], waiting: ['agent'] },
    events: ['approval.denied', 'key.revoked'],
  },
  'archived app': {
    call: () => ['POST', '/archive'],
    leaves: { waiting: [] },
    events: ['app.archived', 'approval.denied', 'approval.denied'],
  },
  // Rules restrict; those of the app, its keys and its agents have nothing left to restrict.
  app: {
    call: () => ['DELETE', '', { confirm: 'Support desk' }],
    leaves: {
      keys: [],
      keyRoutes: 0,
      credentials: 0,
      grants: [],
      agents: 0,
      rules: ['agent', 'app', 'key', 'provider', 'provider'],
      waiting: [],
      dataKeys: 0,
    },
    events: [
      'key.revoked',
      'key.revoked',
      'credential.revoked',
      'secret.deleted',
      ...ofGrant,
      ...ofGrant,
      'agent.revoked',
      'app.deleted',
    ],
  },
}

test.each<[string, Case]>(Object.entries(cases))(
  'with an ended %s ends all that depends on it, in order',
  async (_, one) => {
    await using server = await createTestServer()
    const { dev } = server
    await fill(server)
    expect(await live(server)).toEqual(BEFORE)
    const earlier = (await server.auditRows(dev.app_id)).length
    const [method, path, body = {}] = await one.call(server)
    ok(await manage(server, method, path, body))
    expect(await live(server)).toEqual({ ...BEFORE, ...one.leaves })
    const events = (await server.auditRows(dev.app_id)).slice(earlier).map(({ keep }) => keep.event)
    expect(events).toEqual(one.events)
  },
)

async function keysOf(server: TestServer): Promise<{ app: string }> {
  const keys = ok(await manage(server, 'GET', '/keys')).items as { id: string; agent_id: string | null }[]
  return { app: keys.find(({ agent_id }) => agent_id === null)!.id }
}

/** Rules on everything that can have one, and a held request of the app and of its agent. */
async function fill(server: TestServer): Promise<void> {
  const { dev } = server
  const keys = await keysOf(server)
  const targets = [
    { type: 'agent', id: dev.agent_id },
    { type: 'app', id: dev.app_id },
    { type: 'grant', id: dev.grants.payments_agent },
    { type: 'grant', id: dev.grants.payments_system },
    { type: 'key', id: keys.app },
  ]
  for (const target of targets) {
    const body = { effect: 'deny', when: { method: 'DELETE' } }
    ok(await manage(server, 'POST', '/rules', { target, type: 'json_match', name: 'No deletions', body }))
  }
  for (const [key, grantId] of [
    [dev.agent_key, dev.grants.payments_agent],
    [dev.runtime_key, dev.grants.payments_system],
  ] as const) {
    const url = `${dev.demo_api.url}/v1/refunds`
    const body = {
      method: 'POST',
      url,
      grant_id: grantId,
      body: { payment: 'pay_1001', amount: 100 },
      reason: 'Broken',
    }
    expect((await server.sdk(key, { path: '/sdk/proxy', body })).status).toBe(202)
  }
}

/** A management call in the app, on top of the newest version of what it names. */
async function manage(server: TestServer, method: string, path: string, body?: unknown): Promise<Reply> {
  const whole = `/api/v1/apps/${server.dev.app_id}${path}`
  const version = method === 'DELETE' ? (await server.operator('GET', whole)).headers.get('etag') : null
  return server.operator(method, whole, body, version === null ? {} : { 'if-match': version })
}

function ok(reply: Reply): Reply['body'] {
  expect(reply.status, reply.text).toBeLessThan(300)
  return reply.body
}

async function live({ asOwner, dev }: TestServer): Promise<Live> {
  const one = async (statement: string) => {
    const [row] = await asOwner<{ found: never }>(`select (${statement}) as found`, [dev.app_id])
    return row!.found
  }
  const texts = (text: string, from: string) =>
    one(`select coalesce(array_agg(${text} order by ${text}), '{}') from ${from}`)
  const byAgent = (column: string) => `case when ${column} is null then 'app' else 'agent' end`
  return {
    keys: await texts(byAgent('agent_id'), 'keys where app_id = $1 and revoked_at is null'),
    keyRoutes: await one('select count(*)::int from key_routes where app_id = $1'),
    credentials: await one(`select count(*)::int from credentials where app_id = $1 and sealed is not null`),
    grants: await texts(byAgent('principal_id'), `grants where app_id = $1 and status = 'active'`),
    agents: await one(`select count(*)::int from agents where app_id = $1 and status = 'active'`),
    rules: await texts(
      `case when r.target_type = 'grant' then 'grant of ' || ${byAgent('g.principal_id')} else r.target_type end`,
      'rules r left join grants g on g.app_id = r.app_id and g.grant_id::text = r.target_id where r.app_id = $1',
    ),
    waiting: await texts(byAgent('agent_id'), `approval_groups where app_id = $1 and status = 'pending'`),
    dataKeys: await one('select count(*)::int from data_keys where app_id = $1'),
  }
}
