import { describe, expect, test } from 'vitest'
import { systemAuthor } from './management/index.ts'
import { type AttackDesk, createAttackDesk } from './testing/attack-desk.ts'
import type { Reply } from './testing/test-server.ts'

/*
 * A held request rests on the same subjects as any other call. Each of them ends here between the request and its approval: the page says
 * so before anybody decides, and what is approved all the same is not sent.
 */

type Subject = {
  /** The key with which the request is made; that of the agent when absent. */
  key?: (desk: AttackDesk) => Promise<string>
  end: (desk: AttackDesk, key: string) => Promise<unknown>
  /** Why the request was withdrawn, or what the page says would refuse it. */
  says: string
}

const MINUTE = 60_000
const keyIds = new Map<string, string>()

const mint =
  (path: (desk: AttackDesk) => string, body: object) =>
  async (desk: AttackDesk): Promise<string> => {
    const minted = ok(await desk.manage('POST', path(desk), body)).body
    keyIds.set(minted.api_key, minted.id ?? minted.key_id)
    return minted.api_key
  }
const agentOf = ({ server }: AttackDesk) => `/agents/${server.dev.agent_id}`
const mintOfApp = (more: object = {}) => mint(() => '/keys', { name: 'other', scopes: ['proxy:execute'], ...more })
const mintOfAgent = mint((desk) => `${agentOf(desk)}/keys`, { name: 'other' })
const grantOf = ({ secretId, agentGrantId }: AttackDesk) => `/managed-secrets/${secretId}/grants/${agentGrantId}`
const post =
  (path: (desk: AttackDesk, key: string) => string, body: object = {}) =>
  (desk: AttackDesk, key: string) =>
    desk.manage('POST', path(desk, key), body)
const patch = (path: (desk: AttackDesk) => string, body: object) => (desk: AttackDesk) =>
  desk.manage('PATCH', path(desk), body)
const sql = (statement: string) => (desk: AttackDesk) => desk.server.asOwner(statement)

const subjects: Record<string, Subject> = {
  'the app is archived': { end: post(() => '/archive'), says: 'app_archived' },
  'the agent is revoked': { end: post((desk) => `${agentOf(desk)}/revoke`), says: 'grant_revoked' },
  'the agent is revoked, and its grant is not': {
    end: sql("update agents set status = 'revoked'"),
    says: 'agent_revoked',
  },
  'the agent is suspended': { end: post((desk) => `${agentOf(desk)}/suspend`), says: 'agent_inactive' },
  'the agent loses the scope': {
    end: patch(agentOf, { scopes: { managed_secret_slugs: ['demo-payments'] }, grace_seconds: 0 }),
    says: 'agent_scope_not_allowed',
  },
  'the key of the agent is revoked': {
    key: mintOfAgent,
    end: post((desk, key) => `${agentOf(desk)}/keys/${keyIds.get(key)}/revoke`),
    says: 'key_revoked',
  },
  'the key of the app is revoked': {
    key: mintOfApp(),
    end: post((_, key) => `/keys/${keyIds.get(key)}/revoke`),
    says: 'key_revoked',
  },
  'the key expires': {
    key: mintOfApp({ expires_in: '5m' }),
    end: async ({ server }) => server.advance(6 * MINUTE),
    says: 'key_expired',
  },
  'the key is rotated without a grace': {
    key: mintOfApp(),
    end: post((_, key) => `/keys/${keyIds.get(key)}/rotate`, { grace_seconds: 0 }),
    says: 'key_rotated_grace_expired',
  },
  'the key may not be used from there any more': {
    end: sql("update keys set cidr_allowlist = '{203.0.113.0/24}'"),
    says: 'ip_not_allowed',
  },
  'the grant is revoked': {
    end: post(({ agentGrantId }) => `/grants/${agentGrantId}/revoke`),
    says: 'grant_revoked',
  },
  'the grant expires': {
    end: sql("update grants set expires_at = now() - interval '1 day'"),
    says: 'grant_expired',
  },
  'the grant is restricted': {
    end: patch(grantOf, { grant_policy: { restrictions: { allowed_methods: ['GET'] } } }),
    says: 'grant_restriction',
  },
  'the secret is deleted': {
    end: (desk) => desk.manage('DELETE', `/managed-secrets/${desk.secretId}`, { confirm: 'echo', force: true }),
    says: 'grant_revoked',
  },
  'the secret is for other hosts': {
    end: async (desk) => {
      const path = `/api/v1/apps/${desk.server.dev.app_id}/managed-secrets/${desk.secretId}`
      const etag = (await desk.server.operator('GET', path)).headers.get('etag') ?? ''
      const body = { allowed_hosts: ['api.example.com'] }
      return desk.server.operator('PUT', `${path}/allowed-hosts`, body, { 'if-match': etag })
    },
    says: 'blocked_destination',
  },
  'the credential is revoked': {
    end: sql("update credentials set status = 'revoked', sealed = null"),
    says: 'credential_revoked',
  },
  'the app may not reach the private host any more': {
    end: patch(() => '', { settings: { allowed_private_hosts: [] } }),
    says: 'blocked_destination',
  },
  'a rule denies': {
    end: (desk) => desk.rule('json_match', { when: { method: 'POST' }, effect: 'deny' }),
    says: 'policy_denied',
  },
  'a rule of the organization denies': {
    end: ({ server: { dev, writeRules } }) =>
      writeRules.createRule({
        home: { kind: 'organization', organizationId: dev.organization_id },
        author: systemAuthor,
        target: { type: 'organization', id: dev.organization_id },
        type: 'json_match',
        name: 'No posts',
        body: { effect: 'deny', when: { method: 'POST' } },
      }),
    says: 'policy_denied',
  },
  'the rule that held it is another now': {
    end: async (desk) => {
      const rules = ok(await desk.manage('GET', '/rules')).body.items as { id: string; name: string }[]
      const { id } = rules.find(({ name }) => name === 'A require_approval')!
      return desk.manage('PATCH', `/rules/${id}`, { body: { effect: 'require_approval', approval: { quorum: 1 } } })
    },
    says: 'policy_changed',
  },
  'office hours are over': {
    end: (desk) => {
      const now = new Date(desk.server.clock.now() - 2 * 3_600_000)
      const [start, end] = [hourOf(now), hourOf(new Date(now.getTime() + 3_600_000))]
      const days = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']
      return desk.rule('time_window', { timezone: 'Etc/UTC', windows: [{ days, start, end }] })
    },
    says: 'outside_time_window',
  },
}

