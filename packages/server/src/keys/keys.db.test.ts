import { managedAgentKeyScopes, parseKey } from '@alter-vault/contracts'
import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { parsePage } from '../kernel/page.ts'
import { createEndings, type Ended } from '../management/index.ts'
import { createManagementTest, type ManagementTest } from '../testing/management.ts'
import { createKeys, endKeysWith, findKeyRoute, loadAgentForCall, loadKeyForAuthentication } from './index.ts'
import { storeNewKey } from './mint-key.ts'

const HOUR_MS = 3_600_000
const page = () => parsePage({})

function setUp(t: ManagementTest) {
  const keys = createKeys({ ...t, endings: createEndings([]) })
  const mint = (over: Partial<Parameters<typeof keys.mintKey>[0]> = {}) =>
    keys.mintKey({ app: t.app, author: t.owner, name: 'server', scopes: ['proxy:execute', 'keys:derive'], ...over })
  const derive = (parentKeyId: string, expiresAt: Date | null = null) =>
    t.db.forApp(t.app.appId, async (tx) => {
      const by = { app: t.app, author: t.owner, event: 'key.derived' } as const
      const { keyId } = await storeNewKey(tx, () => newId(), t, by, {
        key_type: 'dk',
        parent_key_id: parentKeyId,
        name: 'derived',
        scopes: ['proxy:execute'],
        expires_at: expiresAt,
        metadata: {},
      })
      return keyId
    })
  const authenticate = async (plain: string) => {
    const route = await t.db.unscoped((tx) => findKeyRoute(tx, t.keyDigest(plain)))
    return route && t.db.readForApp(route.appId, (tx) => loadKeyForAuthentication(tx, route.appId, route.keyId))
  }
  return { keys, mint, derive, authenticate }
}

async function addAgent(t: ManagementTest, over: Record<string, unknown> = {}): Promise<string> {
  const agentId = newId()
  await t.asOwner(
    `insert into agents (app_id, agent_id, name, type, status, scopes, created_by) values ($1, $2, $3, 'agent', $4, $5, '{}')`,
    [t.app.appId, agentId, `agent-${agentId.slice(-6)}`, over.status ?? 'active', over.scopes ?? {}],
  )
  return agentId
}

