import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts'
import { migrate, readMigrations } from './migrate.ts'

const log = { info: () => undefined, warn: () => undefined }

/** An empty database and a folder of migrations for it. */
async function emptyDatabase(files: Record<string, string>) {
  const test = await createTestDatabase()
  await test.asOwner('drop schema public cascade')
  await test.asOwner('create schema public')
  const folder = await mkdtemp(join(tmpdir(), 'alter-vault-migrations-'))
  onTestFinished(async () => {
    await rm(folder, { recursive: true })
    await test[Symbol.asyncDispose]()
  })
  const add = (name: string, sql: string) => writeFile(join(folder, name), `-- breaking: no\n${sql}\n`)
  for (const [name, sql] of Object.entries(files)) await add(name, sql)
  const run = (serverVersion = '1.0.0') => migrate({ connection: test.ownerConnection, log, serverVersion, folder })
  return { test, run, add, folder }
}

const recorded = (test: TestDatabase) =>
  test.asOwner('select name, server_version from schema_migrations order by name')

test('applies what is new, in order, and records which version did', async () => {
  const { test, run, add } = await emptyDatabase({
    '20260101T0000_a.sql': 'create table a (id int);',
    '20260102T0000_b.sql': 'alter table a add column name text;',
  })
  expect(await run()).toEqual(['20260101T0000_a.sql', '20260102T0000_b.sql'])
  expect(await run()).toEqual([])
  await add('20260103T0000_c.sql', 'insert into a (id, name) values (1, $$kept$$);')
  expect(await run('1.1.0')).toEqual(['20260103T0000_c.sql'])
  expect(await recorded(test)).toEqual([
    { name: '20260101T0000_a.sql', server_version: '1.0.0' },
    { name: '20260102T0000_b.sql', server_version: '1.0.0' },
    { name: '20260103T0000_c.sql', server_version: '1.1.0' },
  ])
})

test('a migration that fails leaves nothing of itself, and those before it stay', async () => {
  const { test, run } = await emptyDatabase({
    '20260101T0000_a.sql': 'create table a (id int);',
    '20260102T0000_b.sql': 'create table b (id int); insert into nowhere values (1);',
  })
  await expect(run()).rejects.toMatchObject({
    migration: '20260102T0000_b.sql',
    message: expect.stringContaining('relation "nowhere" does not exist'),
  })
  expect(await test.asOwner("select to_regclass('a') is not null as a, to_regclass('b') is not null as b")).toEqual([
    { a: true, b: false },
  ])
  expect(await recorded(test)).toEqual([{ name: '20260101T0000_a.sql', server_version: '1.0.0' }])
})

test('servers that start at once migrate once', async () => {
  const { test, run } = await emptyDatabase({ '20260101T0000_a.sql': 'create table a (id int);' })
  const done = await Promise.all([run(), run(), run(), run()])
  expect(done.flat()).toEqual(['20260101T0000_a.sql'])
  expect(await recorded(test)).toHaveLength(1)
})

test('the record of migrations is out of reach of the server, whatever a migration grants', async () => {
  const { test, run } = await emptyDatabase({
    '20260101T0000_a.sql':
      'grant usage on schema public to alter_vault_server; grant all on all tables in schema public to alter_vault_server;',
  })
  await run()
  expect(
    await test.asOwner("select has_table_privilege('alter_vault_server', 'schema_migrations', 'select') as may"),
  ).toEqual([{ may: false }])
})

test('an owner who is no superuser migrates, and may then work as the server', async () => {
  const { test, folder } = await emptyDatabase({
    '20260101T0000_a.sql':
      'create table a (id int); grant usage on schema public to alter_vault_server; grant select on a to alter_vault_server;',
  })
  const owner = `owner_${test.ownerConnection.database}`
  await test.asOwner(`create role ${owner} createrole`)
  await test.asOwner(`grant alter_vault_server to ${owner} with admin true, inherit false, set false`)
  await test.asOwner(`alter schema public owner to ${owner}`)
  onTestFinished(() =>
    test
      .asOwner(`drop owned by ${owner}`)
      .then(() => test.asOwner(`drop role ${owner}`))
      .then(() => undefined),
  )
  const connection = { ...test.ownerConnection, role: owner }
  expect(await migrate({ connection, log, serverVersion: '1.0.0', folder })).toEqual(['20260101T0000_a.sql'])
  expect(
    await test.asOwner(
      `select pg_has_role('${owner}', 'alter_vault_server', 'set') as may, tableowner as owner from pg_tables where tablename = 'a'`,
    ),
  ).toEqual([{ may: true, owner }])
})

test('the migrations of this version bring an empty database to the template of all tests', async () => {
  const known = await readMigrations()
  await using test = await createTestDatabase()
  expect((await recorded(test)).map(({ name }) => name)).toEqual(known.map(({ name }) => name))
})
