import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import type { Log } from '../kernel/log.ts'
import { type DatabaseConnection, SERVER_ROLE, toClientConfig } from './connection.ts'

/** Where the product's own migrations are. */
export const MIGRATIONS_DIR = fileURLToPath(new URL('../../migrations/', import.meta.url))

/** `YYYYMMDDTHHMM_name.sql`, the stamp in UTC: sorting by name is sorting by time. */
export const MIGRATION_NAME = /^\d{8}T\d{4}_[a-z0-9_]+\.sql$/

/** The first line: may servers of the version before keep running while and after this is applied? */
const HEADER = /^-- breaking: (no|yes)$/

const LOCK_TIMEOUT = '10s'

export type Migration = {
  name: string
  sql: string
  /** SHA-256 of the file with LF line ends, hex. */
  checksum: string
  breaking: boolean
}

/** A migration file or the database's record of migrations is not what this program can work with. */
export class MigrationError extends Error {
  /** The migration at fault. */
  readonly migration: string

  constructor(migration: string, message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'MigrationError'
    this.migration = migration
  }
}

/**
 * The migrations in `folder`, oldest first.
 * @throws MigrationError for a file name or first line that is not as agreed.
 */
export async function readMigrations(folder: string = MIGRATIONS_DIR): Promise<Migration[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.sql')).sort()
  return Promise.all(
    names.map(async (name) => {
      if (!MIGRATION_NAME.test(name)) {
        throw new MigrationError(name, `The migration "${name}" must be named YYYYMMDDTHHMM_name.sql, in lower case.`)
      }
      const sql = (await readFile(`${folder}/${name}`, 'utf8')).replaceAll('\r\n', '\n')
      const header = HEADER.exec(sql.slice(0, sql.indexOf('\n')))
      if (header === null) {
        throw new MigrationError(
          name,
          `The migration "${name}" must begin with the line "-- breaking: no" or "-- breaking: yes".`,
        )
      }
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex'), breaking: header[1] === 'yes' }
    }),
  )
}

type Applied = { name: string; checksum: string; serverVersion: string }

/**
 * What is left to apply.
 * @throws MigrationError when the database knows a migration that this program does not (it was written by a newer one), when an
 * applied file was changed since, or when a new file sorts before an applied one.
 */
export function planMigrations(known: readonly Migration[], applied: readonly Applied[]): Migration[] {
  const byName = new Map(known.map((migration) => [migration.name, migration]))
  for (const { name, checksum, serverVersion } of applied) {
    const migration = byName.get(name)
    if (migration === undefined) {
      throw new MigrationError(
        name,
        `The database was migrated by version ${serverVersion} of this program ("${name}"), which this version does not know. Start version ${serverVersion} or newer. Nothing was changed.`,
      )
    }
    if (migration.checksum !== checksum) {
      throw new MigrationError(
        name,
        `The migration "${name}" was changed after version ${serverVersion} applied it. Restore the file as released and put the change into a new migration. Nothing was changed.`,
      )
    }
  }
  const done = new Set(applied.map(({ name }) => name))
  const newest = [...done].sort().at(-1) ?? ''
  const pending = known.filter(({ name }) => !done.has(name))
  const late = pending.find(({ name }) => name < newest)
  if (late !== undefined) {
    throw new MigrationError(
      late.name,
      `The migration "${late.name}" sorts before "${newest}", which is applied already. Give it a newer stamp. Nothing was changed.`,
    )
  }
  return pending
}

type MigrationLog = Pick<Log, 'info' | 'warn'>

type MigrateOptions = {
  /** As the owner of the schema; may create roles, or the server's role exists. */
  connection: DatabaseConnection
  log: MigrationLog
  /** Recorded with each migration, so that an older program can say which version is needed. */
  serverVersion: string
  folder?: string
}

/**
 * Brings the schema up to date and resolves with the names that were applied. Each migration is one transaction; a lock lets
 * several servers start at once, one of them migrates, the others wait and find nothing to do.
 */
export async function migrate({
  connection,
  log,
  serverVersion,
  folder = MIGRATIONS_DIR,
}: MigrateOptions): Promise<string[]> {
  const known = await readMigrations(folder)
  const client = new Client(
    toClientConfig(connection, { applicationName: 'alter-vault migrate', connectTimeoutMs: 10_000 }),
  )
  // A session that is lost while idle would otherwise end the process; the next query reports it.
  client.on('error', () => undefined)
  await client.connect()
  try {
    await client.query("select pg_advisory_lock(hashtextextended('alter_vault migrations', 0))")
    await prepare(client)
    const { rows } = await client.query<Applied>(
      'select name, checksum, server_version as "serverVersion" from schema_migrations order by name',
    )
    const pending = planMigrations(known, rows)
    for (const migration of pending) await apply(client, migration, serverVersion, log)
    return pending.map(({ name }) => name)
  } finally {
    await client.end()
  }
}

/**
 * Roles belong to the cluster, not to the database: the server's may be there already, from another database or made by an
 * administrator. The owner may take it on, so that one URL can serve for both.
 */
async function prepare(client: Client): Promise<void> {
  await client.query(`
    create table if not exists schema_migrations (
      name text primary key,
      checksum text not null,
      server_version text not null,
      applied_at timestamptz not null default clock_timestamp()
    );
    do $$
    begin
      if not exists (select from pg_roles where rolname = '${SERVER_ROLE}') then
        create role ${SERVER_ROLE} nologin;
      end if;
    exception when duplicate_object or unique_violation then
      null; -- another database of the cluster was migrated at this moment
    end
    $$;
    do $$
    begin
      if not pg_has_role(current_user, '${SERVER_ROLE}', 'set') then
        execute format('grant ${SERVER_ROLE} to %I', current_user);
      end if;
    exception when insufficient_privilege then
      null; -- an owner for migrations only, who needs no such right
    end
    $$;
  `)
}

async function apply(
  client: Client,
  { name, sql, checksum, breaking }: Migration,
  serverVersion: string,
  log: MigrationLog,
) {
  if (breaking) log.warn({ migration: name }, 'This migration breaks servers of the version before; stop them')
  try {
    await client.query('begin')
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
    await client.query(sql)
    await client.query('insert into schema_migrations (name, checksum, server_version) values ($1, $2, $3)', [
      name,
      checksum,
      serverVersion,
    ])
    // A migration may grant rights on all tables; the record of migrations stays the owner's.
    await client.query(`revoke all on schema_migrations from ${SERVER_ROLE}`)
    await client.query('commit')
  } catch (cause) {
    await client.query('rollback').catch(() => undefined)
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new MigrationError(name, `The migration "${name}" failed and was rolled back: ${reason}`, cause)
  }
  log.info({ migration: name }, 'Applied a migration')
}
