/*
 * A real PostgreSQL 18 as a child of this process, reachable only through a unix socket.
 *
 *   <dataDir>/pg            the data folder; a link to <relocationRoot>/<random>/pg when PostgreSQL's user cannot enter dataDir
 *   <dataDir>/pg.initdb-*   an initdb that did not finish; renamed to pg when it does, removed when its process is gone
 *   <dataDir>/pg-socket     the socket, or a short folder under the temp folder when the path is too long
 *   <dataDir>/pg-ballast    blocks to give up when the disk is full
 *
 *   start ─> prepare folder ─> end orphan ─> initdb, if new ─> postmaster ─> ready ──┐
 *              ^                                                                     │ postmaster died
 *              └────────────────────── 0.1 … 30 s later ─────────────────────────────┘
 *   close ─> SIGINT (fast, clean) ─> 30 s ─> SIGQUIT (recovers at the next start)
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  rmdir,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import { Client } from 'pg'
import type { Log } from '../kernel/log.ts'
import { type DatabaseConnection, SERVER_ROLE, toClientConfig } from './connection.ts'
import { DatabaseStartError } from './database-start-error.ts'
import { createDiskBallast } from './disk-ballast.ts'
import { canReach, copyNativeFolder, findNativeFolder, type Identity } from './postgres-binaries.ts'
import { clearDataFolder, hasPid, inUse, OWNER_SETTING } from './postmaster-process.ts'

/** The major version of the binaries, as PostgreSQL writes it into `PG_VERSION`. */
const MAJOR_VERSION = '18'

const PORT = 5432
const OWNER = 'postgres'
const DATABASE = 'alter_vault'
const NOBODY: Identity = { uid: 65534, gid: 65534 }

/** `sun_path` holds 107 bytes and a zero (unix(7)); PostgreSQL appends `/.s.PGSQL.5432`. */
const SOCKET_FOLDER_MAX_BYTES = 107 - `/.s.PGSQL.${PORT}`.length

const BALLAST_BYTES = 64 * 1024 * 1024
const STOP_MS = 30_000
const RESTART_DELAYS_MS = [100, 1_000, 5_000, 15_000, 30_000]
const STILL_STARTING_MS = 10_000
const LAST_LINES = 20

/** Small in memory, strict about durability. An operator's own settings in `postgresql.conf` are overruled by these. */
const SETTINGS: Readonly<Record<string, string>> = {
  listen_addresses: '',
  port: String(PORT),
  max_connections: '60',
  shared_buffers: '32MB',
  work_mem: '4MB',
  maintenance_work_mem: '32MB',
  max_locks_per_transaction: '256',
  huge_pages: 'off',
  io_method: 'sync',
  max_worker_processes: '4',
  max_parallel_workers: '2',
  autovacuum_max_workers: '2',
  jit: 'off',
  fsync: 'on',
  synchronous_commit: 'on',
  full_page_writes: 'on',
  wal_level: 'replica',
  max_wal_senders: '4',
  min_wal_size: '64MB',
  max_wal_size: '512MB',
  checkpoint_timeout: '15min',
  unix_socket_permissions: '0700',
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
  log_line_prefix: '',
  logging_collector: 'off',
  log_destination: 'stderr',
  // Values of rows and parameters stay out of the log: no DETAIL, no statement text.
  log_error_verbosity: 'terse',
  log_min_messages: 'log',
  log_min_error_statement: 'panic',
}

type EmbeddedPostgresLog = Pick<Log, 'debug' | 'info' | 'warn' | 'error'>

export type EmbeddedPostgresOptions = {
  /** The data folder of the server; made when missing. */
  dataDir: string
  log: EmbeddedPostgresLog
  /** Changes to PostgreSQL's settings; `fsync: 'off'` also lets initdb skip its sync. */
  settings?: Readonly<Record<string, string>>
  /** Size of the file that is given up when the disk is full; 0 keeps none. */
  ballastBytes?: number
  /** Where root puts the data and the binaries when PostgreSQL's user cannot enter the folders they are in. */
  relocationRoot?: string
}

