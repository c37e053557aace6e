import { CreatedAgent } from '@alter-vault/contracts'
import { describe, expect, test } from 'vitest'
import { type Once, Repeated } from '../http/once.ts'
import { withoutShownOnce } from '../http/shown-once.ts'
import { canonicalJson } from '../kernel/canonical-json.ts'
import { newId } from '../kernel/ids.ts'
import type { JsonSchema } from '../kernel/json-schema.ts'
import { parsePage } from '../kernel/page.ts'
import { sha256 } from '../kernel/sha256.ts'
import { createKeys, endKeysWith } from '../keys/index.ts'
import { createEndings, type Ended, type SdkCaller } from '../management/index.ts'
import { createWriteRules, endRulesWith, findRulesOf } from '../rules/index.ts'
import { createManagementTest, type ManagementTest } from '../testing/management.ts'
import { createAgents, endAgentsWith, type NewAgent } from './index.ts'

const DAY_MS = 86_400_000
const approval = { approvers: ['ann@acme.test'], quorum: 1 }

function setUp(t: ManagementTest) {
  const rules = createWriteRules({ ...t, targetExists: async () => true })
  const ended: Ended[] = []
  const endings = createEndings([
    endKeysWith,
    endAgentsWith,
    endRulesWith,
    async (_tx, _record, what) => void ended.push(what),
  ])
  const keys = createKeys({ ...t, endings })
  const agents = createAgents({ ...t, endings, keys, rules })
  const create = async ({ idempotencyKey: key, ...over }: Partial<NewAgent> & { idempotencyKey?: string } = {}) => {
    const input = { app: t.app, author: t.owner, name: 'refund-bot', ...over }
    if (key !== undefined) {
      const { app, author: _, ...body } = input
      const once: Once = {
        scopeId: app.appId,
        operation: `create_agent:${app.appId}`,
        key,
        digest: sha256(canonicalJson(body)),
        status: 201,
        kept: (made) => withoutShownOnce(CreatedAgent as unknown as JsonSchema, made),
      }
      input.author = { ...t.owner, once }
    }
    try {
      return { ...(await agents.createAgent(input)), replayed: false }
    } catch (error) {
      if (!(error instanceof Repeated)) throw error
      return { ...(error.body as CreatedAgent), replayed: true }
    }
  }
  const update = (agentId: string, version: number | null, change: object, graceSeconds?: number) =>
    agents.updateAgent({
      app: t.app,
      author: t.owner,
      agentId,
      expected: version === null ? null : { version, stale: 'version_conflict' },
      change,
      ...(graceSeconds === undefined ? {} : { graceSeconds }),
    })
  const rulesOf = (agentId: string) =>
    t.db.forApp(t.app.appId, (tx) => findRulesOf(tx, t.app.appId, { type: 'agent', id: agentId }))
  return { agents, keys, rules, create, update, rulesOf, ended, endings }
}

