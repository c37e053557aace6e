import { sql } from 'kysely'
import { expect, it } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { createManagementTest } from '../testing/management.ts'
import { signedPresented } from '../testing/signed-presented.ts'
import { dropIdleCounters } from './counter-store.ts'
import { CREATED_BY, SLUGS, seedApp, startProcess } from './use-fixture.ts'

/** An app whose own key calls its first secret under some rules, each `[type, body, mode]`. */
async function arrange(...rules: [string, object, 'enforce' | 'shadow'][]) {
  await using opened = new AsyncDisposableStack()
  const test = opened.use(await createManagementTest())
  const world = await seedApp(test)
  for (const [type, body, mode] of rules) {
    await test.db.forApp(world.appId, (tx) =>
      sql`insert into rules (app_id, rule_id, target_type, target_id, type, name, body, mode, created_by, updated_by)
        values (${world.appId}, ${newId()}, 'app', ${world.appId}, ${type}, 'a rule', ${JSON.stringify(body)}, ${mode},
          ${CREATED_BY}, ${CREATED_BY})`.execute(tx),
    )
  }
  const process = startProcess(test)
  opened.defer(process.close)
  const body = { method: 'POST', url: 'https://api.example/a', provider_id: SLUGS[0] }
  const owned = opened.move()
  return {
    use: () =>
      process.use(
        signedPresented({ apiKey: world.keys[0]?.plain ?? '', path: '/sdk/proxy', body, clock: test.clock }),
        body,
      ),
    rows: () => test.auditRows(world.appId),
    idle: (days: number) =>
      test.asOwner('update counters set charged_at = charged_at - make_interval(days => $1)', [days]),
    dropIdleCounters: () => test.db.forApp(world.appId, (tx) => dropIdleCounters(tx, world.appId)),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

const ONCE = { limit: 1, window_seconds: 60 }
const HELD = { effect: 'require_approval', approval: {}, when: {} }

it('refuses what a spent budget no longer covers', async () => {
  await using app = await arrange(['rate_limit', ONCE, 'enforce'])
  expect([await app.use(), await app.use()]).toEqual(['allow', 'quota_exceeded'])
})

it('lets a call through whose budget is spent in a shadow rule only, and says what the rule would have done', async () => {
  await using app = await arrange(
    ['rate_limit', ONCE, 'shadow'],
    ['rate_limit', { limit: 3, window_seconds: 60 }, 'enforce'],
  )
  expect([await app.use(), await app.use(), await app.use(), await app.use()]).toEqual([
    'allow',
    'allow',
    'allow',
    'quota_exceeded',
  ])
  const decisions = (await app.rows()).flatMap(({ keep, detail }) =>
    keep.event === 'proxy.requested' ? [detail.decision] : [],
  )
  expect(decisions).toMatchObject([{ shadow_effect: 'allow' }, { shadow_effect: 'deny' }, { shadow_effect: 'deny' }])
})

it('refuses a call that would be held when its budget is spent: nobody is asked to approve what may not be sent', async () => {
  await using app = await arrange(['rate_limit', ONCE, 'enforce'], ['require_approval', HELD, 'enforce'])
  expect([await app.use(), await app.use()]).toEqual(['hold', 'quota_exceeded'])
})

it('holds a call whose budget is spent in a shadow rule only', async () => {
  await using app = await arrange(['rate_limit', ONCE, 'shadow'], ['require_approval', HELD, 'enforce'])
  expect([await app.use(), await app.use()]).toEqual(['hold', 'hold'])
})

it('counts anew after a pause longer than any window, and forgets its counters then', async () => {
  await using app = await arrange(['rate_limit', { limit: 1, window_seconds: 2_678_400 }, 'enforce'])
  expect([await app.use(), await app.use()]).toEqual(['allow', 'quota_exceeded'])
  await app.idle(31)
  expect(await app.dropIdleCounters()).toBe(0)
  expect(await app.use()).toBe('quota_exceeded')
  await app.idle(2)
  expect(await app.dropIdleCounters()).toBeGreaterThan(0)
  expect([await app.use(), await app.use()]).toEqual(['allow', 'quota_exceeded'])
  expect(await app.dropIdleCounters()).toBe(0)
})
