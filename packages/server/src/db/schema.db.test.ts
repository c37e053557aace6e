import { sql } from 'kysely'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts'

/**
 * Tables without app_id, each with the reason. Whoever adds one explains here why a row of it may be read before the app is
 * known, and why the whole of it may stand on one machine when apps are spread over many.
 */
const NOT_BY_APP: Readonly<Record<string, string>> = {
  installation: 'one row: the id of this installation',
  installation_keys: 'keys of the installation itself, wrapped by a root key',
  root_key_fingerprints: 'fingerprints of the root keys that the data of all apps belongs to',
  token_routes: 'finds the organization of a presented operator token; holds a keyed digest and ids',
  audit_signing_keys: 'public keys of the installation, which sign the checkpoints of all apps',
  organizations: 'an organization has many apps; found by slug before anybody has signed in',
  members: 'people of an organization; row-level security by organization',
  personal_access_tokens: 'operators work across the apps of an organization; row-level security by organization',
  organization_rules: 'apply to every app of an organization; row-level security by organization',
}

/** Tables by scope: an app, an organization or the installation stands in scope_id. */
const BY_SCOPE = [
  'audit_batches',
  'audit_checkpoints',
  'audit_events',
  'audit_exports',
  'audit_scopes',
  'audit_settled',
  'idempotency_records',
  'rule_versions',
]

/** Tables with app_id whose rows every process reads across apps, so without row-level security: ids and times only. */
const ROUTING: Readonly<Record<string, string>> = {
  key_routes: 'finds the app of a presented key',
  approval_routes: 'finds the app of an approval link',
  due_work: 'a background job asks what is due in any app',
  audit_scopes: 'a background job asks in which scope a checkpoint is due',
  data_key_scopes: 'a rotation of the root key wraps the data keys of every app anew',
}

/** Keyed by app_id, yet seen by its organization as well, to list its apps. */
const BY_APP_OR_ORGANIZATION = ['apps']

/** Where app_id is not first in the primary key. */
const KEY_NOT_BY_APP_FIRST: Readonly<Record<string, string>> = {
  key_routes: 'read by the digest of a key, before its app is known',
  approval_routes: 'read by the id of an approval, before its app is known',
  due_work: 'read by kind and time across apps',
}

/** What keeps a table from growing for ever. Whoever adds a table says it here, and in its comment when it needs more words. */
const BOUND_BY: Readonly<Record<string, string>> = {
  // Small by nature.
  installation: 'one row',
  installation_keys: 'one row for each key of the installation',
  data_key_scopes: 'one row for each scope that has data keys',
  root_key_fingerprints: 'one row for each root key that was ever used',
  audit_signing_keys: 'one row for each signing key that was ever used',
  audit_scopes: 'one row for each scope',
  fence_marks: 'one row for each app',
  // Grow with what operators and agents make and never with calls; kept, because audit rows name what they hold.
  organizations: 'what people made',
  members: 'what people made',
  personal_access_tokens: 'what people made',
  token_routes: 'one row for each personal access token',
  organization_rules: 'what people made, up to a limit for each organization',
  apps: 'what people made, up to a limit for each organization',
  data_keys: 'one row for each app and rotation',
  agents: 'what people made',
  keys: 'what people made',
  key_routes: 'one row for each key; deleted with the app',
  managed_secrets: 'what people made',
  credentials: 'one row for each version of a managed secret',
  grants: 'what people and agents made',
  rules: 'what people made, up to a limit for each app',
  rule_versions: 'the newest 100 for each rule',
  fences:
    'one row for each app, key, agent, grant, principal, secret and credential; a deleted one could come back as a version seen before',
  last_uses: 'one row for each key, agent and grant',
  actors: 'the 10,000 callers of an app that were seen last',
  // Grow with calls.
  due_work: 'one row for each piece of work that waits; deleted when it is done',
  nonces_even: 'emptied in the half-hour after theirs',
  nonces_odd: 'emptied in the half-hour after theirs',
  counters: 'deleted 32 days after the last charge',
  idempotency_records: 'deleted after 24 hours',
  approval_groups:
    'deleted retain_runtime_days after their end; the frozen request is erased retain_body_days after it',
  approval_gates: 'deleted with their group',
  approval_decisions: 'deleted with their group',
  approval_attempts: 'deleted with their group',
  approval_routes: 'deleted with their group',
  audit_batches: 'the log itself: kept, details erased after retain_runtime_days, bodies after retain_body_days',
  audit_settled: 'deleted after 30 days',
  audit_checkpoints: 'the log itself: at most one a minute for each scope in use',
  audit_events: 'one row for each row of the log, made from it',
  audit_exports: 'deleted when they have run out and the next one is asked for',
}

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database[Symbol.asyncDispose]())

type Table = { name: string; columns: string[]; secured: boolean; forced: boolean }

const readTables = () =>
  database.asOwner<Table>(`
    select c.relname as name, c.relrowsecurity as secured, c.relforcerowsecurity as forced,
      array(select a.attname::text from pg_attribute a where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped) as columns
    from pg_class c
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and c.relname <> 'schema_migrations'
    order by c.relname`)