const hourOf = (at: Date): string => `${String(at.getUTCHours()).padStart(2, '0')}:00`

function ok<T>(reply: T): T {
  const { status = 0, text = '' } = (reply ?? {}) as Partial<Reply>
  expect(status, text).toBeLessThan(300)
  return reply
}

describe('a held request is not sent, and its page says so before, when', () => {
  test.each(Object.entries(subjects))('%s', async (_, { key: mintKey, end, says }) => {
    await using desk = await createAttackDesk()
    await desk.rule('require_approval', { effect: 'require_approval', approval: {} })
    const key = (await mintKey?.(desk)) ?? desk.server.dev.agent_key
    const held = await desk.call({ body: { amount: 1 } }, { key })
    expect(held.status, held.text).toBe(202)
    const before = await desk.page(held)
    expect(before).toMatchObject({ view: 'open', would_be_denied: null })

    ok(await end(desk, key))

    const after = await desk.page(held)
    expect(
      after.view === 'ended'
        ? after.outcome.withdrawn_reason
        : after.would_be_denied?.reasons.map(({ code }) => code)[0],
    ).toBe(says)
    const decided = await desk.approve(held)
    if (after.view === 'ended') expect(decided.status).toBe(409)
    else expect(decided.body).toMatchObject({ warning: 'would_be_denied', reasons: [{ code: says }] })
    const outcome = await desk.outcome(held)
    expect(outcome).toMatchObject(
      after.view === 'ended' ? { status: 'denied' } : { status: 'failed', execution_error: says },
    )
    expect(desk.provider.requests).toEqual([])
  })

  test('nothing ends: it is sent once', async () => {
    await using desk = await createAttackDesk()
    await desk.rule('require_approval', { effect: 'require_approval', approval: {} })
    const held = await desk.call({ body: { amount: 1 } })
    expect((await desk.approve(held)).body).toMatchObject({ warning: null })
    expect(await desk.outcome(held)).toMatchObject({ status: 'executed' })
    expect(desk.provider.requests).toHaveLength(1)
    expect(await desk.page(held)).toMatchObject({
      view: 'ended',
      action: `POST 127.0.0.1:${desk.provider.port}/v1/things`,
      asked_by: { agent: 'support-bot', app: 'Support desk' },
    })
  })
})