describe('creating an agent', () => {
  test('makes its first key, and rules of its policy that no operator can change', async () => {
    await using t = await createManagementTest()
    const { create, rules, rulesOf } = setUp(t)
    const created = await create({
      display_name: 'Refunds',
      scopes: { stripe: ['refunds', 'refunds'] },
      policy: {
        requires_approval: { ...approval, when: { method: 'POST' } },
        ip_allowlist: { cidrs: ['10.0.0.0/8'] },
        restrictions: { allowed_methods: ['GET', 'POST'], allowed_endpoints: ['/v1/**'] },
      },
    })
    expect(created).toMatchObject({
      status: 'active',
      type: 'agent',
      version: 1,
      scopes: { stripe: ['refunds'] },
      replayed: false,
    })
    expect(created.api_key).toMatch(/^alter_ak_/)
    const made = await rulesOf(created.id)
    expect(made.map((rule) => [rule.type, rule.managed_by, rule.body])).toEqual(
      expect.arrayContaining([
        ['require_approval', 'agent_policy', { effect: 'require_approval', approval, when: { method: 'POST' } }],
        ['ip_allowlist', 'agent_policy', { cidrs: ['10.0.0.0/8'] }],
        ['request_match', 'agent_policy', { allow: { methods: ['GET', 'POST'], paths: ['/v1/**'] } }],
      ]),
    )
    const home = { kind: 'app', ...t.app } as const
    const input = { home, author: t.owner, ruleId: made[0]!.id, expectedVersion: 1 }
    await expect(rules.deleteRule(input)).rejects.toMatchObject({ code: 'conflict' })
    await expect(rules.updateRule({ ...input, change: { enabled: false } })).rejects.toMatchObject({ code: 'conflict' })
    expect(await t.events()).toEqual(['agent.created', 'rule.created', 'rule.created', 'rule.created', 'key.minted'])
    expect((await t.fences())[`principal:agent:${created.id}`]).toBe(1)
  })

  test.each([
    [{ policy: { ip_allowlist: { cidrs: ['0.0.0.0/0'] } } }, 'cidr_too_wide', '/policy/ip_allowlist/cidrs/0'],
    [
      { policy: { requires_approval: { approvers: ['a@b.test'], quorum: 2 } } },
      'invalid_rule_body',
      '/policy/requires_approval/approval/quorum',
    ],
    [
      { policy: { restrictions: { allowed_endpoints: ['/v1/**', 'https://api.stripe.com/**'] } } },
      'invalid_rule_body',
      '/policy/restrictions/allowed_endpoints/0',
    ],
    [{ metadata: { note: 'x'.repeat(8_192) } }, 'validation_failed', '/metadata'],
    [{ scopes: { stripe: Array.from({ length: 2_000 }, (_, n) => `scope-${n}`) } }, 'validation_failed', '/scopes'],
  ])('refuses %j as %s at %s and leaves nothing', async (over, code, pointer) => {
    await using t = await createManagementTest()
    const { create } = setUp(t)
    const error = await create(over as Partial<NewAgent>).catch((caught) => caught)
    expect(error).toMatchObject({ code, errors: [{ pointer }] })
    for (const table of ['agents', 'rules', 'keys', 'key_routes']) {
      expect(await t.asOwner(`select 1 from ${table} where app_id = $1`, [t.app.appId])).toEqual([])
    }
  })

  test('by a live name is refused, and by the name of a revoked agent is not', async () => {
    await using t = await createManagementTest()
    const { create, agents } = setUp(t)
    const first = await create()
    await expect(create()).rejects.toMatchObject({ code: 'agent_name_exists' })
    await agents.revokeAgent({ app: t.app, author: t.owner, agentId: first.id })
    expect((await create()).id).not.toBe(first.id)
    await create({ app: t.otherApp })
  })
})