const keyOf = (name: string): string => (BY_SCOPE.includes(name) ? 'scope_id' : 'app_id')

async function readTenantTables(): Promise<Table[]> {
  return (await readTables()).filter(({ name }) => !(name in NOT_BY_APP))
}

test('every table has a bound', async () => {
  expect((await readTables()).map(({ name }) => name)).toEqual(Object.keys(BOUND_BY).sort())
})

describe('a table of tenants', () => {
  test('has app_id or scope_id, unless it is listed with a reason', async () => {
    const tables = await readTables()
    expect(tables.length).toBeGreaterThan(20)
    const without = tables.filter(({ name, columns }) => !columns.includes(keyOf(name))).map(({ name }) => name)
    expect(without).toEqual(Object.keys(NOT_BY_APP).sort())
  })

  test('is still there when a list above names it', async () => {
    const names = new Set((await readTables()).map(({ name }) => name))
    const listed = [NOT_BY_APP, ROUTING, KEY_NOT_BY_APP_FIRST].flatMap((list) => Object.keys(list))
    expect([...listed, ...BY_APP_OR_ORGANIZATION, ...BY_SCOPE].filter((name) => !names.has(name))).toEqual([])
  })

  test('begins its primary key with that', async () => {
    const keys = await database.asOwner<{ name: string; first: string }>(`
      select c.relname as name, a.attname as first
      from pg_constraint k join pg_class c on c.oid = k.conrelid
      join pg_attribute a on a.attrelid = c.oid and a.attnum = k.conkey[1]
      where k.contype = 'p' and c.relnamespace = 'public'::regnamespace and not c.relispartition`)
    const firsts = new Map(keys.map(({ name, first }) => [name, first]))
    const tenants = (await readTenantTables()).filter(({ name }) => !(name in KEY_NOT_BY_APP_FIRST))
    expect(tenants.filter(({ name }) => firsts.get(name) !== keyOf(name)).map(({ name }) => name)).toEqual([])
  })

  test('has that in every unique key, or two apps could collide and learn of each other', async () => {
    const tenants = (await readTenantTables()).map(({ name }) => name)
    const loose = await database.asOwner(
      `select c.relname as table, i.relname as index
       from pg_index x join pg_class c on c.oid = x.indrelid join pg_class i on i.oid = x.indexrelid
       where x.indisunique and c.relname = any ($1) and not (x.indisprimary and c.relname = any ($3)) and c.relnamespace = 'public'::regnamespace
         and not exists (
           select from pg_attribute a
           where a.attrelid = c.oid and a.attnum = any (x.indkey)
             and a.attname = case when c.relname = any ($2) and not x.indisprimary then 'organization_id'
               when c.relname = any ($4) then 'scope_id' else 'app_id' end
         )`,
      [tenants, BY_APP_OR_ORGANIZATION, Object.keys(KEY_NOT_BY_APP_FIRST), BY_SCOPE],
    )
    expect(loose).toEqual([])
  })

  test('refers to another table of tenants by app_id too, so that no row belongs to two apps', async () => {
    const tenants = (await readTenantTables()).map(({ name }) => name)
    const loose = await database.asOwner(
      `select k.conname as key from pg_constraint k join pg_class c on c.oid = k.conrelid join pg_class f on f.oid = k.confrelid
       where k.contype = 'f' and c.relname = any ($1) and f.relname = any ($1) and not c.relispartition
         and not exists (
           select from unnest(k.conkey, k.confkey) pair (own, theirs)
           join pg_attribute a on a.attrelid = c.oid and a.attnum = pair.own
           join pg_attribute b on b.attrelid = f.oid and b.attnum = pair.theirs
           where a.attname = 'app_id' and b.attname = 'app_id'
         )`,
      [tenants],
    )
    expect(loose).toEqual([])
  })

  test('has row-level security that binds its owner as well', async () => {
    const open = (await readTenantTables()).filter(
      ({ name, secured, forced }) => !(name in ROUTING) && !(secured && forced),
    )
    expect(open.map(({ name }) => name)).toEqual([])
  })

  test('holds nothing but ids, digests, kinds, times and how far a log has come when it has none', async () => {
    const columns = await database.asOwner<{ column: string }>(
      `select distinct t.typname || ' ' || a.attname as column from pg_class c
       join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped join pg_type t on t.oid = a.atttypid
       where c.relnamespace = 'public'::regnamespace and c.relname = any ($1) and t.typname not in ('uuid', 'timestamptz')`,
      [Object.keys(ROUTING)],
    )
    expect(columns.map(({ column }) => column).sort()).toEqual([
      'bytea digest',
      'bytea head',
      'int8 last_row',
      'int8 pruned_sequence',
      'int8 sequence',
      'int8 signed_row',
      'text kind',
    ])
  })

  test('lets a row be read and written by the app or scope that is set, and by nothing else', async () => {
    const policies = await database.asOwner<{
      name: string
      reads: string
      writes: string | null
      command: string
      roles: string
    }>(`
      select tablename as name, qual as reads, with_check as writes, cmd as command, roles::text as roles
      from pg_policies where schemaname = 'public' order by tablename`)
    const own = {
      app_id: '(app_id = ( SELECT vault_app() AS vault_app))',
      scope_id: '(scope_id = ( SELECT vault_scope() AS vault_scope))',
    } as Record<string, string>
    // The owner finds the scopes with batches that wait; the server's role is not the owner and gets ids from its function alone.
    const finds = policies.find(({ name, reads }) => name === 'audit_batches' && reads === '(sequence IS NULL)')
    expect(finds).toMatchObject({ command: 'SELECT', writes: null })
    expect(finds!.roles).not.toMatch(/public|alter_vault_server/)
    for (const { name } of await readTenantTables()) {
      if (name in ROUTING || BY_APP_OR_ORGANIZATION.includes(name)) continue
      const rule = own[keyOf(name)]
      const found = policies.filter((policy) => policy.name === name && policy !== finds)
      expect(found, name).toEqual([{ name, reads: rule, writes: rule, command: 'ALL', roles: '{public}' }])
    }
  })
})