export type EmbeddedPostgres = {
  /** As the server's role, for all work. */
  connection: DatabaseConnection & { host: string; port: number; user: string; database: string }
  /** As the owner of everything, for migrations only. */
  ownerConnection: DatabaseConnection & { host: string; port: number; user: string; database: string }
  /** Process id of the postmaster that runs now. */
  pid(): number | undefined
  /** Stops PostgreSQL cleanly; open connections are ended. Safe to call twice. */
  close(): Promise<void>
}

type Place = {
  native: string
  home: string
  dataFolder: string
  socketFolder: string
  /** The socket folder stands under the temp folder and is removed at the end. */
  socketFolderIsTemporary: boolean
  identity: Identity | undefined
}

type Postmaster = { child: ChildProcess; exited: Promise<void> }

/**
 * Starts PostgreSQL on `dataDir` and resolves when it takes connections. Should it die, it is started again until `close()`.
 * @throws DatabaseStartError naming the path and the next step; nothing is lost.
 */
export async function createEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const { log, ballastBytes = BALLAST_BYTES, relocationRoot = '/var/lib/alter-vault' } = options
  const settings = { ...SETTINGS, ...options.settings }
  const osUser = currentUserName()

  const place = await findPlace(resolve(options.dataDir), relocationRoot, log)
  const ballast = createDiskBallast({ path: join(place.home, 'pg-ballast'), bytes: ballastBytes })
  let postmaster = await startWithRoom()
  let closing: Promise<void> | undefined
  let restarting: Promise<void> | undefined
  const stopWaiting = new AbortController()
  supervise(postmaster)

  const connectionAs = (user: string) => ({ host: place.socketFolder, port: PORT, user, database: DATABASE })
  return {
    connection: connectionAs(SERVER_ROLE),
    ownerConnection: connectionAs(OWNER),
    pid: () => postmaster.child.pid,
    close() {
      closing ??= close()
      return closing
    },
  }

  async function startWithRoom(): Promise<Postmaster> {
    try {
      const started = await start()
      await ballast.keep(place.home)
      return started
    } catch (error) {
      if (!(error instanceof DatabaseStartError) || error.problem !== 'disk_full' || !(await ballast.free()))
        throw error
      log.error(
        { path: place.home, freed_bytes: ballastBytes },
        `The disk that holds "${place.home}" is full. A reserve of ${ballastBytes} bytes was freed so that PostgreSQL can run; make room there now.`,
      )
      return await start()
    }
  }

  async function start(): Promise<Postmaster> {
    const cleared = await clearDataFolder(place.dataFolder)
    if (cleared !== 'idle')
      log.warn({ path: place.dataFolder, cleared }, 'Cleared what a killed server left in the data folder')
    await removeUnfinished(place.home)
    await assertUsable(place)
    if (!(await exists(place.dataFolder))) await initialise(place, settings)
    await writeAccessRules(place, osUser)
    await makeSocketFolder(place)
    const started = await launch(place, settings, log)
    try {
      await makeDatabase(place)
    } catch (error) {
      await stop(started)
      throw error
    }
    return started
  }

  /** PostgreSQL restarts its own workers; only the postmaster itself has nobody else to look after it. */
  function supervise(watched: Postmaster): void {
    void watched.exited.then(() => {
      if (closing === undefined) restarting = restart()
    })
  }

  async function restart(): Promise<void> {
    for (let attempt = 0; closing === undefined; attempt++) {
      const delayMs = RESTART_DELAYS_MS[Math.min(attempt, RESTART_DELAYS_MS.length - 1)]
      log.error({ path: place.dataFolder, delay_ms: delayMs }, 'PostgreSQL ended by itself; starting it again')
      await delay(delayMs, undefined, { signal: stopWaiting.signal }).catch(() => undefined)
      if (closing !== undefined) return
      try {
        postmaster = await startWithRoom()
        supervise(postmaster)
        log.info({ path: place.dataFolder }, 'PostgreSQL runs again')
        return
      } catch (error) {
        log.error({ err: error, path: place.dataFolder }, 'PostgreSQL could not be started again')
      }
    }
  }

  async function close(): Promise<void> {
    stopWaiting.abort()
    await restarting
    await stop(postmaster)
    if (place.socketFolderIsTemporary) await rmdir(place.socketFolder).catch(() => undefined)
  }
}

