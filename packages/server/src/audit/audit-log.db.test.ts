import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { silentLog as log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts'
import { ConditionRefused, createAuditLog } from './audit-log.ts'
import { appScope, type RowDraft } from './audit-row.ts'
import { batchDigest, decodeRows, rowDigest } from './log-hashes.ts'

const row: RowDraft = { event: 'proxy.requested', outcome: 'allowed' }

async function setUp(test: TestDatabase) {
  const [organizationId, appId] = [newId(), newId()]
  await test.asOwner('insert into organizations (organization_id, name, slug) values ($1, $2, $3)', [
    organizationId,
    'Acme',
    'acme',
  ])
  await test.asOwner('insert into apps (app_id, organization_id, name, slug) values ($1, $2, $3, $4)', [
    appId,
    organizationId,
    'A',
    'a',
  ])
  const audit = createAuditLog({ db: test.db, clock: systemClock, log, retryWithinMs: 5_000 })
  return { appId, scope: appScope(appId, organizationId), audit }
}

type BatchRow = { batch_id: string; count: number; digest: Buffer; rows: Buffer }
const batchesOf = (test: TestDatabase, appId: string) =>
  test.asOwner<BatchRow>(
    'select batch_id, count, digest, rows from audit_batches where scope_id = $1 order by batch_id',
    [appId],
  )

/** The ids of all rows, each batch with the digest that its rows prove. */
function eventIdsIn(batches: readonly BatchRow[]): string[] {
  return batches.flatMap(({ count, digest, rows }) => {
    const stored = decodeRows(rows).map((row) => row!)
    expect(stored).toHaveLength(count)
    expect(batchDigest(stored.map((row) => rowDigest(row.keep, row.detailHash)))).toEqual(digest)
    return stored.map((row) => JSON.parse(row.keep).event_id as string)
  })
}
const rowsOf = async (test: TestDatabase, appId: string) => eventIdsIn(await batchesOf(test, appId)).length

describe('append', () => {
  test('members that wait together share commits, and each batch has the digest of its rows', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const results = await Promise.all(Array.from({ length: 200 }, () => audit.append(scope, { rows: [row] })))
    expect(new Set(results.map((result) => result.kind))).toEqual(new Set(['stored']))
    await audit.close()
    const batches = await batchesOf(db, appId)
    expect(batches.length).toBeLessThan(20)
    expect(new Set(eventIdsIn(batches)).size).toBe(200)
  })

  test('a member on a stale version leaves the batch, the rest is stored', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const version = (
      await db.asOwner<{ v: number }>("select version::int v from fences where app_id = $1 and subject = 'epoch'", [
        appId,
      ])
    )[0]!.v
    const fresh = { rows: [row], fences: [{ subject: 'epoch', version }] }
    const stale = { rows: [row], fences: [{ subject: 'epoch', version: version - 1 }] }
    const unknown = { rows: [row], fences: [{ subject: 'grant:none', version: 1 }] }
    const results = await Promise.all(
      [fresh, stale, fresh, unknown, { rows: [row] }].map((member) => audit.append(scope, member)),
    )
    expect(results.map((result) => result.kind)).toEqual(['stored', 'stale', 'stored', 'stale', 'stored'])
    await audit.close()
    expect(await rowsOf(db, appId)).toBe(3)
  })

  test('a nonce is accepted once, in one batch, across batches and across processes', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const other = createAuditLog({ db: db.db, clock: systemClock, log })
    const nonce = { ts: Math.floor(Date.now() / 1000), digest: Buffer.alloc(16, 7) }
    const results = await Promise.all(
      [audit, audit, other, other].map((writer) => writer.append(scope, { rows: [row], nonce })),
    )
    expect(results.map((result) => result.kind).sort()).toEqual([
      'nonce_replayed',
      'nonce_replayed',
      'nonce_replayed',
      'stored',
    ])
    await Promise.all([audit.close(), other.close()])
    expect(await rowsOf(db, appId)).toBe(1)
  })

  test('a budget is never exceeded by calls that race over two processes', async () => {
    await using db = await createTestDatabase()
    const { scope, audit } = await setUp(db)
    const other = createAuditLog({ db: db.db, clock: systemClock, log })
    const charge = { counterId: 'rule', slot: 1000, width: 61, add: 1, max: 60 }
    const results = await Promise.all(
      Array.from({ length: 150 }, (_, i) => (i % 2 ? audit : other).append(scope, { rows: [row], charges: [charge] })),
    )
    expect(results.filter((result) => result.kind === 'stored')).toHaveLength(60)
    expect(results.filter((result) => result.kind === 'budget_spent')).toHaveLength(90)
    const within = await audit.append(scope, { rows: [row], charges: [{ ...charge, slot: 1060 }] })
    expect(within.kind).toBe('budget_spent')
    const after = await audit.append(scope, { rows: [row], charges: [{ ...charge, slot: 1061 }] })
    expect(after.kind).toBe('stored')
    await Promise.all([audit.close(), other.close()])
  })

  test('a version that nobody wrote yet is 0: a call of a principal without a row is not stale', async () => {
    await using db = await createTestDatabase()
    const { scope, audit } = await setUp(db)
    const user = { subject: 'principal:user:ann', version: 0 }
    expect((await audit.append(scope, { rows: [row], fences: [user] })).kind).toBe('stored')
    expect((await audit.append(scope, { rows: [row], fences: [{ ...user, version: 1 }] })).kind).toBe('stale')
    await audit.close()
  })

  test('versions that were found to hold are believed until something moves, and no longer', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const epoch = async () =>
      (
        await db.asOwner<{ v: number }>("select version::int v from fences where app_id = $1 and subject = 'epoch'", [
          appId,
        ])
      )[0]!.v
    const append = (version: number) => audit.append(scope, { rows: [row], fences: [{ subject: 'epoch', version }] })
    const first = await epoch()
    for (let i = 0; i < 3; i++) expect((await append(first)).kind).toBe('stored')
    await db.asOwner('update apps set description = $2 where app_id = $1', [appId, 'moved'])
    expect((await append(first)).kind).toBe('stale')
    expect((await append(await epoch())).kind).toBe('stored')
    await audit.close()
  })

  test('a nonce is accepted once on both sides of a half-hour, in one batch', async () => {
    await using db = await createTestDatabase()
    const { scope, audit } = await setUp(db)
    const turn = Math.ceil(Date.now() / 1_800_000) * 1_800
    const used = [turn - 1, turn, turn + 1].map((ts) => ({ ts, digest: Buffer.alloc(16, 3) }))
    const use = () => Promise.all(used.map((nonce) => audit.append(scope, { rows: [row], nonce })))
    expect((await use()).map((result) => result.kind)).toEqual(['stored', 'stored', 'stored'])
    const fresh = { ts: turn, digest: Buffer.alloc(16, 4) }
    const again = await Promise.all([use(), audit.append(scope, { rows: [row], nonce: fresh })])
    expect(again[0].map((result) => result.kind)).toEqual(['nonce_replayed', 'nonce_replayed', 'nonce_replayed'])
    expect(again[1].kind).toBe('stored')
    await audit.close()
  })

  test('nonces are forgotten in the middle of the half-hour after theirs, never while they count', async () => {
    await using db = await createTestDatabase()
    const { scope, audit } = await setUp(db)
    const start = Math.floor(Date.now() / 3_600_000) * 3_600
    const nonce = { ts: start + 1_799, digest: Buffer.alloc(16, 5) }
    await audit.append(scope, { rows: [row], nonce })
    const stored = async () =>
      (await db.asOwner('select ts from nonces_even union all select ts from nonces_odd')).length
    for (const at of [900, 1_799, 1_800, 2_099, 2_399, 3_001]) {
      await db.asOwner('select forget_nonces($1)', [start + at])
      expect(await stored()).toBe(1)
    }
    await db.asOwner('select forget_nonces($1)', [start + 2_700])
    expect(await stored()).toBe(0)
    await audit.close()
  })

  test('backends killed under load: every answer is true and no row is stored twice', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const stored: string[] = []
    let stop = false
    const writers = Array.from({ length: 16 }, async () => {
      while (!stop) {
        const eventId = newId()
        await audit.append(scope, { rows: [{ ...row, eventId }] }).then(
          (result) => result.kind === 'stored' && stored.push(eventId),
          () => undefined,
        )
      }
    })
    for (let i = 0; i < 25; i++) {
      await pause(20)
      await db.asOwner(
        'select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()',
      )
    }
    stop = true
    await Promise.all(writers)
    await audit.close()
    const ids = eventIdsIn(await batchesOf(db, appId))
    const found = new Set(ids)
    expect(found.size).toBe(ids.length)
    expect(stored.length).toBeGreaterThan(50)
    expect(stored.filter((id) => !found.has(id))).toEqual([])
  })
})

