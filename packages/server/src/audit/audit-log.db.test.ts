import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { systemClock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { silentLog as log } from '../kernel/log.ts'
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts'
import { closeForeignLane } from './append-store.ts'
import { ConditionRefused, createAuditLog } from './audit-log.ts'
import { appScope, type RowDraft } from './audit-row.ts'
import { decodeRows, genesisHash, keepHash, rowHash } from './chain.ts'
import { createProcessRegistry } from './process-store.ts'

const row: RowDraft = { event: 'proxy.requested', stream: 'runtime', outcome: 'allowed' }

async function setUp(test: TestDatabase) {
  const [organizationId, appId, processId] = [newId(), newId(), newId()]
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
  await test.asOwner('select maintain_nonce_partitions(extract(epoch from now())::bigint)')
  const audit = createAuditLog({ db: test.db, clock: systemClock, log, processId, settleWithinMs: 5_000 })
  return { appId, scope: appScope(appId, organizationId), audit, processId }
}

type BlockRow = { chain_id: string; first_seq: number; count: number; head_hash: Buffer; rows: Buffer }
const blocksOf = (test: TestDatabase, appId: string) =>
  test.asOwner<BlockRow>(
    'select chain_id, first_seq::int, count, head_hash, rows from audit_blocks where app_id = $1 order by chain_id, first_seq',
    [appId],
  )

/** Recomputes every lane from its blocks; throws at the first break. Returns rows per lane. */
function verifyLanes(blocks: readonly BlockRow[]): Map<string, number> {
  const lanes = new Map<string, { hash: Buffer; next: number }>()
  for (const block of blocks) {
    const lane = lanes.get(block.chain_id) ?? { hash: genesisHash(block.chain_id), next: 1 }
    expect(block.first_seq).toBe(lane.next)
    for (const stored of decodeRows(block.rows)) {
      expect(JSON.parse(stored.keep).seq).toBe(lane.next)
      lane.hash = rowHash(lane.hash, keepHash(stored.keep), stored.detailHash)
      lane.next += 1
    }
    expect(block.head_hash.equals(lane.hash)).toBe(true)
    lanes.set(block.chain_id, lane)
  }
  return new Map([...lanes].map(([chain, lane]) => [chain, lane.next - 1]))
}

describe('append', () => {
  test('members that wait together share commits, and the lane verifies', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const results = await Promise.all(Array.from({ length: 200 }, () => audit.append(scope, { rows: [row] })))
    expect(new Set(results.map((result) => result.kind))).toEqual(new Set(['stored']))
    await audit.close()
    const blocks = await blocksOf(db, appId)
    expect(blocks.length).toBeLessThan(20)
    expect([...verifyLanes(blocks).values()]).toEqual([200])
    expect(blocks.at(-1)!.count).toBe(0)
  })

  test('a member on a stale version leaves the batch, the rest is stored without a gap', async () => {
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
    expect([...verifyLanes(await blocksOf(db, appId)).values()]).toEqual([3])
  })

  test('a nonce is accepted once, in one batch, across batches and across processes', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const other = createAuditLog({ db: db.db, clock: systemClock, log, processId: newId() })
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
    expect([...verifyLanes(await blocksOf(db, appId)).values()].filter((count) => count > 0)).toEqual([1])
  })

  test('a budget is never exceeded by calls that race over two processes', async () => {
    await using db = await createTestDatabase()
    const { scope, audit } = await setUp(db)
    const other = createAuditLog({ db: db.db, clock: systemClock, log, processId: newId() })
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

  test('a lane closed by another process is left: its members go to a new lane, re-checked', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const first = await audit.append(scope, { rows: [row] })
    if (first.kind !== 'stored') throw new Error(first.kind)
    const client = await db.db.connectClient()
    await closeForeignLane(client, appId, first.events[0]!.chainId)
    await client.end()
    const second = await audit.append(scope, { rows: [row] })
    if (second.kind !== 'stored') throw new Error(second.kind)
    expect(second.events[0]!.chainId).not.toBe(first.events[0]!.chainId)
    await audit.close()
    expect([...verifyLanes(await blocksOf(db, appId)).values()].sort()).toEqual([1, 1])
  })

  test('backends killed under load: every answer is true and no lane has a gap', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const stored: string[] = []
    let refused = 0
    let stop = false
    const writers = Array.from({ length: 16 }, async () => {
      while (!stop) {
        const eventId = newId()
        await audit.append(scope, { rows: [{ ...row, eventId }] }).then(
          (result) => result.kind === 'stored' && stored.push(eventId),
          () => (refused += 1),
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
    const blocks = await blocksOf(db, appId)
    verifyLanes(blocks)
    const found = new Set(
      blocks.flatMap((block) => decodeRows(block.rows).map((stored) => JSON.parse(stored.keep).event_id as string)),
    )
    expect(stored.length).toBeGreaterThan(50)
    expect(stored.filter((id) => !found.has(id))).toEqual([])
    const tails = await db.asOwner<{ open: number }>(
      'select count(*)::int open from audit_lanes where closed_at is null',
    )
    expect(tails[0]!.open).toBe(0)
    expect(refused).toBeGreaterThanOrEqual(0)
  })
})

describe('change', () => {
  test('a change and its rows are one transaction', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const updated: RowDraft = { event: 'app.updated', stream: 'portal', outcome: 'changed' }
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
    expect([...verifyLanes(await blocksOf(db, appId)).values()]).toEqual([1])
  })

  test('changes beside appends leave gapless lanes', async () => {
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
              record({ event: 'app.updated', stream: 'portal', outcome: 'changed' })
            }),
      ),
    )
    await audit.close()
    expect([...verifyLanes(await blocksOf(db, appId)).values()].sort((a, b) => a - b)).toEqual([20, 40])
  })

  test('a conditional change is refused on a stale version, a used nonce, a spent budget, and then writes nothing', async () => {
    await using db = await createTestDatabase()
    const { appId, scope, audit } = await setUp(db)
    const hold = (conditions: Parameters<typeof audit.change>[2]) =>
      audit.change(
        scope,
        async (_tx, record) => record({ event: 'approval.requested', stream: 'approvals', outcome: 'pending' }),
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
    expect([...verifyLanes(await blocksOf(db, appId)).values()]).toEqual([2])
  })
})