function currentUserName(): string {
  try {
    return userInfo().username
  } catch (cause) {
    throw new DatabaseStartError(
      'user_unknown',
      '/etc/passwd',
      `The user with id ${process.getuid?.()} that runs this program has no entry in "/etc/passwd", and PostgreSQL refuses to start for such a user. Add an entry, run as another user, or set DATABASE_URL.`,
      cause,
    )
  }
}

async function exists(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => undefined)) !== undefined
}

/** Decides who runs PostgreSQL, from where, and where its folders are; makes those that are missing. */
async function findPlace(dataDir: string, relocationRoot: string, log: EmbeddedPostgresLog): Promise<Place> {
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

async function makeSocketFolder({ socketFolder, identity }: Place): Promise<void> {
  await mkdir(socketFolder, { recursive: true, mode: 0o700 })
  await chmod(socketFolder, 0o700)
  if (identity !== undefined) await chown(socketFolder, identity.uid, identity.gid)
}

function forbidden(path: string, cause: unknown): DatabaseStartError {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'ENOSPC' || code === 'EDQUOT') return diskFull(path, cause)
  return new DatabaseStartError(
    'data_folder_forbidden',
    path,
    `The data folder "${path}" cannot be made or written (${code}). Give this program's user the right to do so, or choose another data folder.`,
    cause,
  )
}

function diskFull(path: string, cause?: unknown): DatabaseStartError {
  return new DatabaseStartError(
    'disk_full',
    path,
    `The disk that holds "${path}" is full and PostgreSQL cannot start. Make room there and start again; nothing is lost.`,
    cause,
  )
}

/**
 * Removes initdb folders whose process is gone. A live one belongs to another start of the same moment; one that cannot be
 * removed now only takes room, and the next start tries again.
 */
async function removeUnfinished(home: string): Promise<void> {
  for (const name of await readdir(home)) {
    const pid = /^pg\.initdb-(\d+)-/.exec(name)?.[1]
    if (pid === undefined || (Number(pid) !== process.pid && hasPid(Number(pid)))) continue
    await rm(join(home, name), { recursive: true, force: true }).catch(() => undefined)
  }
}

/** Refuses a data folder that these binaries must not touch. A folder that is missing is fine, an empty one is removed. */
async function assertUsable({ dataFolder, identity }: Place): Promise<void> {
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
async function initialise(place: Place, settings: Readonly<Record<string, string>>): Promise<void> {
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
    throw explain(output.split('\n'), home, cause)
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

/** Nothing of the server's environment, which may hold keys, reaches PostgreSQL. */
function childEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
}

/** Only the operating-system user of this process may connect, as the owner or as the server's role (pg_hba.conf, "peer"). */
async function writeAccessRules({ dataFolder, identity }: Place, osUser: string): Promise<void> {
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

/**
 * How to start a program of PostgreSQL's. `setpriv` (util-linux) has the kernel send `signal` to it when this process dies,
 * however it dies. Where it is missing PostgreSQL outlives a killed server and is ended by the next start.
 */
async function commandFor(
  program: string,
  args: readonly string[],
  signal: 'INT' | 'KILL',
  identity: Identity | undefined,
) {
  if (!(await hasSetpriv())) return { file: program, args, options: { ...identity } }
  const drop = identity === undefined ? [] : [`--reuid=${identity.uid}`, `--regid=${identity.gid}`, '--clear-groups']
  return { file: 'setpriv', args: [...drop, `--pdeathsig=${signal}`, program, ...args], options: {} }
}

async function hasSetpriv(): Promise<boolean> {
  if (process.platform !== 'linux') return false
  try {
    await promisify(execFile)('setpriv', ['--pdeathsig=INT', 'true'])
    return true
  } catch {
    return false
  }
}

async function launch(
  place: Place,
  settings: Readonly<Record<string, string>>,
  log: EmbeddedPostgresLog,
): Promise<Postmaster> {
  const { native, dataFolder, socketFolder, identity } = place
  const all = { ...settings, unix_socket_directories: socketFolder, [OWNER_SETTING]: String(process.pid) }
  const args = ['-D', dataFolder, ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])]
  const command = await commandFor(join(native, 'bin', 'postgres'), args, 'INT', identity)
  // Detached: Ctrl-C in a terminal goes to the whole group, and PostgreSQL must outlive the server's last requests.
  const child = spawn(command.file, command.args, {
    ...command.options,
    cwd: dataFolder,
    env: childEnvironment(),
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  })

  const killWithUs = () => child.kill('SIGINT')
  process.once('exit', killWithUs)
  const lastLines: string[] = []
  let resolveReady = (_ready: boolean) => {}
  const ready = new Promise<boolean>((resolve) => {
    resolveReady = resolve
  })
  createInterface({ input: child.stderr }).on('line', (line) => {
    lastLines.push(line)
    if (lastLines.length > LAST_LINES) lastLines.shift()
    if (line.includes('database system is ready to accept connections')) resolveReady(true)
    const serious = /^(FATAL|PANIC):/.test(line)
    log[serious ? 'warn' : 'debug']({ component: 'postgres' }, line)
  })
  const exited = new Promise<void>((resolve) => {
    const end = (error?: Error) => {
      if (error !== undefined) lastLines.push(error.message)
      process.removeListener('exit', killWithUs)
      resolveReady(false)
      resolve()
    }
    child.once('error', end)
    child.once('close', () => end())
  })
  const stillStarting = setInterval(() => {
    log.warn(
      { path: dataFolder, last: lastLines.at(-1) },
      'PostgreSQL is still starting; after a crash it first replays its log',
    )
  }, STILL_STARTING_MS)
  const isReady = await ready
  clearInterval(stillStarting)
  if (isReady) return { child, exited }
  throw explain(lastLines, dataFolder)
}