describe('creating an agent under an idempotency key', () => {
  test('answers a repeat with the same agent and without its key', async () => {
    await using t = await createManagementTest()
    const { create } = setUp(t)
    const body = { metadata: { a: 1, b: [1.5, { c: null }] }, idempotencyKey: 'once' }
    const first = await create(body)
    const again = await create({ ...body, metadata: { b: [1.5, { c: null }], a: 1 } })
    expect(again).toEqual({ ...first, api_key: null, replayed: true })
    expect(await t.inApp('select 1 from agents')).toHaveLength(1)
    await expect(create({ ...body, metadata: {} })).rejects.toMatchObject({ code: 'idempotency_key_body_mismatch' })
    await create({ ...body, app: t.otherApp })
    expect(JSON.stringify(await t.inApp('select response from idempotency_records'))).not.toContain('alter_ak_')
  })

  test('of which two come at once makes one agent, and both know it', async () => {
    await using t = await createManagementTest()
    const { create } = setUp(t)
    const made = await Promise.all([1, 2, 3].map(() => create({ idempotencyKey: 'once' })))
    expect(new Set(made.map((agent) => agent.id)).size).toBe(1)
    expect(made.filter((agent) => agent.api_key !== null)).toHaveLength(1)
    expect(made.filter((agent) => agent.replayed)).toHaveLength(2)
    expect(await t.inApp('select 1 from keys')).toHaveLength(1)
  })

  test('says when the agent is paused or gone, and forgets after a day', async () => {
    await using t = await createManagementTest()
    const { create, agents } = setUp(t)
    const { id } = await create({ idempotencyKey: 'once' })
    const move = { app: t.app, author: t.owner, agentId: id }
    await agents.suspendAgent(move)
    await expect(create({ idempotencyKey: 'once' })).rejects.toMatchObject({ code: 'idempotency_key_agent_inactive' })
    await agents.revokeAgent(move)
    await expect(create({ idempotencyKey: 'once' })).rejects.toMatchObject({ code: 'idempotency_key_agent_revoked' })
    await t.asOwner(
      "update idempotency_records set created_at = now() - interval '24 hours 1 second' where scope_id = $1",
      [t.app.appId],
    )
    expect((await create({ idempotencyKey: 'once' })).id).not.toBe(id)
  })

  test('leaves the key free when the creation is refused', async () => {
    await using t = await createManagementTest()
    const { create } = setUp(t)
    await create({ name: 'taken' })
    await expect(create({ name: 'taken', idempotencyKey: 'k' })).rejects.toMatchObject({ code: 'agent_name_exists' })
    expect((await create({ name: 'free', idempotencyKey: 'k' })).replayed).toBe(false)
  })
})

