import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { parsePage } from '../kernel/page.ts'
import { createManagementTest, type ManagementTest } from '../testing/management.ts'
import { findRule, findRulesOf, listRules, listVersions, type RuleHome } from './rule-store.ts'
import { createWriteRules, type NewRule } from './write-rule.ts'

const office = { cidrs: ['10.0.0.0/8'] }

function setUp(t: ManagementTest) {
  const known = new Set<string>()
  const rules = createWriteRules({
    ...t,
    targetExists: async (_tx, appId, target) => target.id === appId || known.has(target.id),
  })
  const home: RuleHome = { kind: 'app', ...t.app }
  const create = (over: Partial<NewRule> = {}) =>
    rules.createRule({
      home,
      author: t.owner,
      target: { type: 'app', id: t.app.appId },
      type: 'ip_allowlist',
      name: 'Office',
      body: office,
      ...over,
    })
  const show = (ruleId: string) => t.db.forApp(t.app.appId, (tx) => findRule(tx, home, ruleId))
  const versions = (ruleId: string, limit = 50, cursor?: string) =>
    t.db.forApp(t.app.appId, (tx) => listVersions(tx, home, ruleId, parsePage({ limit, cursor })))
  return { rules, home, create, show, versions, known }
}

describe('a rule', () => {
  test('is stored as version 1 and bumps the policy epoch', async () => {
    await using t = await createManagementTest()
    const { create, show } = setUp(t)
    const before = (await t.fences()).epoch!
    const rule = await create({ description: 'Only from the office', expires_at: '2999-01-01T00:00:00Z' })
    expect(rule).toMatchObject({ version: 1, enabled: true, mode: 'enforce', managed_by: 'operator', warnings: [] })
    const { warnings: _, ...stored } = rule
    expect(await show(rule.id)).toEqual(stored)
    expect((await t.fences()).epoch).toBe(before + 1)
    const [row] = await t.auditRows()
    expect(row!.keep.event).toBe('rule.created')
    expect(row!.detail).toMatchObject({ resource_type: 'rule', resource_id: rule.id })
  })

  test.each([
    [undefined, 'invalid_target'],
    [{}, 'invalid_target'],
    [{ type: 'agent', id: newId(), app: newId() }, 'invalid_target'],
    [{ type: 'planet', id: newId() }, 'invalid_target'],
    [{ type: 'agent', id: 'no-id' }, 'invalid_target'],
    [{ type: 'organization', id: newId() }, 'invalid_target'],
    [{ type: 'agent', id: newId() }, 'not_found'],
    [{ type: 'app', id: newId() }, 'not_found'],
  ])('on the target %j is refused as %s', async (target, code) => {
    await using t = await createManagementTest()
    const { create } = setUp(t)
    await expect(create({ target })).rejects.toMatchObject({ code })
    expect(await t.inApp('select 1 from rules')).toEqual([])
  })

  test.each([
    [{ body: { cidrs: [] } }, 'invalid_rule_body', '/body/cidrs'],
    [{ body: { ...office, extra: 1 } }, 'invalid_rule_body', '/body/extra'],
    [{ body: { cidrs: ['0.0.0.0/0'] } }, 'cidr_too_wide', '/body/cidrs/0'],
    [{ body: { cidrs: ['10.0.0.1/8'] } }, 'invalid_cidr', '/body/cidrs/0'],
    [{ type: 'cel', body: { expression: '1 +', effect: 'deny' } }, 'invalid_cel', '/body/expression'],
    [{ expires_at: '2001-01-01T00:00:00Z' }, 'validation_failed', '/expires_at'],
    [{ expires_at: '2999-02-30T00:00:00Z' }, 'validation_failed', '/expires_at'],
  ])('with %j is refused as %s at %s', async (over, code, pointer) => {
    await using t = await createManagementTest()
    const { create } = setUp(t)
    await expect(create(over as Partial<NewRule>)).rejects.toMatchObject({ code, errors: [{ pointer }] })
  })

  test('that denies everything is stored with a warning', async () => {
    await using t = await createManagementTest()
    const { create } = setUp(t)
    const rule = await create({ type: 'json_match', body: { when: {}, effect: 'deny' } })
    expect(rule.warnings).toMatchObject([{ code: 'always_denies' }])
  })

  test('stops at 50 on one target and 500 in one app, also when two come at once', async () => {
    await using t = await createManagementTest()
    const { create, known } = setUp(t)
    const fill = (n: number, type: string, id: string) =>
      t.asOwner(
        `insert into rules (app_id, rule_id, target_type, target_id, type, name, body, created_by, updated_by)
         select $1, gen_random_uuid(), $3, $4, 'ttl', 'x', '{}', '{}', '{}' from generate_series(1, $2::int)`,
        [t.app.appId, n, type, id],
      )
    await fill(49, 'app', t.app.appId)
    const results = await Promise.allSettled([create(), create()])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(results.find((result) => result.status === 'rejected')?.reason).toMatchObject({ code: 'conflict' })
    const agentId = newId()
    known.add(agentId)
    await fill(450, 'agent', newId())
    await expect(create({ target: { type: 'agent', id: agentId } })).rejects.toMatchObject({ code: 'conflict' })
  })
})