/** From PostgreSQL's last words to what the operator should do. */
function explain(lines: readonly string[], path: string, cause?: unknown): DatabaseStartError {
  const text = lines.filter((line) => line.trim() !== '').join('\n')
  if (/No space left on device|Disk quota exceeded/.test(text)) return diskFull(path, cause)
  if (
    /lock file "[^"]*" (already exists|is empty)|bogus data in lock file|could not remove old lock file|pre-existing shared memory block/.test(
      text,
    )
  ) {
    return inUse(path, 'another start of this program')
  }
  if (/could not look up effective user ID/.test(text)) {
    return new DatabaseStartError(
      'user_unknown',
      '/etc/passwd',
      `The user that should run PostgreSQL has no entry in "/etc/passwd". Add one, run this program as another user, or set DATABASE_URL.\n${text}`,
      cause,
    )
  }
  return new DatabaseStartError(
    'start_failed',
    path,
    `PostgreSQL did not start on "${path}". Its last words:\n${text === '' ? '(none)' : text}`,
    cause,
  )
}

/** Makes the database and the server's role of a new cluster. */
async function makeDatabase({ socketFolder }: Place): Promise<void> {
  const client = new Client(
    toClientConfig(
      { host: socketFolder, port: PORT, user: OWNER, database: OWNER },
      { applicationName: 'alter-vault start', connectTimeoutMs: 10_000 },
    ),
  )
  await client.connect()
  try {
    const { rows } = await client.query<{ role: boolean; database: boolean }>(
      'select exists (select from pg_roles where rolname = $1 and rolcanlogin) as role, exists (select from pg_database where datname = $2) as database',
      [SERVER_ROLE, DATABASE],
    )
    if (rows[0]?.role !== true) {
      await client.query(
        `do $$ begin create role ${SERVER_ROLE}; exception when duplicate_object then null; end $$; alter role ${SERVER_ROLE} login`,
      )
    }
    if (rows[0]?.database !== true) await client.query(`create database ${DATABASE}`)
  } finally {
    await client.end()
  }
}

async function stop({ child, exited }: Postmaster): Promise<void> {
  for (const signal of ['SIGINT', 'SIGQUIT'] as const) {
    if (child.exitCode !== null || child.signalCode !== null) break
    child.kill(signal)
    const timeout = new AbortController()
    const stopped = await Promise.race([
      exited.then(() => true),
      delay(STOP_MS, false, { signal: timeout.signal }).catch(() => false),
    ])
    timeout.abort()
    if (stopped) return
  }
  await exited
}