describe('minting a key', () => {
  test('shows it once, stores its digest and a route, and records who did it', async () => {
    await using t = await createManagementTest()
    const { keys, mint, authenticate } = setUp(t)
    const minted = await mint({ cidr_allowlist: ['203.0.113.0/24'], rate_limit_rpm: 10, expires_in: '30d' })
    expect(parseKey(minted.api_key!)).toMatchObject({ form: 'scoped', type: 'rk' })
    expect(minted).toMatchObject({
      status: 'active',
      key_prefix: minted.api_key!.slice(0, 16),
      effective_rate_limit_rpm: 10,
      rate_limit_source: 'key',
      expires_at: new Date(t.clock.now() + 30 * 24 * HOUR_MS).toISOString(),
    })
    const shown = await keys.showKey(t.app, minted.id)
    expect('api_key' in shown).toBe(false)
    const everything = JSON.stringify([
      await t.asOwner('select * from keys'),
      await t.asOwner('select * from key_routes'),
      await t.auditRows(),
    ])
    expect(everything).not.toContain(minted.api_key!.slice(17, 39))
    expect(await authenticate(minted.api_key!)).toMatchObject({ keyId: minted.id, revoked: false, rateLimitRpm: 10 })
    const lastCharacter = minted.api_key!.endsWith('x') ? 'y' : 'x'
    expect(await authenticate(minted.api_key!.slice(0, -1) + lastCharacter)).toBeUndefined()
    const [row] = await t.auditRows()
    expect(row!.keep).toMatchObject({ event: 'key.minted', caller_kind: 'pat' })
    expect(row!.detail).toMatchObject({ resource_type: 'key', resource_id: minted.id })
  })

  test.each([
    [{ scopes: ['everything'] }, 'invalid_scope'],
    [{ scopes: ['*:read'] }, 'invalid_scope'],
    [{ expires_in: '5m', expires_at: '2999-01-01T00:00:00Z' }, 'validation_failed'],
    [{ expires_at: '2001-01-01T00:00:00Z' }, 'validation_failed'],
    [{ expires_at: '2999-02-30T00:00:00Z' }, 'validation_failed'],
    [{ cidr_allowlist: ['10.0.0.1/8'] }, 'invalid_cidr'],
    [{ cidr_allowlist: ['0.0.0.0/0'] }, 'cidr_too_wide'],
    [{ metadata: { note: 'x'.repeat(4_096) } }, 'validation_failed'],
    [{ app: { appId: newId(), organizationId: newId() } }, 'not_found'],
  ])('refuses %j as %s', async (over, code) => {
    await using t = await createManagementTest()
    const { mint } = setUp(t)
    await expect(mint(over)).rejects.toMatchObject({ code })
    expect(await t.inApp('select 1 from keys')).toEqual([])
  })

  test.each([
    [{ require_expiry: true }, 'expires_at'],
    [{ max_key_ttl_days: 7 }, 'expires_at'],
    [{ require_cidr: true }, 'cidr_allowlist'],
    [{ allowed_scopes: ['grants:read'] }, 'scopes'],
    [{ max_rate_limit_rpm: 5 }, 'rate_limit_rpm'],
  ])('obeys the organization’s policy %j and names %s', async (policy, field) => {
    await using t = await createManagementTest()
    const { mint } = setUp(t)
    await t.saveOrganizationSettings({ key_policy: policy })
    await expect(mint({ rate_limit_rpm: 6 })).rejects.toMatchObject({ code: 'key_policy_violation', fields: { field } })
  })

  test('takes the organization’s ceiling when the key has no limit of its own', async () => {
    await using t = await createManagementTest()
    const { mint, authenticate } = setUp(t)
    expect(await mint()).toMatchObject({ effective_rate_limit_rpm: 6_000, rate_limit_source: 'platform_default' })
    await t.saveOrganizationSettings({ key_policy: { max_rate_limit_rpm: 100 } })
    const limited = await mint()
    expect(limited).toMatchObject({ effective_rate_limit_rpm: 100, rate_limit_source: 'organization' })
    expect(await authenticate(limited.api_key!)).toMatchObject({ rateLimitRpm: 100 })
  })

  test("shares its organization's budget, which the organization's settings may change", async () => {
    await using t = await createManagementTest()
    const { mint, authenticate } = setUp(t)
    const minted = await mint()
    expect(await authenticate(minted.api_key!)).toMatchObject({ organizationRpm: 60_000 })
    await t.saveOrganizationSettings({ rate_limit_rpm: 250_000 })
    expect(await authenticate(minted.api_key!)).toMatchObject({ organizationRpm: 250_000 })
  })

  test('of two keys at once stops at the limit', async () => {
    await using t = await createManagementTest()
    const { keys, mint } = setUp(t)
    await t.asOwner('update apps set settings = $1 where app_id = $2', [{ max_active_keys: 2 }, t.app.appId])
    const first = await mint()
    const results = await Promise.allSettled([mint(), mint(), mint()])
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1)
    for (const result of results) {
      if (result.status === 'rejected')
        expect(result.reason).toMatchObject({ code: 'key_limit_reached', fields: { limit: 2 } })
    }
    await keys.rotateKey({ app: t.app, author: t.owner, keyId: first.id })
    expect(await keys.countKeys(t.app)).toEqual({ active: 2, rotated_in_grace: 1, total: 3, max_allowed: 2 })
  })
})

