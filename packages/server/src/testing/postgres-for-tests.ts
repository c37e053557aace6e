import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { createEmbeddedPostgres, type EmbeddedPostgres } from '../db/embedded-postgres.ts'
import { migrate } from '../db/migrate.ts'

/** Host is the folder of the socket. */
export type SocketConnection = { host: string; port: number; user: string; database: string }

/** The PostgreSQL of one test run; test files clone `template`. */
export type TestPostgres = { connection: SocketConnection; ownerConnection: SocketConnection; template: string }

declare module 'vitest' {
  interface ProvidedContext {
    postgres: TestPostgres
  }
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** Starts one PostgreSQL without disk syncs for the whole run and migrates a template database. */
export default async function startPostgresForTests(project: TestProject): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'alter-vault-test-'))
  const settings = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '200' }
  const removeData = () => rm(dataDir, { recursive: true, force: true })
  let postgres: EmbeddedPostgres | undefined
  try {
    postgres = await createEmbeddedPostgres({ dataDir, log: quiet, settings, ballastBytes: 0 })
    await migrate({ connection: postgres.ownerConnection, log: quiet, serverVersion: '0.0.0-test' })
  } catch (error) {
    await postgres?.close()
    await removeData()
    throw error
  }
  const { connection, ownerConnection, close } = postgres
  project.provide('postgres', { connection, ownerConnection, template: ownerConnection.database })
  return async () => {
    await close()
    await removeData()
  }
}