describe('the role of the server', () => {
  test('owns nothing, cannot pass row-level security, and cannot become anybody who can', async () => {
    expect(
      await database.asOwner(`
        select r.rolsuper or r.rolbypassrls or r.rolcreaterole or r.rolcreatedb or r.rolreplication as mighty,
          (select count(*)::int from pg_class where relowner = r.oid) as relations,
          (select count(*)::int from pg_proc where proowner = r.oid) as functions,
          (select count(*)::int from pg_auth_members where member = r.oid) as memberships
        from pg_roles r where r.rolname = 'alter_vault_server'`),
    ).toEqual([{ mighty: false, relations: 0, functions: 0, memberships: 0 }])
  })

  test('cannot turn row-level security off, change the schema or read the record of migrations', async () => {
    const attempt = (statement: string) => database.db.unscoped((tx) => sql.raw(statement).execute(tx))
    await expect(attempt('alter table grants disable row level security')).rejects.toThrow(/must be owner/)
    await expect(attempt('create table mine (id int)')).rejects.toThrow(/permission denied/)
    await expect(attempt('set role postgres')).rejects.toThrow(/permission denied/)
    await expect(attempt('select * from schema_migrations')).rejects.toThrow(/permission denied/)
  })

  test('functions that run with the rights of the owner have a fixed search path', async () => {
    const loose = await database.asOwner(`
      select proname from pg_proc where prosecdef and pronamespace = 'public'::regnamespace
        and not exists (select from unnest(proconfig) setting where setting like 'search_path=%')`)
    expect(loose).toEqual([])
  })
})

describe('an app', () => {
  test('that is not set sees no row, and cannot write one', async () => {
    const { app } = await insertApp()
    const seen = (table: string) =>
      database.db.unscoped((tx) => sql`select * from ${sql.table(table)} where app_id = ${app}`.execute(tx))
    expect((await seen('apps')).rows).toEqual([])
    expect((await seen('fences')).rows).toEqual([])
    await expect(
      database.db.unscoped((tx) =>
        sql`insert into last_uses (app_id, subject, used_at) values (${app}, 'key:1', now())`.execute(tx),
      ),
    ).rejects.toThrow(/row-level security/)
  })

  test('sees its own rows and no other', async () => {
    const mine = await insertApp()
    const other = await insertApp()
    const { rows } = await database.db.forApp(mine.app, (tx) =>
      sql<{ app_id: string }>`select distinct app_id from fences union select app_id from apps`.execute(tx),
    )
    expect(rows).toEqual([{ app_id: mine.app }])
    await expect(
      database.db.forApp(mine.app, (tx) =>
        sql`insert into last_uses (app_id, subject, used_at) values (${other.app}, 'key:1', now())`.execute(tx),
      ),
    ).rejects.toThrow(/row-level security/)
    const { numAffectedRows } = await database.db.forApp(mine.app, (tx) =>
      sql`update apps set name = 'taken' where app_id = ${other.app}`.execute(tx),
    )
    expect(numAffectedRows).toBe(0n)
  })

  test('is listed by its organization, whose other tables stay closed', async () => {
    const { app, organization } = await insertApp()
    const { rows } = await database.db.forOrganization(organization, (tx) => sql`select app_id from apps`.execute(tx))
    expect(rows).toEqual([{ app_id: app }])
    const fences = await database.db.forOrganization(organization, (tx) => sql`select * from fences`.execute(tx))
    expect(fences.rows).toEqual([])
  })
})

async function insertApp() {
  const organization = newId()
  const app = newId()
  await database.db.forOrganization(organization, async (tx) => {
    await sql`insert into organizations (organization_id, name, slug) values (${organization}, 'Acme', ${organization})`.execute(
      tx,
    )
  })
  await database.db.forApp(app, async (tx) => {
    await sql`insert into apps (app_id, organization_id, name, slug) values (${app}, ${organization}, 'Desk', 'desk')`.execute(
      tx,
    )
  })
  return { organization, app }
}
