import { setTimeout as delay } from 'node:timers/promises'
import type { BenchApp } from './bench-app.ts'
import { copyRows } from './copy-rows.ts'
import type { MeasuredVault } from './measured-vault.ts'

/** Of the log of the app that is copied. */
const BATCHES = 4
/** Until what PostgreSQL has to do after so many writes is done. */
const SETTLES_MS = 5_000

/**
 * Adds apps that had traffic and have none now, by SQL: copies of an app with the start of its log, sequenced and signed. Batches and scopes
 * are written as calls write them and then moved on, so that the indexes of what waits hold what traffic leaves there.
 */
export async function addIdleApps(
  vault: Pick<MeasuredVault, 'asOwner'>,
  { appId, organizationId }: BenchApp,
  count: number,
): Promise<void> {
  await vault.asOwner(async (owner) => {
    await owner.query('begin')
    // No triggers: each would bump a version and take the app's lock.
    await owner.query('set local session_replication_role = replica')
    await owner.query(
      `create temp table idle_apps on commit drop as select n, gen_random_uuid() as id from generate_series(1, ${count}) n`,
    )
    await owner.query('create temp table idle_batches (id uuid, app_id uuid, source uuid) on commit drop')
    const { rowCount } = await owner.query(
      `insert into idle_batches select uuidv7(), i.id, b.batch_id
       from idle_apps i, audit_batches b where b.scope_id = $1 and b.sequence <= ${BATCHES}`,
      [appId],
    )
    if (rowCount !== count * BATCHES) throw new Error(`the app that is copied has fewer than ${BATCHES} batches`)
    const ofApp = { scope_id: 'i.id' }
    // An app in an organization of its own: one has at most 200.
    await copyRows(
      owner,
      'organizations',
      'cross join idle_apps i where t.organization_id = $1',
      { organization_id: 'i.id', name: "'Idle ' || i.n", slug: "'idle-' || i.n" },
      [organizationId],
    )
    await copyRows(
      owner,
      'apps',
      'cross join idle_apps i where t.app_id = $1',
      { app_id: 'i.id', organization_id: 'i.id' },
      [appId],
    )
    await copyRows(
      owner,
      'audit_scopes',
      'cross join idle_apps i where t.scope_id = $1',
      {
        ...ofApp,
        app_id: 'i.id',
        organization_id: 'i.id',
        sequence: '0',
        last_row: '0',
        signed_row: '0',
        unsigned_since: 'clock_timestamp()',
      },
      [appId],
    )
    await copyRows(
      owner,
      'audit_batches',
      'join idle_batches i on i.source = t.batch_id where t.scope_id = $1',
      { scope_id: 'i.app_id', batch_id: 'i.id', sequence: 'null', first_row: 'null', head: 'null' },
      [appId],
    )
    await copyRows(
      owner,
      'audit_events',
      'join idle_batches i on i.source = t.batch_id where t.scope_id = $1',
      { scope_id: 'i.app_id', batch_id: 'i.id' },
      [appId],
    )
    await copyRows(
      owner,
      'audit_checkpoints',
      'cross join idle_apps i where t.scope_id = $1 and t.checkpoint_no = 1',
      ofApp,
      [appId],
    )
    await owner.query(
      `update audit_batches b set sequence = s.sequence, first_row = s.first_row, head = s.head
       from idle_batches i join audit_batches s on s.batch_id = i.source and s.scope_id = $1
       where b.scope_id = i.app_id and b.batch_id = i.id`,
      [appId],
    )
    await owner.query(
      `update audit_scopes a set sequence = l.sequence, last_row = l.last_row, signed_row = l.last_row, head = l.head, unsigned_since = null
       from idle_apps i, (
         select sequence, first_row + count - 1 as last_row, head from audit_batches where scope_id = $1 and sequence = ${BATCHES}
       ) l where a.scope_id = i.id`,
      [appId],
    )
    await owner.query('commit')
    await owner.query('vacuum analyze')
  })
}

/** The share of one core that server and PostgreSQL use while nobody calls. */
export async function measureIdle(vault: Pick<MeasuredVault, 'usage'>, seconds: number): Promise<number> {
  await delay(SETTLES_MS)
  const [startedMs, before] = [performance.now(), await vault.usage()]
  await delay(seconds * 1_000)
  const after = await vault.usage()
  const micros = [...after.postgresCpuMicros].reduce(
    (sum, [pid, used]) => sum + used - (before.postgresCpuMicros.get(pid) ?? 0),
    after.serverCpuMicros - before.serverCpuMicros,
  )
  return micros / 1_000 / (performance.now() - startedMs)
}
