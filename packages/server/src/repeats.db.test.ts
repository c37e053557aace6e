import { expect, test } from 'vitest'
import { declaredEndpoints } from './http/declared-endpoints.ts'
import { createTestServer, type Reply, type TestServer } from './testing/test-server.ts'

/* Every endpoint that is declared repeatable, called twice under one `Idempotency-Key` and then with another body. */

type Ids = { app: string; agent: string; agentKey: string; key: string; secret: string; grant: string; rule: string }
type Sample = (ids: Ids) => { path: string; body?: object; before?: Parameters<TestServer['operator']> }

const SAMPLES: Readonly<Record<string, Sample>> = {
  create_app: () => ({ path: '/api/v1/apps', body: { name: 'Repeated' } }),
  archive_app: ({ app }) => ({ path: `/api/v1/apps/${app}/archive` }),
  unarchive_app: ({ app }) => ({
    path: `/api/v1/apps/${app}/unarchive`,
    before: ['POST', `/api/v1/apps/${app}/archive`],
  }),
  create_agent: ({ app }) => ({ path: `/api/v1/apps/${app}/agents`, body: { name: 'repeated' } }),
  suspend_agent: ({ app, agent }) => ({ path: `/api/v1/apps/${app}/agents/${agent}/suspend` }),
  resume_agent: ({ app, agent }) => ({ path: `/api/v1/apps/${app}/agents/${agent}/resume` }),
  revoke_agent: ({ app, agent }) => ({ path: `/api/v1/apps/${app}/agents/${agent}/revoke` }),
  mint_agent_key: ({ app, agent }) => ({ path: `/api/v1/apps/${app}/agents/${agent}/keys`, body: { name: 'second' } }),
  deprecate_agent_key: ({ app, agent, agentKey }) => ({
    path: `/api/v1/apps/${app}/agents/${agent}/keys/${agentKey}/deprecate`,
  }),
  undeprecate_agent_key: ({ app, agent, agentKey }) => ({
    path: `/api/v1/apps/${app}/agents/${agent}/keys/${agentKey}/undeprecate`,
  }),
  revoke_agent_key: ({ app, agent, agentKey }) => ({
    path: `/api/v1/apps/${app}/agents/${agent}/keys/${agentKey}/revoke`,
    body: { force: true },
  }),
  mint_key: ({ app }) => ({ path: `/api/v1/apps/${app}/keys`, body: { name: 'k', scopes: ['proxy:execute'] } }),
  rotate_key: ({ app, key }) => ({ path: `/api/v1/apps/${app}/keys/${key}/rotate`, body: { grace_seconds: 60 } }),
  deprecate_key: ({ app, key }) => ({ path: `/api/v1/apps/${app}/keys/${key}/deprecate` }),
  undeprecate_key: ({ app, key }) => ({ path: `/api/v1/apps/${app}/keys/${key}/undeprecate` }),
  revoke_key: ({ app, key }) => ({ path: `/api/v1/apps/${app}/keys/${key}/revoke`, body: {} }),
  create_managed_secret: ({ app }) => ({ path: `/api/v1/apps/${app}/managed-secrets`, body: secretNamed('shop') }),
  rotate_managed_secret: ({ app, secret }) => ({
    path: `/api/v1/apps/${app}/managed-secrets/${secret}/rotate`,
    body: { value: { token: 'tok_87654321' } },
  }),
  create_secret_grant: ({ app, agent, secret }) => ({
    path: `/api/v1/apps/${app}/managed-secrets/${secret}/grants`,
    body: { principal: { type: 'agent', id: agent } },
  }),
  revoke_grant: ({ app, grant }) => ({ path: `/api/v1/apps/${app}/grants/${grant}/revoke`, body: {} }),
  create_rule: ({ app }) => ({ path: `/api/v1/apps/${app}/rules`, body: ruleNamed(app, 'second') }),
  restore_rule: ({ app, rule }) => ({
    path: `/api/v1/apps/${app}/rules/${rule}/restore`,
    body: { version: 1 },
    before: ['PATCH', `/api/v1/apps/${app}/rules/${rule}`, { name: 'renamed' }, { 'if-match': '"1"' }],
  }),
  create_audit_export: ({ app }) => ({ path: `/api/v1/apps/${app}/audit/exports`, body: { format: 'ndjson' } }),
}

