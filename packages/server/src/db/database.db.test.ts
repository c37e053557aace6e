import { sql } from 'kysely'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Secret } from '../crypto/secret.ts'
import { newId } from '../kernel/ids.ts'
import { silentLog } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { createTestDatabase } from '../testing/test-database.ts'
import { serverConnectionFromUrl } from './connection.ts'
import { createDatabase, type Tx, violatedConstraint } from './database.ts'

const settings = (tx: Tx) =>
  sql<{ app: string; organization: string; isolation: string; read_only: string; role: string }>`
    select coalesce(current_setting('vault.app', true), '') as app,
      coalesce(current_setting('vault.organization', true), '') as organization,
      current_setting('transaction_isolation') as isolation,
      current_setting('transaction_read_only') as read_only,
      current_user::text as role`
    .execute(tx)
    .then(({ rows }) => rows[0])

test('each kind of transaction says what it is for, and forgets it', async () => {
  await using test = await createTestDatabase({ poolSize: 1 })
  const app = newId()
  const organization = newId()
  const server = { role: 'alter_vault_server', isolation: 'read committed', read_only: 'off' }
  expect(await test.db.forApp(app, settings)).toEqual({ ...server, app, organization: '' })
  expect(await test.db.forOrganization(organization, settings)).toEqual({ ...server, app: '', organization })
  expect(await test.db.readForApp(app, settings)).toEqual({
    ...server,
    app,
    organization: '',
    isolation: 'repeatable read',
    read_only: 'on',
  })
  expect(await test.db.unscoped(settings)).toEqual({ ...server, app: '', organization: '' })
})

test('a transaction that throws leaves nothing', async () => {
  await using test = await createTestDatabase()
  await expect(
    test.db.unscoped(async (tx) => {
      await sql`insert into installation (installation_id) values (${newId()})`.execute(tx)
      throw new Error('changed my mind')
    }),
  ).rejects.toThrow('changed my mind')
  expect(await test.asOwner('select * from installation')).toEqual([])
})

test('a snapshot does not see what is committed while it is open', async () => {
  await using test = await createTestDatabase()
  const count = (tx: Tx) =>
    sql<{ n: number }>`select count(*) as n from installation`.execute(tx).then(({ rows }) => rows[0]?.n)
  await test.db.readForApp(newId(), async (tx) => {
    expect(await count(tx)).toBe(0)
    await test.asOwner(`insert into installation (installation_id) values ('${newId()}')`)
    expect(await count(tx)).toBe(0)
  })
  expect(await test.db.unscoped(count)).toBe(1)
})

test('values come back as the row types promise', async () => {
  await using test = await createTestDatabase()
  const { rows } = await test.db.unscoped((tx) =>
    sql`select 9007199254740991::bigint as big, '{1,NULL,3}'::bigint[] as bigs, '2026-02-03'::date as day,
      '2026-02-03T04:05:06.789+02'::timestamptz as instant, '\\x00ff'::bytea as bytes, '{"a":[1]}'::jsonb as json`.execute(
      tx,
    ),
  )
  expect(rows).toEqual([
    {
      big: 9007199254740991,
      bigs: [1, null, 3],
      day: '2026-02-03',
      instant: new Date('2026-02-03T02:05:06.789Z'),
      bytes: Buffer.from([0, 255]),
      json: { a: [1] },
    },
  ])
})

test('a number that would lose digits is an error, not another number', async () => {
  await using test = await createTestDatabase()
  await expect(test.db.unscoped((tx) => sql`select 9007199254740993::bigint`.execute(tx))).rejects.toThrow(RangeError)
})

test('a violated constraint is named', async () => {
  await using test = await createTestDatabase()
  const insert = (tx: Tx) => sql`insert into installation (installation_id) values (${newId()})`.execute(tx)
  await test.db.unscoped(insert)
  const error = await test.db.unscoped(insert).catch((thrown: unknown) => thrown)
  expect(violatedConstraint(error)).toBe('installation_pkey')
  expect(violatedConstraint(new Error('other'))).toBeUndefined()
})

