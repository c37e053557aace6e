import type { Config } from './config.ts'
import { type DatabaseConnection, serverConnectionFromUrl } from './db/connection.ts'
import { createDatabase, type Database } from './db/database.ts'
import { createEmbeddedPostgres } from './db/embedded-postgres.ts'
import { migrate } from './db/migrate.ts'
import type { Log } from './kernel/log.ts'

export type OpenedDatabase = { db: Database; migrations: string[]; close(): Promise<void> }

/** The PostgreSQL that the configuration names, or the embedded one, migrated to this version's schema. */
export async function openDatabase(
  config: Config['database'],
  { log, version }: { log: Log; version: string },
): Promise<OpenedDatabase> {
  const { url, migrationUrl, dataDir, poolSize } = config
  if (url !== undefined) {
    const migrations = await migrate({ connection: { url: migrationUrl ?? url }, log, serverVersion: version })
    return opened(serverConnectionFromUrl(url), migrations, async () => undefined)
  }
  if (dataDir === undefined) throw new Error('the configuration names no database and no data folder')
  const postgres = await createEmbeddedPostgres({ dataDir, log })
  try {
    const migrations = await migrate({ connection: postgres.ownerConnection, log, serverVersion: version })
    return opened(postgres.connection, migrations, () => postgres.close())
  } catch (error) {
    await postgres.close()
    throw error
  }

  function opened(connection: DatabaseConnection, migrations: string[], stop: () => Promise<void>): OpenedDatabase {
    const db = createDatabase({ connection, log, poolSize })
    return {
      db,
      migrations,
      async close() {
        await db.close()
        await stop()
      },
    }
  }
}