describe('changing a rule', () => {
  test('keeps the whole replaced version and who replaced it', async () => {
    await using t = await createManagementTest()
    const { rules, home, create, versions } = setUp(t)
    const { warnings: _, ...first } = await create()
    const change = { name: 'Office and home', body: { cidrs: ['10.0.0.0/8', '192.0.2.0/24'] }, mode: 'shadow' as const }
    const second = await rules.updateRule({ home, author: t.owner, ruleId: first.id, expectedVersion: 1, change })
    expect(second).toMatchObject({ version: 2, ...change })
    const [kept] = await versions(first.id)
    expect(kept).toMatchObject({ version: 1, rule: first, replaced_by: first.created_by })
    const changes = (await t.auditRows()).at(-1)!.detail.changes as { field: string }[]
    expect(changes.map((one) => one.field).sort()).toEqual(['body', 'mode', 'name'])
  })

  test('needs the newest version, and writes nothing when nothing changes', async () => {
    await using t = await createManagementTest()
    const { rules, home, create, versions } = setUp(t)
    const rule = await create()
    const update = (expectedVersion: number, change: object) =>
      rules.updateRule({ home, author: t.owner, ruleId: rule.id, expectedVersion, change })
    const epoch = (await t.fences()).epoch
    expect(await update(1, { name: 'Office', body: office, enabled: true })).toMatchObject({ version: 1 })
    expect((await t.fences()).epoch).toBe(epoch)
    const results = await Promise.allSettled([update(1, { enabled: false }), update(1, { name: 'Other' })])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(results.find((result) => result.status === 'rejected')?.reason).toMatchObject({ code: 'version_conflict' })
    expect(await versions(rule.id)).toHaveLength(1)
  })

  test('keeps the newest 100 replaced versions', async () => {
    await using t = await createManagementTest()
    const { rules, home, create, versions } = setUp(t)
    const rule = await create()
    await t.asOwner(`insert into rule_versions select $1, $2, v, '{}', '{}', now() from generate_series(1, 100) v`, [
      t.app.appId,
      rule.id,
    ])
    await t.asOwner('update rules set version = 101 where rule_id = $1', [rule.id])
    await rules.updateRule({ home, author: t.owner, ruleId: rule.id, expectedVersion: 101, change: { name: 'Other' } })
    const kept = (await versions(rule.id, 200)).map(({ version }) => version)
    expect([kept.length, kept[0], kept.at(-1)]).toEqual([100, 101, 2])
  })

  test('can switch off a stored rule that this version does not understand, and cannot switch it on', async () => {
    await using t = await createManagementTest()
    const { rules, home, create } = setUp(t)
    const rule = await create()
    await t.inApp(`update rules set body = '{"from": "the future"}'`)
    const update = (expectedVersion: number, change: object) =>
      rules.updateRule({ home, author: t.owner, ruleId: rule.id, expectedVersion, change })
    expect(await update(1, { enabled: false })).toMatchObject({ enabled: false, version: 2 })
    await expect(update(2, { enabled: true })).rejects.toMatchObject({ code: 'invalid_rule_body' })
  })

  test('of another app answers like changing none', async () => {
    await using t = await createManagementTest()
    const { rules, home, create } = setUp(t)
    const other: RuleHome = { kind: 'app', ...t.otherApp }
    const elsewhere = await create({ home: other, target: { type: 'app', id: t.otherApp.appId } })
    const said = await Promise.all(
      [elsewhere.id, newId(), 'no-id'].flatMap((ruleId) =>
        [
          rules.updateRule({ home, author: t.owner, ruleId, expectedVersion: 1, change: { enabled: false } }),
          rules.deleteRule({ home, author: t.owner, ruleId, expectedVersion: 1 }),
        ].map((call) =>
          call.then(
            () => 'done',
            (error) => `${error.code}: ${error.message}`,
          ),
        ),
      ),
    )
    expect(new Set(said)).toEqual(new Set(['not_found: There is no rule with this id.']))
  })
})

