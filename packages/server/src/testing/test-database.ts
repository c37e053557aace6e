import { randomBytes } from 'node:crypto'
import { Pool } from 'pg'
import { inject } from 'vitest'
import { toClientConfig } from '../db/connection.ts'
import { createDatabase, type Database, type DatabaseOptions } from '../db/database.ts'
import type { SocketConnection } from './postgres-for-tests.ts'

export type TestDatabase = AsyncDisposable & {
  /** A migrated database, as the server's role. */
  db: Database
  /** As the server's role, to open more sessions or another `createDatabase`. */
  connection: SocketConnection
  /** As the owner, for what the server may not do. */
  ownerConnection: SocketConnection
  /** One statement as the owner, past row-level security; returns its rows. */
  asOwner<Row extends object = Record<string, unknown>>(statement: string, values?: unknown[]): Promise<Row[]>
}

const LIMITS = { applicationName: 'alter-vault test', connectTimeoutMs: 10_000 }

/** Sessions that open when they are needed and stay open: opening one costs more than most statements. */
function ownerPool(connection: SocketConnection): Pool {
  const pool = new Pool({ ...toClientConfig(connection, LIMITS), max: 4 })
  // A test may end every session of its database; without a listener that would end the test run.
  pool.on('error', () => undefined)
  return pool
}

let administration: Pool | undefined
let shared: Promise<TestDatabase> | undefined

function administer(statement: string): Promise<unknown> {
  administration ??= ownerPool({ ...inject('postgres').ownerConnection, database: 'postgres' })
  return administration.query(statement)
}

/** Once the tests of a file have ended. */
export async function dropSharedDatabase(): Promise<void> {
  await (await shared)?.[Symbol.asyncDispose]()
  await administration?.end()
  shared = undefined
  administration = undefined
}

/**
 * `await using test = await shareTestDatabase()`: the database of this test file, made when a test first asks for it and dropped after the last
 * one. Its tests are parted as tenants are: each makes an organization of its own and looks at nothing else. A test that needs a whole database,
 * since it changes the schema, counts every row or runs work that goes through all apps, takes `createTestDatabase()`.
 */
export async function shareTestDatabase(): Promise<TestDatabase> {
  shared ??= createTestDatabase({ poolSize: 10 })
  return { ...(await shared), [Symbol.asyncDispose]: async () => undefined }
}

/**
 * `await using test = await createTestDatabase()`: a clone of the migrated template for one test, dropped at the end. Only in files
 * named `*.db.test.ts` (or end-to-end tests), where the test run has a PostgreSQL.
 */
export async function createTestDatabase(options: Partial<DatabaseOptions> = {}): Promise<TestDatabase> {
  const postgres = inject('postgres')
  const name = `test_${randomBytes(8).toString('hex')}`
  await administer(`create database ${name} template ${postgres.template} strategy file_copy`)
  const connection = { ...postgres.connection, database: name }
  const ownerConnection = { ...postgres.ownerConnection, database: name }
  const db = createDatabase({ connection, log: { warn: () => undefined }, poolSize: 5, ...options })
  const owner = ownerPool(ownerConnection)
  let closing: Promise<void> | undefined
  const close = () => (closing ??= db.close())
  return {
    db: { ...db, close },
    connection,
    ownerConnection,
    asOwner: async (statement, values) => (await owner.query(statement, values)).rows,
    async [Symbol.asyncDispose]() {
      await Promise.all([close(), owner.end()])
      await administer(`drop database if exists ${name} with (force)`)
    },
  }
}