describe('rotating a key', () => {
  test('lets the old one work until its grace ends, and what is derived from it no longer', async () => {
    await using t = await createManagementTest()
    const { keys, mint, derive, authenticate } = setUp(t)
    const old = await mint({ cidr_allowlist: ['10.0.0.0/8'], metadata: { team: 'a' } })
    const child = await derive(old.id, new Date(t.clock.now() + 20 * HOUR_MS))
    const grandchild = await derive(child)
    const before = await t.fences()
    const next = await keys.rotateKey({ app: t.app, author: t.owner, keyId: old.id, graceSeconds: 3_600 })
    expect(next).toMatchObject({
      key_type: 'rk',
      scopes: old.scopes,
      cidr_allowlist: ['10.0.0.0/8'],
      metadata: { team: 'a' },
    })
    expect(next.api_key).not.toBe(old.api_key)
    const graceUntil = new Date(t.clock.now() + HOUR_MS)
    expect(await keys.showKey(t.app, old.id)).toMatchObject({
      status: 'rotated_in_grace',
      rotated_to: next.id,
      grace_until: graceUntil.toISOString(),
      deprecated_at: new Date(t.clock.now()).toISOString(),
    })
    for (const id of [child, grandchild]) {
      expect(await keys.showKey(t.app, id)).toMatchObject({ expires_at: graceUntil.toISOString() })
    }
    expect(await authenticate(old.api_key!)).toMatchObject({ deprecated: true, graceUntilMs: graceUntil.getTime() })
    const after = await t.fences()
    for (const id of [old.id, child, grandchild]) expect(after[`key:${id}`]).toBe(before[`key:${id}`]! + 1)
    t.clock.advance(HOUR_MS)
    expect(await keys.showKey(t.app, old.id)).toMatchObject({ status: 'expired' })
    expect(await t.events()).toEqual(['key.minted', 'key.rotated'])
  })

  test('never widens, never twice, and not of a derived, revoked or expired key', async () => {
    await using t = await createManagementTest()
    const { keys, mint, derive } = setUp(t)
    const rotate = (keyId: string, over: object = {}) => keys.rotateKey({ app: t.app, author: t.owner, keyId, ...over })
    const key = await mint({ scopes: ['grants:write', 'proxy:execute'] })
    await expect(rotate(key.id, { scopes: ['grants:admin'] })).rejects.toMatchObject({
      code: 'constraint_not_narrowing',
    })
    expect(await rotate(key.id, { scopes: ['grants:read'] })).toMatchObject({ scopes: ['grants:read'] })
    await expect(rotate(key.id)).rejects.toMatchObject({ code: 'conflict' })
    await expect(rotate(await derive(key.id))).rejects.toMatchObject({ code: 'derived_key_not_rotatable' })
    const revoked = await mint()
    await keys.revokeKey({ app: t.app, author: t.owner, keyId: revoked.id, force: false })
    await expect(rotate(revoked.id)).rejects.toMatchObject({ code: 'key_revoked', status: 409 })
    const short = await mint({ expires_in: '5m' })
    t.clock.advance(300_000)
    await expect(rotate(short.id)).rejects.toMatchObject({ code: 'conflict' })
    await t.saveOrganizationSettings({ key_policy: { max_rotation_grace_days: 0 } })
    await expect(rotate((await mint()).id)).rejects.toMatchObject({ code: 'key_policy_violation' })
  })

  test('by two at once makes one successor', async () => {
    await using t = await createManagementTest()
    const { keys, mint } = setUp(t)
    const key = await mint()
    const rotate = () => keys.rotateKey({ app: t.app, author: t.owner, keyId: key.id })
    const results = await Promise.allSettled([rotate(), rotate()])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(await t.inApp('select 1 from keys')).toHaveLength(2)
  })
})