describe('a deleted rule', () => {
  test('is gone, and comes back under its id as a new version', async () => {
    await using t = await createManagementTest()
    const { rules, home, create, show, versions } = setUp(t)
    const rule = await create()
    const at = { home, author: t.owner, ruleId: rule.id }
    await rules.updateRule({ ...at, expectedVersion: 1, change: { enabled: false } })
    expect(await rules.deleteRule({ ...at, expectedVersion: 2 })).toEqual({ id: rule.id, deleted: true })
    expect(await show(rule.id)).toBeUndefined()
    expect((await versions(rule.id)).map((version) => version.version)).toEqual([2, 1])
    const restored = await rules.restoreRule({ ...at, version: 1 })
    expect(restored).toMatchObject({ id: rule.id, version: 3, enabled: true, body: office })
    const again = await rules.restoreRule({ ...at, version: 2 })
    expect(again).toMatchObject({ version: 4, enabled: false })
    await expect(rules.restoreRule({ ...at, version: 9 })).rejects.toMatchObject({ code: 'not_found' })
    expect(await t.events()).toEqual(['rule.created', 'rule.updated', 'rule.deleted', 'rule.restored', 'rule.restored'])
  })

  test('comes back without an end that is over, and not on a target that is gone', async () => {
    await using t = await createManagementTest()
    const { rules, home, create, known } = setUp(t)
    const agentId = newId()
    known.add(agentId)
    const end = new Date(t.clock.now() + 60_000).toISOString()
    const rule = await create({ target: { type: 'agent', id: agentId }, expires_at: end })
    const at = { home, author: t.owner, ruleId: rule.id }
    await rules.deleteRule({ ...at, expectedVersion: 1 })
    t.clock.advance(60_000)
    known.delete(agentId)
    await expect(rules.restoreRule({ ...at, version: 1 })).rejects.toMatchObject({ code: 'not_found' })
    known.add(agentId)
    expect(await rules.restoreRule({ ...at, version: 1 })).toMatchObject({ expires_at: null, version: 2 })
  })
})

describe('the rules of an organization', () => {
  test('bump every app of it, hold in each, and belong to none', async () => {
    await using t = await createManagementTest()
    const { rules, create } = setUp(t)
    const home: RuleHome = { kind: 'organization', organizationId: t.organizationId }
    const before = [(await t.fences()).epoch!, (await t.fences(t.otherApp.appId)).epoch!]
    const rule = await create({ home, target: undefined })
    expect(rule.target).toEqual({ type: 'organization', id: t.organizationId })
    const after = [(await t.fences()).epoch!, (await t.fences(t.otherApp.appId)).epoch!]
    expect(after).toEqual(before.map((version) => version + 1))
    for (const { appId } of [t.app, t.otherApp]) {
      const seen = await t.db.forApp(appId, (tx) => findRulesOf(tx, appId, rule.target))
      expect(seen.map((one) => one.id)).toEqual([rule.id])
    }
    const own = await t.db.forApp(t.app.appId, (tx) => listRules(tx, { kind: 'app', ...t.app }, {}, parsePage({})))
    expect(own).toEqual([])
    const at = { home, author: t.owner, ruleId: rule.id }
    const changed = await rules.updateRule({ ...at, expectedVersion: 1, change: { enabled: false } })
    expect(changed).toMatchObject({ version: 2, enabled: false })
    await expect(
      rules.updateRule({ ...at, expectedVersion: 2, change: { expires_at: '2999-01-01T00:00:00Z' } }),
    ).rejects.toMatchObject({ code: 'invalid_rule_body' })
    await rules.deleteRule({ ...at, expectedVersion: 2 })
    expect(await rules.restoreRule({ ...at, version: 1 })).toMatchObject({ version: 3, enabled: true })
    expect(await t.events(t.organizationId)).toEqual(['rule.created', 'rule.updated', 'rule.deleted', 'rule.restored'])
  })

  test('have no end', async () => {
    await using t = await createManagementTest()
    const { create } = setUp(t)
    const home: RuleHome = { kind: 'organization', organizationId: t.organizationId }
    const ending = create({ home, expires_at: '2999-01-01T00:00:00Z' })
    await expect(ending).rejects.toMatchObject({ code: 'invalid_rule_body', errors: [{ pointer: '/expires_at' }] })
  })
})

describe('the list of rules', () => {
  test('filters by everything an operator asks for, and pages', async () => {
    await using t = await createManagementTest()
    const { create, home, known } = setUp(t)
    const agentId = newId()
    known.add(agentId)
    const a = await create()
    const b = await create({ target: { type: 'agent', id: agentId }, mode: 'shadow', enabled: false })
    const c = await create({ type: 'ttl', body: { max_idle_seconds: 60 } })
    const list = async (filter: object) =>
      (await t.db.forApp(t.app.appId, (tx) => listRules(tx, home, filter, parsePage({})))).map((rule) => rule.id).sort()
    expect(await list({})).toEqual([a.id, b.id, c.id].sort())
    expect(await list({ target_type: 'agent', target_id: agentId })).toEqual([b.id])
    expect(await list({ type: 'ttl' })).toEqual([c.id])
    expect(await list({ mode: 'shadow' })).toEqual([b.id])
    expect(await list({ enabled: true })).toEqual([a.id, c.id].sort())
    expect(await list({ managed_by: 'agent_policy' })).toEqual([])
    expect(await list({ target_type: 'organization' })).toEqual([])
  })
})