const secretNamed = (name: string) => ({
  name,
  credential_type: 'bearer',
  value: { token: 'tok_12345678' },
  allowed_hosts: ['api.example.com'],
})
const ruleNamed = (app: string, name: string) => ({
  target: { type: 'app', id: app },
  type: 'ip_allowlist',
  name,
  body: { cidrs: ['203.0.113.0/24'] },
})

async function makeAll(server: TestServer, name: string): Promise<Ids> {
  const make = async (path: string, body: object): Promise<Record<string, string>> => {
    const reply = await server.operator('POST', path, body)
    expect(reply.status, reply.text).toBe(201)
    return reply.body
  }
  const { id: app = '' } = await make('/api/v1/apps', { name })
  const inApp = `/api/v1/apps/${app}`
  const agent = await make(`${inApp}/agents`, { name: 'worker' })
  const secret = await make(`${inApp}/managed-secrets`, secretNamed('desk'))
  return {
    app,
    agent: agent.id!,
    agentKey: agent.key_id!,
    key: (await make(`${inApp}/keys`, { name: 'live', scopes: ['proxy:execute'] })).id!,
    secret: secret.id!,
    grant: secret.base_grant_id!,
    rule: (await make(`${inApp}/rules`, ruleNamed(app, 'first'))).id!,
  }
}

test('has a sample of every repeatable endpoint', () => {
  const declared = declaredEndpoints.filter(({ repeatable }) => repeatable === true).map(({ id }) => id)
  expect(Object.keys(SAMPLES).sort()).toEqual(declared.sort())
})

test('every repeatable endpoint is answered a second time as the first, and does nothing again', {
  timeout: 120_000,
}, async () => {
  await using server = await createTestServer()
  for (const endpoint of declaredEndpoints.filter(({ repeatable }) => repeatable === true)) {
    const ids = await makeAll(server, endpoint.id)
    const { path, body, before } = SAMPLES[endpoint.id]!(ids)
    if (before !== undefined) expect((await server.operator(...before)).status).toBe(200)
    const headers = { 'idempotency-key': `repeat-${endpoint.id}` }
    const first = await server.operator('POST', path, body, headers)
    expect([endpoint.id, first.status, first.headers.get('idempotent-replayed')]).toEqual([
      endpoint.id,
      endpoint.status ?? 200,
      null,
    ])
    const rows = await countsOf(server)
    const again = await server.operator('POST', path, body, headers)
    expect([endpoint.id, again.status, again.headers.get('idempotent-replayed')]).toEqual([
      endpoint.id,
      first.status,
      'true',
    ])
    expect(again.text, endpoint.id).toBe(withoutKey(first))
    expect(again.headers.get('etag'), endpoint.id).toBe(first.headers.get('etag'))
    const other = await server.operator('POST', `${path}?`, body, headers)
    expect([endpoint.id, other.status, other.body.code]).toEqual([endpoint.id, 409, 'idempotency_key_body_mismatch'])
    expect(await countsOf(server), endpoint.id).toEqual(rows)
  }
})

/** The answer as it may be shown again. */
const withoutKey = ({ text }: Reply): string => text.replace(/"api_key":"[^"]*"/, '"api_key":null')

const countsOf = (server: TestServer) =>
  server.asOwner(`select (select count(*) from apps) as apps, (select count(*) from agents) as agents,
    (select count(*) from keys) as keys, (select count(*) from managed_secrets) as secrets,
    (select count(*) from grants) as grants, (select count(*) from rules) as rules,
    (select coalesce(sum(count), 0) from audit_batches) as audit_rows`)
