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
import { type ChildProcess, spawn } from 'node:child_process'
import { rmdir } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import { Client } from 'pg'
import type { Log } from '../kernel/log.ts'
import { type DatabaseConnection, SERVER_ROLE, toClientConfig } from './connection.ts'
import { DatabaseStartError, explainLastWords } from './database-start-error.ts'
import { createDiskBallast } from './disk-ballast.ts'
import { childEnvironment, commandFor } from './postgres-command.ts'
import { assertUsable, initialize, OWNER, removeUnfinished, writeAccessRules } from './postgres-data-folder.ts'
import { exists, findPlace, makeSocketFolder, type Place, PORT } from './postgres-place.ts'
import { clearDataFolder, OWNER_SETTING } from './postmaster-process.ts'

const DATABASE = 'alter_vault'
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
  let postmaster = await startWithRoom().catch(async (error: unknown) => {
    await removeTemporaryFolder()
    throw error
  })
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
    const cleared = await clearDataFolder(place.dataFolder, join(place.socketFolder, `.s.PGSQL.${PORT}`))
    if (cleared !== 'idle')
      log.warn({ path: place.dataFolder, cleared }, 'Cleared what a killed server left in the data folder')
    await removeUnfinished(place.home)
    await assertUsable(place)
    if (!(await exists(place.dataFolder))) await initialize(place, settings)
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
    await removeTemporaryFolder()
  }

  async function removeTemporaryFolder(): Promise<void> {
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
  throw explainLastWords(lastLines, dataFolder)
}

/** Makes the database and the server's role of a new cluster. */
async function makeDatabase({ socketFolder }: Place): Promise<void> {
  const client = new Client(
    toClientConfig(
      { host: socketFolder, port: PORT, user: OWNER, database: OWNER },
      { applicationName: 'alter-vault start', connectTimeoutMs: 10_000 },
    ),
  )
  // A session that is lost between two queries would otherwise end the process; the next query reports it.
  client.on('error', () => undefined)
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