describe('revoking a key', () => {
  test('ends it and everything derived from it, with a fence and an audit row for each, once', async () => {
    await using t = await createManagementTest()
    const { keys, mint, derive, authenticate } = setUp(t)
    const key = await mint()
    const child = await derive(key.id)
    const grandchild = await derive(child)
    const bystander = await mint()
    const before = await t.fences()
    const revoke = () => keys.revokeKey({ app: t.app, author: t.owner, keyId: key.id, force: false })
    const revoked = await revoke()
    expect(revoked.status).toBe('revoked')
    const after = await t.fences()
    for (const id of [key.id, child, grandchild]) expect(after[`key:${id}`]).toBe(before[`key:${id}`]! + 1)
    expect(after[`key:${bystander.id}`]).toBe(before[`key:${bystander.id}`])
    expect(await authenticate(key.api_key!)).toMatchObject({ revoked: true })
    const rows = (await t.auditRows()).filter((row) => row.keep.event === 'key.revoked')
    expect(rows.map((row) => row.detail.resource_id)).toEqual([key.id, child, grandchild])
    t.clock.advance(1_000)
    expect(await revoke()).toEqual(revoked)
    expect(await t.fences()).toEqual(after)
  })

  test('of an agent’s last live key needs force, also when two go at once', async () => {
    await using t = await createManagementTest()
    const { keys } = setUp(t)
    const agentId = await addAgent(t)
    const input = { app: t.app, author: t.owner, agentId }
    const first = await keys.mintAgentKey({ ...input, name: 'a' })
    const second = await keys.mintAgentKey({ ...input, name: 'b' })
    const revoke = (keyId: string, force = false) => keys.revokeAgentKey({ ...input, keyId, force })
    const results = await Promise.allSettled([revoke(first.key_id), revoke(second.key_id)])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(results.find((result) => result.status === 'rejected')?.reason).toMatchObject({ code: 'last_active_key' })
    const left = (await keys.listAgentKeys(t.app, agentId)).find((key) => key.status === 'active')!
    expect(await revoke(left.key_id, true)).toMatchObject({ status: 'revoked' })
  })

  test('of a key of another app, another agent or nobody answers alike', async () => {
    await using t = await createManagementTest()
    const { keys, mint } = setUp(t)
    const key = await mint()
    const elsewhere = await mint({ app: t.otherApp })
    const refusals = await Promise.all(
      [
        keys.revokeKey({ app: t.app, author: t.owner, keyId: elsewhere.id, force: false }),
        keys.revokeKey({ app: t.app, author: t.owner, keyId: newId(), force: false }),
        keys.revokeKey({ app: t.app, author: t.owner, keyId: 'no-id', force: false }),
        keys.revokeAgentKey({ app: t.app, author: t.owner, keyId: key.id, agentId: newId(), force: false }),
        keys.showKey(t.app, elsewhere.id),
        keys.markKey({ app: t.app, author: t.owner, keyId: elsewhere.id, deprecated: true }),
      ].map((call) => call.catch((error) => [error.code, error.message])),
    )
    expect(new Set(refusals.map((refusal) => JSON.stringify(refusal))).size).toBe(1)
    expect(refusals[0]).toMatchObject(['key_not_found', expect.any(String)])
    expect(await keys.showKey(t.otherApp, elsewhere.id)).toMatchObject({ status: 'active' })
  })

  test('of a whole agent or app leaves none', async () => {
    await using t = await createManagementTest()
    const { keys, mint, authenticate } = setUp(t)
    const agentId = await addAgent(t)
    const ofAgent = await keys.mintAgentKey({ app: t.app, author: t.owner, agentId, name: 'a' })
    const ofApp = await mint()
    const by = { app: t.app, author: t.owner, at: new Date(t.clock.now()) }
    const end = (ended: Ended) =>
      t.db.forApp(t.app.appId, (tx) => createEndings([endKeysWith]).announce(tx, () => '', ended, by))
    await end({ type: 'agent', id: agentId, reason: 'revoked' })
    expect(await authenticate(ofAgent.api_key)).toMatchObject({ revoked: true })
    expect(await authenticate(ofApp.api_key!)).toMatchObject({ revoked: false })
    await end({ type: 'app', id: t.app.appId, reason: 'deleted' })
    expect(await authenticate(ofApp.api_key!)).toBeUndefined()
  })
})