/** Two transactions that read each other's row and write their own: PostgreSQL gives one of them up. */
async function collide(retryable: boolean) {
  const test = await createTestDatabase()
  onTestFinished(() => test[Symbol.asyncDispose]())
  await test.asOwner('create table seats (id int primary key, taken boolean not null)')
  await test.asOwner('grant all on seats to alter_vault_server')
  await test.asOwner('insert into seats values (1, false), (2, false)')
  const bothRead = Promise.withResolvers<void>()
  let readers = 0
  let runs = 0
  const take = (first: number, second: number) =>
    test.db.unscoped(
      async (tx) => {
        runs++
        await sql`update seats set taken = true where id = ${first}`.execute(tx)
        if (++readers === 2) bothRead.resolve()
        await bothRead.promise
        await sql`update seats set taken = true where id = ${second}`.execute(tx)
      },
      { retryable },
    )
  const results = await Promise.allSettled([take(1, 2), take(2, 1)])
  return { results, runs: () => runs }
}

test('a transaction given up for another runs again when it may', async () => {
  const { results, runs } = await collide(true)
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
  expect(runs()).toBeGreaterThan(2)
})

test('and is refused as unavailable when it may not', async () => {
  const { results, runs } = await collide(false)
  expect(runs()).toBe(2)
  const refused = results.find((result) => result.status === 'rejected')?.reason
  expect(refused).toBeInstanceOf(VaultError)
  expect(refused).toMatchObject({
    code: 'service_unavailable',
    log: { database: 'transaction_given_up', commit_unknown: false },
  })
})

test('a statement that takes too long is cancelled and refused with a time to come back', async () => {
  await using test = await createTestDatabase({ statementTimeoutMs: 50 })
  await expect(test.db.unscoped((tx) => sql`select pg_sleep(30)`.execute(tx))).rejects.toMatchObject({
    code: 'service_unavailable',
    retryAfterSeconds: expect.any(Number),
  })
})

test('a session lost inside a transaction is refused, and the pool goes on', async () => {
  await using test = await createTestDatabase()
  const lost = test.db.unscoped(async (tx) => {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx)
    await test.asOwner('select pg_terminate_backend($1)', [rows[0]?.pid])
    await sql`select 1`.execute(tx)
  })
  await expect(lost).rejects.toMatchObject({ code: 'service_unavailable', log: { commit_unknown: false } })
  expect(await test.db.unscoped(settings)).toMatchObject({ role: 'alter_vault_server' })
})

test('a session lost while it commits says that the outcome is unknown', async () => {
  await using test = await createTestDatabase()
  await test.asOwner(`create function end_session() returns trigger language plpgsql security definer as
    $$ begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(0); return null; end $$`)
  await test.asOwner(`create constraint trigger at_commit after insert on installation
    deferrable initially deferred for each row execute function end_session()`)
  await expect(
    test.db.unscoped((tx) => sql`insert into installation (installation_id) values (${newId()})`.execute(tx)),
  ).rejects.toMatchObject({ code: 'service_unavailable', log: { commit_unknown: true } })
})

test('a session lost while idle is noted and replaced', async () => {
  const warn = vi.fn()
  await using test = await createTestDatabase({ log: { warn }, poolSize: 1 })
  const pid = (tx: Tx) =>
    sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx).then(({ rows }) => rows[0]?.pid)
  const first = await test.db.unscoped(pid)
  await test.asOwner('select pg_terminate_backend($1)', [first])
  await vi.waitFor(() => expect(warn).toHaveBeenCalledOnce())
  expect(await test.db.unscoped(pid)).not.toBe(first)
})

