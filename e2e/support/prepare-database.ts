import { execFile } from 'node:child_process'
import { link, lstat, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { createEmbeddedPostgres } from '../../packages/server/src/db/embedded-postgres.ts'
import { migrate } from '../../packages/server/src/db/migrate.ts'

const quiet = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined }
/** Names the prepared folder to the processes that run the tests. */
const VARIABLE = 'PREPARED_DATA_FOLDER'

/** Makes a migrated database once in a run: doing so took longer than everything else in the start of a vault. */
export default async function prepareDatabase(): Promise<() => Promise<void>> {
  const dataDir = await mkdtemp(join(tmpdir(), 'vault-prepared-'))
  const postgres = await createEmbeddedPostgres({ dataDir, log: quiet, settings: { fsync: 'off' } })
  await migrate({ connection: postgres.ownerConnection, log: quiet, serverVersion: '0.0.0-test' })
  await postgres.close()
  // A link: the data had to be put elsewhere, and vaults of this run make their own.
  if (!(await lstat(join(dataDir, 'pg'))).isSymbolicLink()) process.env[VARIABLE] = dataDir
  return () => rm(dataDir, { recursive: true, force: true })
}

/** Puts the prepared database, which no server has used, into an empty data folder. Without one the server makes its own. */
export async function placeDatabase(dataDir: string): Promise<void> {
  const prepared = process.env[VARIABLE]
  if (prepared === undefined) return
  await promisify(execFile)('cp', ['-a', join(prepared, 'pg'), join(dataDir, 'pg')])
  // Blocks that a server gives up when the disk is full; 64 MB that need not be written again.
  await link(join(prepared, 'pg-ballast'), join(dataDir, 'pg-ballast')).catch(() => undefined)
}
