import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { decodeCursor, parsePage } from '../kernel/page.ts'
import { createEndings, systemAuthor } from '../management/index.ts'
import { createMembers } from '../members/index.ts'
import { createManagementTest, type ManagementTest } from '../testing/management.ts'
import { createApps } from './index.ts'

function setUp(test: ManagementTest) {
  const ended: unknown[] = []
  const forgotten: string[] = []
  const endings = createEndings([async (_tx, _record, what) => void ended.push(what)])
  const keyring = { forget: (appId?: string) => void forgotten.push(appId ?? 'all') }
  const apps = createApps({ ...test, endings, keyring })
  return { apps, members: createMembers(test), ended, forgotten }
}

const page = (limit = 50, cursor?: string) => parsePage({ limit, cursor })
const all = { includeArchived: false, includeStats: false, search: undefined, appIds: null }

describe('an app', () => {
  test('is made with every default, an audit row and a policy epoch', async () => {
    await using t = await createManagementTest()
    const { apps } = setUp(t)
    const app = await apps.createApp({
      author: t.owner,
      organizationId: t.organizationId,
      authorAppIds: null,
      name: 'Café & Bar',
    })
    expect(app).toMatchObject({ slug: 'cafe-bar', environment: 'production', status: 'live', version: 1 })
    expect(app.settings).toMatchObject({ max_active_keys: 50, approval_result_ttl_seconds: 86_400 })
    expect(app.policy_epoch).toBeGreaterThan(0)
    const rows = await t.auditRows(app.id)
    expect(rows.map((row) => row.keep.event)).toEqual(['app.created'])
    expect(rows[0]!.keep).toMatchObject({ caller_kind: 'pat', outcome: 'changed', stream: 'portal', app_id: app.id })
    expect(rows[0]!.detail).toMatchObject({ resource_type: 'app', resource_id: app.id, initiator: 'cli' })
  })

  test('cannot take the name of another one, whatever the case, and gets a slug of its own', async () => {
    await using t = await createManagementTest()
    const { apps } = setUp(t)
    const create = (name: string) =>
      apps.createApp({ author: t.owner, organizationId: t.organizationId, authorAppIds: null, name })
    await expect(create('SHOP')).rejects.toMatchObject({ code: 'app_name_exists' })
    expect((await create('Shop!')).slug).toBe('shop-2')
  })

  test('of which two are made at once by one name exists once', async () => {
    await using t = await createManagementTest()
    const { apps } = setUp(t)
    const results = await Promise.allSettled(
      ['Twin', 'Twin'].map((name) =>
        apps.createApp({ author: t.owner, organizationId: t.organizationId, authorAppIds: null, name }),
      ),
    )
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(results.find((result) => result.status === 'rejected')?.reason).toMatchObject({ code: 'app_name_exists' })
  })

  test('names the settings that have no effect in this release, and only those that were asked for', async () => {
    await using t = await createManagementTest()
    const { apps } = setUp(t)
    const idle = {
      default_approval_channels: ['email' as const],
      connect_session_ttl_seconds: 60,
      connect_origins: ['https://shop.test'],
      connect_ip_lock: true,
      connect_require_sign_in: true,
      wallet_listed: true,
      wallet_hidden_sections: ['grants'],
    }
    const input = { author: t.owner, organizationId: t.organizationId, authorAppIds: null }
    const app = await apps.createApp({ ...input, name: 'Idle', settings: { ...idle, require_reason: true } })
    const named = Object.keys(idle).map((name) => ({ pointer: `/settings/${name}`, code: 'not_in_this_release' }))
    expect(app.warnings).toMatchObject(named)
    const changeTo = (expectedVersion: number, settings: object) =>
      apps.updateApp({
        app: { ...t.app, appId: app.id },
        author: t.owner,
        expectedVersion,
        change: { settings },
      })
    expect((await changeTo(1, idle)).warnings).toMatchObject(named)
    expect((await changeTo(1, { connect_ip_lock: false, connect_origins: [], retain_body_days: 7 })).warnings).toEqual(
      [],
    )
  })

  test('changes only for who has seen its newest version, and bumps the epoch', async () => {
    await using t = await createManagementTest()
    const { apps } = setUp(t)
    const before = (await t.fences()).epoch!
    const change = { settings: { require_reason: true }, website_url: 'https://shop.test/x' }
    const changed = await apps.updateApp({ app: t.app, author: t.owner, expectedVersion: 1, change })
    expect(changed).toMatchObject({ version: 2, website_url: 'https://shop.test/x' })
    expect(changed.settings).toMatchObject({ require_reason: true, retain_body_days: 30 })
    expect((await t.fences()).epoch).toBe(before + 1)
    const late = apps.updateApp({ app: t.app, author: t.owner, expectedVersion: 1, change })
    await expect(late).rejects.toMatchObject({ code: 'version_conflict', fields: { current_version: 2 } })
    const again = await apps.updateApp({ app: t.app, author: t.owner, expectedVersion: 2, change })
    expect(again.version).toBe(2)
    expect(await t.events()).toEqual(['app.updated'])
  })

  test.each([
    [{ website_url: 'https://user:pw@shop.test' }, 'validation_failed'],
    [{ website_url: 'ftp://shop.test' }, 'validation_failed'],
    [{ settings: { connect_origins: ['https://shop.test/path'] } }, 'validation_failed'],
    [{ settings: { allowed_private_hosts: ['127.0.0.1'] } }, 'validation_failed'],
    [{ settings: { allowed_private_hosts: ['10.0.0.0/8:80'] } }, 'validation_failed'],
    [{ name: 'Desk' }, 'app_name_exists'],
  ])('refuses %j', async (change, code) => {
    await using t = await createManagementTest()
    const { apps } = setUp(t)
    await expect(apps.updateApp({ app: t.app, author: t.owner, expectedVersion: 1, change })).rejects.toMatchObject({
      code,
    })
    expect(await t.events()).toEqual([])
  })

  test('opens private hosts for owners only', async () => {
    await using t = await createManagementTest()
    const { apps } = setUp(t)
    const change = { settings: { allowed_private_hosts: ['LOCALHOST:9000', '127.0.0.1:9000'] } }
    const admin = { ...t.owner, role: 'admin' } as typeof t.owner
    await expect(apps.updateApp({ app: t.app, author: admin, expectedVersion: 1, change })).rejects.toMatchObject({
      code: 'role_insufficient',
    })
    const opened = await apps.updateApp({ app: t.app, author: t.owner, expectedVersion: 1, change })
    expect(opened.settings.allowed_private_hosts).toEqual(['localhost:9000', '127.0.0.1:9000'])
    // The same list again is no change, so an admin may send the settings back as they are.
    const settings = { ...change.settings, require_reason: true }
    const again = await apps.updateApp({ app: t.app, author: admin, expectedVersion: 2, change: { settings } })
    expect(again).toMatchObject({ version: 3, settings: { require_reason: true } })
  })

  test('that is archived ends what waits, once, and comes back', async () => {
    await using t = await createManagementTest()
    const { apps, ended } = setUp(t)
    const input = { app: t.app, author: t.owner }
    await expect(apps.unarchiveApp(input)).rejects.toMatchObject({ code: 'app_not_archived' })
    const archived = await apps.archiveApp(input)
    expect(archived.status).toBe('archived')
    expect((await apps.archiveApp(input)).version).toBe(archived.version)
    expect(ended).toEqual([{ type: 'app', id: t.app.appId, reason: 'archived' }])
    expect(await apps.unarchiveApp(input)).toMatchObject({ status: 'live', archived_at: null })
    expect(await t.events()).toEqual(['app.archived', 'app.unarchived'])
  })

  test('is deleted only by its name, with its data keys, and is then unknown', async () => {
    await using t = await createManagementTest()
    const { apps, ended, forgotten } = setUp(t)
    await t.asOwner('insert into data_keys values ($1, $2, $3)', [t.app.appId, newId(), Buffer.from('x')])
    const input = { app: t.app, author: t.owner, expectedVersion: 1 }
    await expect(apps.deleteApp({ ...input, confirm: 'shop' })).rejects.toMatchObject({
      code: 'confirm_mismatch',
    })
    expect(await apps.deleteApp({ ...input, confirm: 'Shop' })).toEqual({ id: t.app.appId, deleted: true })
    expect(await t.inApp('select 1 from data_keys')).toEqual([])
    expect(ended).toEqual([{ type: 'app', id: t.app.appId, reason: 'deleted' }])
    expect(forgotten).toEqual([t.app.appId])
    await expect(apps.showApp(t.app, { includeStats: false })).rejects.toMatchObject({ code: 'not_found' })
    const rows = await t.auditRows()
    expect(rows.at(-1)!.detail.changes).toEqual([{ field: 'name', from: '"Shop"', to: null }])
    // What is kept of it is still to be forgotten one day.
    const scopes = await apps.readScopes()
    expect(scopes.find(({ organizationId }) => organizationId === t.organizationId)?.appIds).toContain(t.app.appId)
  })

  test('of another organization is not listed', async () => {
    await using t = await createManagementTest()
    const { apps, members } = setUp(t)
    const foreign = await members.createOrganization({
      author: systemAuthor,
      name: 'Rival',
      owner: { email: 'rob@rival.test' },
    })
    const rivalApp = await apps.createApp({
      author: systemAuthor,
      organizationId: foreign.organization.id,
      authorAppIds: null,
      name: 'Secret',
    })
    const names = (await apps.listApps(t.organizationId, all, page())).items.map((app) => app.name)
    expect(names.sort()).toEqual(['Desk', 'Shop'])
    expect(rivalApp.organization_id).toBe(foreign.organization.id)
  })
})

