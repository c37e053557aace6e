import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { createEmbeddedPostgres, type EmbeddedPostgres } from '../../packages/server/src/db/embedded-postgres.ts'

/** A PostgreSQL of its own that servers reach by `DATABASE_URL`, and that can be taken away from them. */
export type Postgres = AsyncDisposable & {
  /** Folder of its socket. */
  socketFolder: string
  /** As `DATABASE_URL` and `DATABASE_MIGRATION_URL` name it, through the socket in `folder`. */
  environment(folder?: string): { DATABASE_URL: string; DATABASE_MIGRATION_URL: string }
  /** Stops it as an operator does; nothing is lost. */
  stop(): Promise<void>
  start(): Promise<void>
  /** A session as the owner of everything, which the caller ends. */
  ownerClient(): Promise<Client>
  /** Runs statements as the owner of everything, to whom no row is hidden. */
  asOwner<T>(run: (owner: Client) => Promise<T>): Promise<T>
}

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }

/** Starts it empty, in a folder that goes away with it. `settings` are PostgreSQL's own. */
export async function startPostgres(settings: Record<string, string> = {}, folder?: string): Promise<Postgres> {
  const dataDir = folder ?? (await mkdtemp(join(tmpdir(), 'vault-pg-')))
  const launch = (): Promise<EmbeddedPostgres> =>
    createEmbeddedPostgres({
      dataDir,
      log: quiet,
      ballastBytes: 0,
      settings: { max_connections: '100', fsync: 'off', ...settings },
    })
  let running: EmbeddedPostgres | undefined = await launch()
  const { host: socketFolder, database } = running.ownerConnection
  const { user: owner } = running.ownerConnection
  const { user: server } = running.connection
  const urlAs = (user: string, folder: string) =>
    `postgresql:///${database}?host=${encodeURIComponent(folder)}&user=${user}`

  async function ownerClient(): Promise<Client> {
    const client = new Client({ host: socketFolder, user: owner, database, application_name: 'owner' })
    // A test may end every session of the database, this one too; the next statement then says so.
    client.on('error', () => undefined)
    await client.connect()
    return client
  }

  return {
    socketFolder,
    environment: (folder = socketFolder) => ({
      DATABASE_URL: urlAs(server, folder),
      DATABASE_MIGRATION_URL: urlAs(owner, folder),
    }),
    async stop() {
      await running?.close()
      running = undefined
    },
    async start() {
      running ??= await launch()
    },
    ownerClient,
    async asOwner(run) {
      const client = await ownerClient()
      try {
        return await run(client)
      } finally {
        await client.end()
      }
    },
    async [Symbol.asyncDispose]() {
      await running?.close()
      await rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
}
