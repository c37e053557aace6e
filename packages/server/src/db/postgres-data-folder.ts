import { execFile } from 'node:child_process'
import { chown, mkdtemp, open, readdir, readFile, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { SERVER_ROLE } from './connection.ts'
import { DatabaseStartError, explainLastWords, forbidden } from './database-start-error.ts'
import { childEnvironment, commandFor } from './postgres-command.ts'
import type { Place } from './postgres-place.ts'
import { hasPid } from './postmaster-process.ts'

/** The major version of the binaries, as PostgreSQL writes it into `PG_VERSION`. */
const MAJOR_VERSION = '18'

/** The role that owns the cluster and everything in it. */
export const OWNER = 'postgres'

/**
 * Removes initdb folders whose process is gone. A live one belongs to another start of the same moment; one that cannot be
 * removed now only takes room, and the next start tries again.
 */
export async function removeUnfinished(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    const pid = /^pg\.initdb-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || (Number(pid) !== process.pid && hasPid(Number(pid)))) continue
    await rm(join(home, name), { recursive: true, force: true }).catch(() => undefined)
  }
}

/** Refuses a data folder that these binaries must not touch. A folder that is missing is fine, an empty one is removed. */
export async function assertUsable({ dataFolder, identity }: Place): Promise<void> {
  const found = await stat(dataFolder).catch(() => undefined)
  if (found === undefined) return
  let names: string[]
  try {
    names = await readdir(dataFolder)
  } catch (cause) {
    throw forbidden(dataFolder, cause)
  }
  if (names.length === 0) {
    await rmdir(dataFolder)
    return
  }
  if (!names.includes('PG_VERSION') || !names.includes('global')) {
    throw new DatabaseStartError(
      'data_folder_unusable',
      dataFolder,
      `"${dataFolder}" is not empty and not a PostgreSQL data folder (no PG_VERSION or no "global" in it). Move what is in it elsewhere and start again.`,
    )
  }
  const version = (await readFile(join(dataFolder, 'PG_VERSION'), 'utf8')).trim()
  if (version !== MAJOR_VERSION) {
    throw new DatabaseStartError(
      'other_major_version',
      dataFolder,
      `"${dataFolder}" was made by PostgreSQL ${version}; this program brings PostgreSQL ${MAJOR_VERSION} and does not convert it. ` +
        `Start the version of this program that wrote it, copy the data into a PostgreSQL ${MAJOR_VERSION} with pg_dump ${MAJOR_VERSION} and set DATABASE_URL to that. The folder was not changed.`,
    )
  }
  const uid = identity?.uid ?? process.getuid?.()
  if (found.uid !== uid) {
    throw new DatabaseStartError(
      'data_folder_forbidden',
      dataFolder,
      `"${dataFolder}" belongs to the user with id ${found.uid}, but PostgreSQL would run as ${uid}. Run this program as that user, or change the owner (chown -R ${uid} "${dataFolder}").`,
    )
  }
}

/** Runs initdb in a folder beside the real one and renames it, so that `pg` is either absent or whole. */
export async function initialize(place: Place, settings: Readonly<Record<string, string>>): Promise<void> {
  const { home, dataFolder, identity, native } = place
  let unfinished: string
  try {
    unfinished = await mkdtemp(join(home, `pg.initdb-${process.pid}-`))
    if (identity !== undefined) await chown(unfinished, identity.uid, identity.gid)
  } catch (cause) {
    throw forbidden(home, cause)
  }
  try {
    const command = await commandFor(
      join(native, 'bin', 'initdb'),
      [
        ...['--pgdata', unfinished, '--username', OWNER, '--encoding', 'UTF8'],
        ...['--locale-provider', 'builtin', '--builtin-locale', 'C.UTF-8', '--no-locale'],
        ...['--auth-local', 'peer', '--auth-host', 'reject', '--no-instructions'],
        ...(settings.fsync === 'off' ? ['--no-sync'] : []),
      ],
      'KILL',
      identity,
    )
    await promisify(execFile)(command.file, command.args, {
      ...command.options,
      cwd: unfinished,
      env: childEnvironment(),
    })
    await rename(unfinished, dataFolder)
    await syncFolder(home)
  } catch (cause) {
    await rm(unfinished, { recursive: true, force: true })
    if (['ENOTEMPTY', 'EEXIST'].includes((cause as NodeJS.ErrnoException).code ?? '')) return
    const output = String((cause as { stderr?: string }).stderr ?? cause)
    throw explainLastWords(output.split('\n'), home, cause)
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Only the operating-system user of this process may connect, as the owner or as the server's role (pg_hba.conf, "peer"). */
export async function writeAccessRules({ dataFolder, identity }: Place, osUser: string): Promise<void> {
  const quoted = `"${osUser.replaceAll('"', '""')}"`
  const files = {
    'pg_hba.conf': 'local all all peer map=alter_vault\n',
    'pg_ident.conf': `alter_vault ${quoted} ${OWNER}\nalter_vault ${quoted} ${SERVER_ROLE}\n`,
  }
  for (const [name, text] of Object.entries(files)) {
    const path = join(dataFolder, name)
    try {
      if ((await readFile(path, 'utf8').catch(() => '')) === text) continue
      await writeFile(path, text, { mode: 0o600 })
      if (identity !== undefined) await chown(path, identity.uid, identity.gid)
    } catch (cause) {
      throw forbidden(path, cause)
    }
  }
}