describe('change', () => {
  test('a change and its rows are one transaction', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const updated: RowDraft = { event: 'app.updated', outcome: 'changed' }
    await audit.change(scope, async (tx, record) => {
      await tx.updateTable('apps').set({ description: 'kept' }).where('app_id', '=', appId).execute()
      record(updated)
    })
    await expect(
      audit.change(scope, async (tx, record) => {
        await tx.updateTable('apps').set({ description: 'lost' }).where('app_id', '=', appId).execute()
        record(updated)
        throw new Error('no')
      }),
    ).rejects.toThrow('no')
    await audit.close()
    expect(await db.asOwner('select description from apps')).toEqual([{ description: 'kept' }])
    expect(await rowsOf(db, appId)).toBe(1)
  })

  test('changes beside appends lose no row', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    await Promise.all(
      Array.from({ length: 60 }, (_, i) =>
        i % 3
          ? audit.append(scope, { rows: [row] })
          : audit.change(scope, async (tx, record) => {
              await tx
                .updateTable('apps')
                .set({ description: String(i) })
                .where('app_id', '=', appId)
                .execute()
              record({ event: 'app.updated', outcome: 'changed' })
            }),
      ),
    )
    await audit.close()
    expect(await rowsOf(db, appId)).toBe(60)
  })

  test('a conditional change is refused on a stale version, a used nonce, a spent budget, and then writes nothing', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const hold = (conditions: Parameters<typeof audit.change>[2]) =>
      audit.change(
        scope,
        async (_tx, record) => record({ event: 'approval.requested', outcome: 'pending' }),
        conditions,
      )
    const nonce = { ts: Math.floor(Date.now() / 1000), digest: Buffer.alloc(16, 1) }
    await hold({ nonce })
    await expect(hold({ nonce })).rejects.toMatchObject({ result: { kind: 'nonce_replayed' } })
    await expect(hold({ fences: [{ subject: 'epoch', version: 999 }] })).rejects.toBeInstanceOf(ConditionRefused)
    const charges = [{ counterId: 'c', slot: 1, width: 1, add: 1, max: 1 }]
    await hold({ charges })
    await expect(hold({ charges })).rejects.toMatchObject({ result: { kind: 'budget_spent', counterIds: ['c'] } })
    await audit.close()
    expect(await rowsOf(db, appId)).toBe(2)
  })
})

test('a change whose commit is lost on the way back was made once, and one that was never made is made', async () => {
  await using db = await createTestDatabase()
  const { appId, scope } = await setUp(db)
  for (const happens of [true, false]) {
    let lost = false
    const audit = createAuditLog({
      db: {
        ...db.db,
        forApp: async (id, fn, options) => {
          if (lost) return db.db.forApp(id, fn, options)
          lost = true
          const cause = Object.assign(new Error('terminating connection'), { code: '57P01', severity: 'FATAL' })
          const unknown = new VaultError('service_unavailable', { log: { commit_unknown: true }, cause })
          return db.db
            .forApp(id, async (tx) => {
              const value = await fn(tx)
              if (!happens) throw unknown
              return value
            })
            .then(() => Promise.reject(unknown))
        },
      },
      clock: systemClock,
      log,
    })
    const name = `happens ${happens}`
    await audit.change(scope, async (tx, record) => {
      await tx.updateTable('apps').set({ description: name }).where('app_id', '=', appId).execute()
      record({ event: 'app.updated', outcome: 'changed', reason: name })
    })
    await audit.close()
    expect(await db.asOwner('select description from apps')).toEqual([{ description: name }])
  }
  expect(await rowsOf(db, appId)).toBe(2)
})