describe('a key', () => {
  test('is marked as deprecated and unmarked, idempotently, and goes on working', async () => {
    await using t = await createManagementTest()
    const { keys, mint, authenticate } = setUp(t)
    const key = await mint()
    const mark = (deprecated: boolean) => keys.markKey({ app: t.app, author: t.owner, keyId: key.id, deprecated })
    const first = await mark(true)
    t.clock.advance(1_000)
    expect(await mark(true)).toEqual(first)
    expect(await authenticate(key.api_key!)).toMatchObject({ deprecated: true, revoked: false })
    expect(await mark(false)).toMatchObject({ status: 'active', deprecated_at: null })
    await mark(false)
    expect(await t.events()).toEqual(['key.minted', 'key.deprecated', 'key.undeprecated'])
    await keys.revokeKey({ app: t.app, author: t.owner, keyId: key.id, force: false })
    await expect(mark(true)).rejects.toMatchObject({ code: 'key_revoked', status: 409 })
  })

  test('is renamed without a change of its rights', async () => {
    await using t = await createManagementTest()
    const { keys, mint } = setUp(t)
    const key = await mint()
    const rename = (change: object) => keys.renameKey({ app: t.app, author: t.owner, keyId: key.id, change })
    expect(await rename({ name: 'web', metadata: { owner: 'ann' } })).toMatchObject({
      name: 'web',
      metadata: { owner: 'ann' },
      scopes: key.scopes,
    })
    await rename({ name: 'web' })
    expect(await t.events()).toEqual(['key.minted', 'key.updated'])
  })

  test('is found in lists by its state', async () => {
    await using t = await createManagementTest()
    const { keys, mint, derive } = setUp(t)
    const active = await mint()
    const deprecated = await mint()
    const rotated = await mint()
    const expired = await mint({ expires_in: '1m' })
    const revoked = await mint()
    await keys.markKey({ app: t.app, author: t.owner, keyId: deprecated.id, deprecated: true })
    const successor = await keys.rotateKey({ app: t.app, author: t.owner, keyId: rotated.id })
    await keys.revokeKey({ app: t.app, author: t.owner, keyId: revoked.id, force: false })
    t.clock.advance(60_000)
    const child = await derive(active.id)
    const list = async (filter: object) =>
      (await keys.listKeys(t.app, filter, page())).items.map((key) => key.id).sort()
    expect(await list({ status: 'active' })).toEqual([active.id, successor.id, child].sort())
    expect(await list({ status: 'deprecated' })).toEqual([deprecated.id])
    expect(await list({ status: 'rotated_in_grace' })).toEqual([rotated.id])
    expect(await list({ status: 'expired' })).toEqual([expired.id])
    expect(await list({ status: 'revoked' })).toEqual([revoked.id])
    expect(await list({ parent_key_id: active.id })).toEqual([child])
    for (const item of (await keys.listKeys(t.app, {}, page())).items) {
      expect(await list({ status: item.status })).toContain(item.id)
    }
    const third = await keys.listKeys(t.app, {}, parsePage({ limit: 2, offset: 1 }))
    expect(third).toMatchObject({ has_more: true, is_truncated: false })
    expect(third.items[0]!.id).toBe((await keys.listKeys(t.app, {}, page())).items[1]!.id)
  })
})

describe('a managed agent’s key', () => {
  test('holds the agent scopes and is limited to ten, also when two are minted at once', async () => {
    await using t = await createManagementTest()
    const { keys, authenticate } = setUp(t)
    const agentId = await addAgent(t, { scopes: { stripe: ['charges'] } })
    const mint = () => keys.mintAgentKey({ app: t.app, author: t.owner, agentId, name: 'k' })
    const first = await mint()
    const facts = await authenticate(first.api_key)
    expect(facts).toMatchObject({
      keyType: 'ak',
      scopes: managedAgentKeyScopes,
      agent: { agentId, scopes: { stripe: ['charges'] } },
    })
    expect(facts!.versions.map((read) => read.subject)).toEqual(['epoch', `key:${first.key_id}`, `agent:${agentId}`])
    for (let n = 0; n < 8; n++) await mint()
    const results = await Promise.allSettled([mint(), mint()])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(results.find((result) => result.status === 'rejected')?.reason).toMatchObject({
      code: 'agent_key_limit_reached',
    })
  })
})

describe('what authentication reads', () => {
  test('carries the versions of the same snapshot', async () => {
    await using t = await createManagementTest()
    const { mint, authenticate } = setUp(t)
    const key = await mint()
    const facts = (await authenticate(key.api_key!))!
    const versions = await t.fences()
    for (const { subject, version } of facts.versions) expect(version).toBe(versions[subject])
    expect(facts).toMatchObject({ organizationId: t.organizationId, appStatus: 'live', appEnvironment: 'production' })
    await t.asOwner("update apps set status = 'archived' where app_id = $1", [t.app.appId])
    const archived = (await authenticate(key.api_key!))!
    expect(archived.appStatus).toBe('archived')
    expect(archived.versions[0]!.version).toBe(facts.versions[0]!.version + 1)
  })

  test('of an agent is nothing in another app', async () => {
    await using t = await createManagementTest()
    const agentId = await addAgent(t, { status: 'inactive' })
    const load = (appId: string) => t.db.readForApp(appId, (tx) => loadAgentForCall(tx, appId, agentId))
    expect(await load(t.app.appId)).toMatchObject({
      agentId,
      status: 'inactive',
      version: { subject: `agent:${agentId}` },
    })
    expect(await load(t.otherApp.appId)).toBeUndefined()
  })
})
