import { randomBytes } from 'node:crypto'
import { chmod, chown, lstat, mkdir, mkdtemp, readlink, stat, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import type { Log } from '../kernel/log.ts'
import { DatabaseStartError, forbidden } from './database-start-error.ts'
import { canReach, copyNativeFolder, findNativeFolder, type Identity } from './postgres-binaries.ts'

/** Part of the socket's name; PostgreSQL listens nowhere else. */
export const PORT = 5432

const NOBODY: Identity = { uid: 65534, gid: 65534 }

/** `sun_path` holds 107 bytes and a zero (unix(7)); PostgreSQL appends `/.s.PGSQL.5432`. */
const SOCKET_FOLDER_MAX_BYTES = 107 - `/.s.PGSQL.${PORT}`.length

/** Where everything of one embedded PostgreSQL is, and as whom it runs. */
export type Place = {
  /** The folder with `bin`, `lib` and `share`. */
  native: string
  /** The folder around all others. */
  home: string
  dataFolder: string
  socketFolder: string
  /** The socket folder stands under the temp folder and is removed at the end. */
  socketFolderIsTemporary: boolean
  /** Undefined: as this process. */
  identity: Identity | undefined
}

/** True for a link that leads nowhere, too. */
export async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

/** Decides who runs PostgreSQL, from where, and where its folders are; makes those that are missing. */
export async function findPlace(dataDir: string, relocationRoot: string, log: Pick<Log, 'warn'>): Promise<Place> {
  const bundled = await findNativeFolder()
  const asRoot = process.getuid?.() === 0
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
  } catch (cause) {
    throw forbidden(dataDir, cause)
  }
  if (!asRoot) {
    const home = (await linkedHome(dataDir)) ?? dataDir
    return { native: bundled, home, identity: undefined, ...(await placesIn(home)) }
  }

  // PostgreSQL refuses to run as root. Its user must be able to pass through dataDir, not to list it.
  const own = await stat(dataDir)
  if (own.uid === 0 && (own.mode & 0o001) === 0) await chmod(dataDir, (own.mode & 0o7777) | 0o001)
  const home = (await linkedHome(dataDir)) ?? dataDir
  const owner = await stat(join(home, 'pg')).catch(() => undefined)
  const identity = owner !== undefined && owner.uid !== 0 ? { uid: owner.uid, gid: owner.gid } : NOBODY
  const native = (await canReach(join(bundled, 'bin'), identity))
    ? bundled
    : await copyNativeFolder(bundled, await readableRoot(relocationRoot, identity))
  if (await canReach(home, identity)) return { native, home, identity, ...(await placesIn(home)) }
  if (owner !== undefined) {
    throw new DatabaseStartError(
      'data_folder_forbidden',
      join(home, 'pg'),
      `PostgreSQL's user (id ${identity.uid}) owns "${join(home, 'pg')}" but cannot pass through the folders above it. Allow that (chmod o+x on them) or move the data folder.`,
    )
  }
  const relocated = join(await readableRoot(relocationRoot, identity), randomBytes(6).toString('hex'))
  await mkdir(relocated, { mode: 0o711 })
  await chmod(relocated, 0o711)
  await symlink(join(relocated, 'pg'), join(dataDir, 'pg'))
  log.warn(
    { path: relocated, data_dir: dataDir },
    `PostgreSQL does not run as root and its user cannot enter "${dataDir}", so the database is kept in "${relocated}"`,
  )
  return { native, home: relocated, identity, ...(await placesIn(relocated)) }
}

/** The folder that holds the data when `<dataDir>/pg` is a link, which may still lead nowhere. */
async function linkedHome(dataDir: string): Promise<string | undefined> {
  const link = join(dataDir, 'pg')
  const found = await lstat(link).catch(() => undefined)
  if (found === undefined || !found.isSymbolicLink()) return undefined
  const home = dirname(resolve(dataDir, await readlink(link)))
  if (await exists(home)) return home
  throw new DatabaseStartError(
    'data_folder_unusable',
    link,
    `"${link}" says that the database is in "${home}", but that folder does not exist. Put it back (or mount it), or remove the link to begin with an empty database.`,
  )
}

async function readableRoot(root: string, identity: Identity): Promise<string> {
  try {
    await mkdir(root, { recursive: true, mode: 0o755 })
    if (await canReach(root, identity)) return root
  } catch (cause) {
    throw new DatabaseStartError(
      'data_folder_forbidden',
      root,
      `PostgreSQL does not run as root, and no folder that its user can read could be made at "${root}". Run this program as an ordinary user, or set DATABASE_URL.`,
      cause,
    )
  }
  throw new DatabaseStartError(
    'data_folder_forbidden',
    root,
    `PostgreSQL does not run as root, and its user (id ${identity.uid}) cannot enter "${root}". Allow that (chmod o+x), run this program as an ordinary user, or set DATABASE_URL.`,
  )
}

async function placesIn(home: string) {
  const beside = join(home, 'pg-socket')
  const fits = Buffer.byteLength(beside) <= SOCKET_FOLDER_MAX_BYTES
  const temporary = Buffer.byteLength(tmpdir()) <= SOCKET_FOLDER_MAX_BYTES / 2 ? tmpdir() : '/tmp'
  return {
    dataFolder: join(home, 'pg'),
    socketFolder: fits ? beside : await mkdtemp(join(temporary, 'alter-vault-')),
    socketFolderIsTemporary: !fits,
  }
}

/** The folder must be there, closed to others, at each start. */
export async function makeSocketFolder({ socketFolder, identity }: Place): Promise<void> {
  await mkdir(socketFolder, { recursive: true, mode: 0o700 })
  await chmod(socketFolder, 0o700)
  if (identity !== undefined) await chown(socketFolder, identity.uid, identity.gid)
}
