import { randomBytes } from 'node:crypto'
import { Client } from 'pg'
import { inject } from 'vitest'
import { type DatabaseConnection, toClientConfig } from '../db/connection.ts'
import { createDatabase, type Database, type DatabaseOptions } from '../db/database.ts'
import type { SocketConnection, TestPostgres } from './postgres-for-tests.ts'

export type TestDatabase = AsyncDisposable & {
  /** A database of its own, migrated and empty, as the server's role. */
  db: Database
  /** As the server's role, to open more sessions or another `createDatabase`. */
  connection: SocketConnection
  /** As the owner, for what the server may not do. */
  ownerConnection: SocketConnection
  /** One statement as the owner, past row-level security; returns its rows. */
  asOwner<Row extends object = Record<string, unknown>>(statement: string, values?: unknown[]): Promise<Row[]>
}

const LIMITS = { applicationName: 'alter-vault test', connectTimeoutMs: 10_000 }

async function withClient<T>(connection: DatabaseConnection, fn: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client(toClientConfig(connection, LIMITS))
  await client.connect()
  try {
    return await fn(client)
  } finally {
    await client.end()
  }
}

/**
 * `await using test = await createTestDatabase()`: a clone of the migrated template, dropped at the end. Only in files named
 * `*.db.test.ts` (or end-to-end tests), where the test run has a PostgreSQL.
 */
export async function createTestDatabase(options: Partial<DatabaseOptions> = {}): Promise<TestDatabase> {
  const postgres = inject('postgres')
  return cloneDatabase(postgres, options)
}

async function cloneDatabase(postgres: TestPostgres, options: Partial<DatabaseOptions>): Promise<TestDatabase> {
  const name = `test_${randomBytes(8).toString('hex')}`
  const administration = { ...postgres.ownerConnection, database: 'postgres' }
  await withClient(administration, (client) =>
    client.query(`create database ${name} template ${postgres.template} strategy file_copy`),
  )
  const connection = { ...postgres.connection, database: name }
  const ownerConnection = { ...postgres.ownerConnection, database: name }
  const db = createDatabase({ connection, log: { warn: () => undefined }, poolSize: 5, ...options })
  let closed = false
  return {
    db: {
      ...db,
      async close() {
        if (!closed) await db.close()
        closed = true
      },
    },
    connection,
    ownerConnection,
    asOwner: (statement, values) =>
      withClient(ownerConnection, async (client) => (await client.query(statement, values)).rows),
    async [Symbol.asyncDispose]() {
      if (!closed) await db.close()
      closed = true
      await withClient(administration, (client) => client.query(`drop database if exists ${name} with (force)`))
    },
  }
}