describe('the list of apps', () => {
  test('pages newest first without a gap or a repeat, whatever is made meanwhile', async () => {
    await using t = await createManagementTest()
    const { apps } = setUp(t)
    const make = (name: string) =>
      apps.createApp({ author: t.owner, organizationId: t.organizationId, authorAppIds: null, name })
    for (const name of ['A', 'B', 'C']) {
      t.clock.advance(5_000)
      await make(name)
    }
    const first = await apps.listApps(t.organizationId, all, page(2))
    expect(first.items.map((app) => app.name)).toEqual(['C', 'B'])
    expect(decodeCursor(first.next_cursor!).id).toBe(first.items[1]!.id)
    t.clock.advance(5_000)
    await make('D')
    const rest = await apps.listApps(t.organizationId, all, page(50, first.next_cursor!))
    expect(rest.items.map((app) => app.name).sort()).toEqual(['A', 'Desk', 'Shop'])
    expect(rest).toMatchObject({ has_more: false, next_cursor: null })
  })

  test('shows a limited member their apps, and archived ones on demand', async () => {
    await using t = await createManagementTest()
    const { apps } = setUp(t)
    const mine = { ...all, appIds: [t.app.appId] }
    expect((await apps.listApps(t.organizationId, mine, page())).items.map((app) => app.name)).toEqual(['Shop'])
    await apps.archiveApp({ app: t.app, author: t.owner })
    expect((await apps.listApps(t.organizationId, mine, page())).items).toEqual([])
    const archived = await apps.listApps(
      t.organizationId,
      { ...mine, includeArchived: true, includeStats: true },
      page(),
    )
    expect(archived.items[0]).toMatchObject({
      status: 'archived',
      stats: { active_keys: 0, active_agents: 0, managed_secrets: 0, live_grants: 0 },
    })
  })
})