test('a database that is away is refused as unavailable', async () => {
  const db = createDatabase({
    connection: { host: '/nonexistent', port: 5432, user: 'alter_vault_server', database: 'alter_vault' },
    log: { warn: () => undefined },
  })
  onTestFinished(() => db.close())
  await expect(db.unscoped(settings)).rejects.toMatchObject({ code: 'service_unavailable' })
})

test("a pool of one's own has the role and the types of the other, and settings of its own", async () => {
  await using test = await createTestDatabase()
  const pool = test.db.openPool(1, ['lock_timeout=7s'])
  const { rows } = await pool.query(
    "select 7::bigint as seven, current_user::text as role, current_setting('lock_timeout') as timeout",
  )
  expect(rows).toEqual([{ seven: 7, role: 'alter_vault_server', timeout: '7s' }])
  // An event named `error` that nobody listens to is thrown.
  const client = await pool.connect()
  client.emit('error', new Error('terminating connection due to administrator command'))
  client.release(true)
  await pool.end()
})

test('a URL gives up the rights of its user for those of the server', async () => {
  await using test = await createTestDatabase()
  const { host, database } = test.ownerConnection
  const url = new Secret(`socket:${host}?db=${database}&user=postgres`)
  const db = createDatabase({ connection: serverConnectionFromUrl(url), log: { warn: () => undefined } })
  expect(await db.unscoped(settings)).toMatchObject({ role: 'alter_vault_server' })
  await db.close()
})

test('a session is what the server relies on, whatever the defaults of the database are', async () => {
  await using test = await createTestDatabase({ poolSize: 1 })
  const defaults = {
    datestyle: "'German'",
    timezone: "'Asia/Tokyo'",
    default_transaction_isolation: "'serializable'",
    synchronous_commit: 'off',
    standard_conforming_strings: 'off',
    search_path: "'pg_catalog'",
  }
  for (const [name, value] of Object.entries(defaults)) {
    await test.asOwner(
      `do $$ begin execute format('alter database %I set ${name} = ${value.replaceAll("'", "''")}', current_database()); end $$`,
    )
  }
  const again = createDatabase({ connection: test.connection, log: silentLog })
  onTestFinished(() => again.close())
  const { rows } = await again.unscoped((tx) =>
    sql<
      Record<string, unknown>
    >`select timestamptz '2026-01-02 03:04:05+00' as instant, current_setting('datestyle') as datestyle,
      current_setting('transaction_isolation') as isolation, current_setting('synchronous_commit') as synchronous_commit,
      current_setting('standard_conforming_strings') as strings, current_setting('search_path') as search_path`.execute(
      tx,
    ),
  )
  expect(rows).toEqual([
    {
      instant: new Date('2026-01-02T03:04:05Z'),
      datestyle: 'ISO, MDY',
      isolation: 'read committed',
      synchronous_commit: 'on',
      strings: 'on',
      search_path: 'public',
    },
  ])
})

test('a time that cannot be read is a fault, never "none"', async () => {
  await using test = await createTestDatabase()
  const read = test.db.unscoped(async (tx) => {
    await sql`set local datestyle = 'German'`.execute(tx)
    return sql`select timestamptz '2026-01-02 03:04:05+00' as expires_at`.execute(tx)
  })
  await expect(read).rejects.toThrow(/ISO 8601/)
})

test('a statement without an answer is given up, and its session is not used again', async () => {
  await using test = await createTestDatabase()
  const impatient = createDatabase({ connection: test.connection, log: silentLog, poolSize: 1, queryTimeoutMs: 200 })
  onTestFinished(() => impatient.close())
  const pidOf = () =>
    impatient
      .unscoped((tx) => sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(tx))
      .then(({ rows }) => rows[0]!.pid)
  const before = await pidOf()
  await expect(impatient.unscoped((tx) => sql`select pg_sleep(5)`.execute(tx))).rejects.toMatchObject({
    code: 'service_unavailable',
  })
  expect(await pidOf()).not.toBe(before)
})