test('lanes that nobody uses are closed, and what comes after opens new ones', async () => {
  await using db = await createTestDatabase()
  const { appId, scope, audit } = await setUp(db)
  const use = async () => {
    await audit.append(scope, { rows: [row] })
    await audit.change(scope, async (_tx, record) =>
      record({ event: 'app.updated', stream: 'portal', outcome: 'changed' }),
    )
  }
  await use()
  await audit.closeIdleLanes()
  const openLanes = () => db.asOwner('select 1 from audit_lanes where closed_at is null')
  expect(await openLanes()).toHaveLength(2)
  await audit.closeIdleLanes(0)
  expect(await openLanes()).toHaveLength(0)
  await use()
  expect(await openLanes()).toHaveLength(2)
  await audit.close()
  expect([...verifyLanes(await blocksOf(db, appId)).values()]).toEqual([1, 1, 1, 1])
})

test('the lanes of a process without heartbeat are closed, and it can write no more on them', async () => {
  await using db = await createTestDatabase()
  const { appId, scope, audit, processId } = await setUp(db)
  const sleeper = createProcessRegistry({ db: db.db, log, processId })
  const sweeper = createProcessRegistry({ db: db.db, log, processId: newId() })
  await sleeper.register()
  await sweeper.register()
  const before = await audit.append(scope, { rows: [row] })
  expect(await sweeper.fenceDeadProcesses()).toBe(0)
  await db.asOwner("update processes set heartbeat_at = now() - interval '61 seconds' where process_id = $1", [
    processId,
  ])
  expect(await sweeper.fenceDeadProcesses()).toBe(1)
  const after = await audit.append(scope, { rows: [row] })
  if (before.kind !== 'stored' || after.kind !== 'stored') throw new Error('not stored')
  expect(after.events[0]!.chainId).not.toBe(before.events[0]!.chainId)
  await audit.close()
  expect([...verifyLanes(await blocksOf(db, appId)).values()].sort()).toEqual([1, 1])
})
