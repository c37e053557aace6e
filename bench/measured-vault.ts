import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { cpuMicros, processTree, programOf, proportionalSetSize, sumOver } from './process-usage.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
/** A line of `--trace-gc`: megabytes of the heap before and after. */
const COLLECTION = / ms: [A-Za-z- ()]+ ([\d.]+) \([\d.]+\) -> ([\d.]+) \(/g
const READY_MS = 120_000
/** Of the log of a vault that did not start. */
const LAST_LINES = 20
const STEERING = /^(ALTER_|DATABASE_|NODE_OPTIONS$|PG)/

/** What the server writes for a person who tries it. */
export type DevFile = { organization_id: string; pat: string }

/** What the processes of a vault have used until now; those of servers beside it are counted with its own. */
export type Usage = {
  serverCpuMicros: number
  /** By process of PostgreSQL. */
  postgresCpuMicros: ReadonlyMap<number, number>
  memoryBytes: number
  /** Bytes of objects made by the server until its last garbage collection; counted with the argument `--trace-gc` only. */
  allocatedBytes: number
  /** Bytes of write-ahead log. */
  walBytes: number
  /** Bytes that the database takes on disk. */
  storedBytes: number
}

/** A vault with an embedded PostgreSQL (fsync on) in a folder of its own, started as `npm start` starts it. */
export type MeasuredVault = AsyncDisposable & {
  port: number
  dataDir: string
  dev: DevFile
  pid: number
  /** From starting the process to `is ready at`. */
  startMs: number
  /** What its processes have used until now. */
  usage(): Promise<Usage>
  /** Processes of PostgreSQL that serve what goes on behind calls: projection, checkpoints, tidying up. To be asked after a load. */
  backgroundSessions(): Promise<number[]>
  /** Runs statements as the owner of the database, to whom no row is hidden. */
  asOwner<T>(run: (owner: Client) => Promise<T>): Promise<T>
  stop(signal?: NodeJS.Signals): Promise<void>
  startAgain(): Promise<void>
  /** Starts a second server process on the same database. */
  startBeside(): Promise<AsyncDisposable & { port: number }>
}

/** `nodeArguments`: for profiling, such as `--cpu-prof`. `root`: another checkout, installed and built; this one unless said. */
export async function startMeasuredVault({
  nodeArguments = [],
  root = ROOT,
}: {
  nodeArguments?: readonly string[]
  root?: string
} = {}): Promise<MeasuredVault> {
  const programs = (await import(join(root, 'tools/bootstrap/run.mjs'))) as Record<string, readonly string[]>
  // An older checkout has one program, which makes the demonstration itself.
  const program = programs.DEMONSTRATION ?? programs.SERVER!
  const node = join(root, 'node_modules/.bin/node')
  const dataDir = await mkdtemp(join(tmpdir(), 'alter-vault-bench-'))
  const port = await freePort()
  const adminPort = await freePort()
  let child: ChildProcess
  const beside = new Set<ChildProcess>()
  let startMs = 0
  let allocatedBytes = 0
  let heapMegabytes = 0

  /** Starts a server process and resolves when it is ready. */
  async function start(args: readonly string[], env: Record<string, string>, onOutput?: (text: string) => void) {
    const log = openSync(join(dataDir, 'bench.log'), 'a')
    const started = spawn(node, args, {
      cwd: dataDir,
      env: { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !STEERING.test(name))), ...env },
      stdio: ['ignore', 'pipe', log],
    })
    closeSync(log)
    const ready = Promise.withResolvers<void>()
    let said = ''
    started.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('is ready at')) ready.resolve()
      onOutput?.(text)
    })
    started.once('exit', async (code) => {
      const lines = (await readFile(join(dataDir, 'bench.log'), 'utf8')).trimEnd().split('\n').slice(-LAST_LINES)
      ready.reject(new Error(`the vault ended with ${code} before it was ready:\n${said}${lines.join('\n')}`))
    })
    const tooLate = setTimeout(() => started.kill('SIGKILL'), READY_MS)
    await ready.promise.finally(() => clearTimeout(tooLate))
    return started
  }

  async function launch(): Promise<void> {
    const startedAt = performance.now()
    const env = { ALTER_DATA_DIR: dataDir, ALTER_PORT: String(port), ALTER_ADMIN_PORT: String(adminPort) }
    child = await start([...nodeArguments, ...program, 'dev'], env, (text) => {
      for (const [, before, after] of text.matchAll(COLLECTION)) {
        allocatedBytes += (Number(before) - heapMegabytes) * 1e6
        heapMegabytes = Number(after)
      }
    })
    startMs = performance.now() - startedAt
  }

  async function startBeside(): Promise<AsyncDisposable & { port: number }> {
    const [ownPort, ownAdminPort] = [await freePort(), await freePort()]
    const urlAs = (user: string) =>
      `postgresql:///alter_vault?host=${encodeURIComponent(join(dataDir, 'pg-socket'))}&user=${user}`
    const started = await start([...nodeArguments, ...programs.SERVER!, 'serve'], {
      DATABASE_URL: urlAs('alter_vault_server'),
      DATABASE_MIGRATION_URL: urlAs('postgres'),
      ALTER_ROOT_KEY_FILE: join(dataDir, 'root-keys.json'),
      ALTER_PUBLIC_URL: `http://127.0.0.1:${port}`,
      ALTER_PORT: String(ownPort),
      ALTER_ADMIN_PORT: String(ownAdminPort),
    })
    beside.add(started)
    return {
      port: ownPort,
      async [Symbol.asyncDispose]() {
        beside.delete(started)
        await end(started)
      },
    }
  }

  const stop = (signal?: NodeJS.Signals) => end(child, signal)

  async function asOwner<T>(run: (owner: Client) => Promise<T>): Promise<T> {
    const owner = new Client({ host: join(dataDir, 'pg-socket'), user: 'postgres', database: 'alter_vault' })
    await owner.connect()
    try {
      return await run(owner)
    } finally {
      await owner.end()
    }
  }

  await launch()
  const dev = JSON.parse(await readFile(join(dataDir, 'dev.json'), 'utf8')) as DevFile
  return {
    port,
    dataDir,
    dev,
    get pid() {
      return child.pid!
    },
    get startMs() {
      return startMs
    },
    async usage() {
      const [server, ...below] = await processTree(child.pid!)
      const programs = await Promise.all(below.map(programOf))
      const postgres = below.filter((_, i) => programs[i] === 'postgres')
      const servers = [server!, ...[...beside].map(({ pid }) => pid!)]
      const cpu = await Promise.all(postgres.map(cpuMicros))
      return {
        serverCpuMicros: await sumOver(servers, cpuMicros),
        postgresCpuMicros: new Map(postgres.map((pid, i) => [pid, cpu[i]!])),
        memoryBytes: await sumOver([...servers, ...below], proportionalSetSize),
        allocatedBytes,
        ...(await asOwner(databaseSizes)),
      }
    },
    backgroundSessions: () => asOwner(backgroundSessions),
    asOwner,
    stop,
    startAgain: launch,
    startBeside,
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill(signal)
  await once(child, 'exit')
}

async function databaseSizes(owner: Client): Promise<{ walBytes: number; storedBytes: number }> {
  const { rows } = await owner.query<{ wal: number; stored: number }>(
    `select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 as wal, pg_database_size(current_database())::float8 as stored`,
  )
  return { walBytes: rows[0]!.wal, storedBytes: rows[0]!.stored }
}

/** Sessions of the server other than those that calls write through; while calls run, those do background work only. */
async function backgroundSessions(owner: Client): Promise<number[]> {
  const { rows } = await owner.query<{ pid: number }>(
    `select pid from pg_stat_activity
     where backend_type = 'client backend' and application_name = 'alter-vault' and query not similar to '%(append_block|append_batch)[(]%'`,
  )
  return rows.map(({ pid }) => pid)
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  if (address === null || typeof address === 'string') throw new Error('the probe has no port')
  return address.port
}