describe('changing an agent', () => {
  test('adds scopes at once, removes them after the grace, and reads as changed when that is over', async () => {
    await using t = await createManagementTest()
    const { create, update, agents } = setUp(t)
    const { id } = await create({ scopes: { stripe: ['a', 'b'] } })
    const changed = await update(id, 1, { scopes: { stripe: ['b', 'c'] } })
    expect(changed).toMatchObject({
      version: 2,
      scopes: { stripe: ['a', 'b', 'c'] },
      scopes_pending: { stripe: ['b', 'c'] },
      scopes_applies_at: new Date(t.clock.now() + DAY_MS).toISOString(),
    })
    t.clock.advance(DAY_MS)
    const due = await agents.showAgent(t.app, id)
    expect(due).toMatchObject({
      version: 2,
      scopes: { stripe: ['b', 'c'] },
      scopes_pending: null,
      scopes_applies_at: null,
    })
    const later = await update(id, 2, { metadata: { a: 1 } })
    expect(later).toMatchObject({ scopes: { stripe: ['b', 'c'] }, scopes_pending: null })
    const [row] = await t.inApp('select scopes, scopes_pending from agents')
    expect(row).toEqual({ scopes: { stripe: ['b', 'c'] }, scopes_pending: null })
  })

  test('waits with additions for as long as the organization says', async () => {
    await using t = await createManagementTest()
    const { create, update } = setUp(t)
    await t.saveOrganizationSettings({ agent_scope_widening_delay_seconds: 60 })
    const { id } = await create({ scopes: { stripe: ['a'] } })
    const widened = await update(id, 1, { scopes: { stripe: ['a', 'b'] } })
    expect(widened).toMatchObject({ scopes: { stripe: ['a'] }, scopes_pending: { stripe: ['a', 'b'] } })
    const takenBack = await update(id, 2, { scopes: { stripe: ['a'] } })
    expect(takenBack).toMatchObject({ scopes: { stripe: ['a'] }, scopes_pending: null, scopes_applies_at: null })
  })

  test('bumps the agent’s fence once per change and not at all for no change', async () => {
    await using t = await createManagementTest()
    const { create, update } = setUp(t)
    const { id } = await create()
    const before = (await t.fences())[`agent:${id}`]!
    await update(id, 1, { rate_limit_per_minute: 10 })
    await update(id, 2, { rate_limit_per_minute: 10 })
    expect((await t.fences())[`agent:${id}`]).toBe(before + 1)
    expect(await t.events()).toEqual(['agent.created', 'key.minted', 'agent.updated'])
  })

  test('replaces its policy as a whole and keeps the versions of its rules', async () => {
    await using t = await createManagementTest()
    const { create, update, rulesOf } = setUp(t)
    const { id } = await create({ policy: { ip_allowlist: { cidrs: ['10.0.0.0/8'] }, requires_approval: approval } })
    const epoch = (await t.fences()).epoch!
    const kept = (await rulesOf(id)).find((rule) => rule.type === 'ip_allowlist')!
    const changed = await update(id, 1, { policy: { ip_allowlist: { cidrs: ['192.168.0.0/16'] } } })
    expect(changed.policy).toEqual({ ip_allowlist: { cidrs: ['192.168.0.0/16'] } })
    expect(await rulesOf(id)).toMatchObject([{ id: kept.id, version: 2, body: { cidrs: ['192.168.0.0/16'] } }])
    expect(await t.inApp('select version from rule_versions')).toHaveLength(2)
    expect((await t.fences()).epoch).toBe(epoch + 2)
    await update(id, 2, { policy: {} })
    expect(await rulesOf(id)).toEqual([])
  })

  test('needs the newest version; of two at once one wins', async () => {
    await using t = await createManagementTest()
    const { create, update, agents } = setUp(t)
    const { id } = await create({ scopes: { stripe: ['a'] } })
    const results = await Promise.allSettled([
      update(id, 1, { display_name: 'A' }),
      update(id, 1, { display_name: 'B' }),
    ])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(results.find((result) => result.status === 'rejected')?.reason).toMatchObject({ code: 'version_conflict' })
    const stale = { version: 1, stale: 'agent_concurrent_update' } as const
    const bySdk = agents.updateAgent({
      app: t.app,
      author: t.owner,
      agentId: id,
      expected: stale,
      change: { display_name: 'C' },
    })
    await expect(bySdk).rejects.toMatchObject({ code: 'agent_concurrent_update', fields: { current_version: 2 } })
    const narrow = update(id, null, { scopes: {} })
    await expect(narrow).rejects.toMatchObject({ code: 'agent_scope_narrowing_not_supported' })
    expect(await update(id, null, { scopes: { stripe: ['a', 'b'] } })).toMatchObject({ version: 3 })
  })

  test('of another app, or of nobody, is refused alike', async () => {
    await using t = await createManagementTest()
    const { create, update, agents } = setUp(t)
    const elsewhere = await create({ app: t.otherApp })
    const said = await Promise.all(
      [
        update(elsewhere.id, 1, { display_name: 'X' }),
        update(newId(), 1, { display_name: 'X' }),
        update('no-id', 1, { display_name: 'X' }),
        agents.showAgent(t.app, elsewhere.id),
        agents.revokeAgent({ app: t.app, author: t.owner, agentId: elsewhere.id }),
        agents.suspendAgent({ app: t.app, author: t.owner, agentId: elsewhere.id }),
      ].map((call) => call.catch((error) => [error.code, error.message])),
    )
    expect(new Set(said.map((refusal) => JSON.stringify(refusal))).size).toBe(1)
    expect(said[0]).toMatchObject(['agent_not_found', expect.any(String)])
  })
})

describe('an agent', () => {
  test('is suspended and resumed, idempotently', async () => {
    await using t = await createManagementTest()
    const { create, agents } = setUp(t)
    const { id } = await create()
    const move = { app: t.app, author: t.owner, agentId: id }
    const suspended = await agents.suspendAgent(move)
    expect(suspended).toMatchObject({ status: 'inactive', version: 2 })
    expect(await agents.suspendAgent(move)).toEqual(suspended)
    expect(await agents.resumeAgent(move)).toMatchObject({ status: 'active', version: 3 })
    await agents.resumeAgent(move)
    expect(await t.events()).toEqual(['agent.created', 'key.minted', 'agent.suspended', 'agent.resumed'])
  })

  test('is revoked with its keys, grants, rules and what waits, once and for ever', async () => {
    await using t = await createManagementTest()
    const { create, agents, keys, rulesOf, ended } = setUp(t)
    const { id } = await create({ policy: { requires_approval: approval } })
    await keys.mintAgentKey({ app: t.app, author: t.owner, agentId: id, name: 'second' })
    const move = { app: t.app, author: t.owner, agentId: id }
    const revoked = await agents.revokeAgent(move)
    expect(revoked.status).toBe('revoked')
    expect((await keys.listAgentKeys(t.app, id)).map((key) => key.status)).toEqual(['revoked', 'revoked'])
    expect(await rulesOf(id)).toEqual([])
    expect(ended).toEqual([{ type: 'agent', id, reason: 'revoked' }])
    expect(await agents.revokeAgent(move)).toEqual(revoked)
    expect(ended).toHaveLength(1)
    for (const refused of [
      () => agents.resumeAgent(move),
      () => agents.updateAgent({ ...move, expected: null, change: { display_name: 'X' } }),
      () => keys.mintAgentKey({ ...move, name: 'third' }),
    ]) {
      await expect(refused()).rejects.toMatchObject({ code: 'conflict' })
    }
    const events = await t.events()
    expect(events.slice(events.indexOf('agent.revoked'))).toEqual([
      'agent.revoked',
      'key.revoked',
      'key.revoked',
      'rule.deleted',
    ])
  })

  test('ends with its app', async () => {
    await using t = await createManagementTest()
    const { create, agents, endings } = setUp(t)
    const { id } = await create()
    const by = { app: t.app, author: t.owner, at: new Date(t.clock.now()) }
    await t.db.forApp(t.app.appId, (tx) =>
      endings.announce(tx, () => '', { type: 'app', id: t.app.appId, reason: 'deleted' }, by),
    )
    expect(await agents.showAgent(t.app, id)).toMatchObject({ status: 'revoked' })
  })

  test('is found in lists by status, type, provider, slug and name', async () => {
    await using t = await createManagementTest()
    const { create, agents } = setUp(t)
    const a = await create({ name: 'alpha', scopes: { stripe: ['x'] } })
    const b = await create({
      name: 'beta',
      type: 'service',
      display_name: 'Night job',
      scopes: { managed_secret_slugs: ['stripe'] },
    })
    const c = await create({ name: 'gamma' })
    await agents.suspendAgent({ app: t.app, author: t.owner, agentId: c.id })
    const list = async (filter: object) =>
      (await agents.listAgents(t.app, filter, parsePage({}))).items.map((agent) => agent.id).sort()
    expect(await list({})).toEqual([a.id, b.id, c.id].sort())
    expect(await list({ status: 'inactive' })).toEqual([c.id])
    expect(await list({ type: 'service' })).toEqual([b.id])
    expect(await list({ provider: 'stripe' })).toEqual([a.id, b.id].sort())
    expect(await list({ search: 'NIGHT' })).toEqual([b.id])
    expect((await agents.listAgents(t.otherApp, {}, parsePage({}))).items).toEqual([])
    const cut = await agents.listAgents(t.app, {}, parsePage({ limit: 1, offset: 20_000 }))
    expect(cut).toMatchObject({ items: [], is_truncated: true, has_more: false })
  })

  test('reads itself; through an app’s key its approvers are only counted', async () => {
    await using t = await createManagementTest()
    const { create, agents } = setUp(t)
    const { id } = await create({ policy: { requires_approval: approval } })
    const caller = { ...t.app, agentId: id, impersonated: false } as SdkCaller
    expect((await agents.showOwnAgent(caller)).policy).toEqual({ requires_approval: approval })
    const impersonated = await agents.showOwnAgent({ ...caller, impersonated: true })
    expect(impersonated.policy).toEqual({ requires_approval: { quorum: 1, approvers_count: 1 } })
    expect('created_by' in impersonated).toBe(false)
    await expect(agents.showOwnAgent({ ...caller, agentId: null })).rejects.toMatchObject({
      code: 'me_requires_agent_key',
    })
  })
})
