import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Client } from 'pg'
import { SERVER } from '../tools/bootstrap/run.mjs'
import { cpuMicros, processTree, programOf, proportionalSetSize, sumOver } from './process-usage.ts'

const READY_MS = 120_000
const STEERING = /^(ALTER_|DATABASE_|NODE_OPTIONS$|PG)/

/** What the server writes for a person who tries it. */
export type DevFile = { organization_id: string; pat: string }

/** What the processes of a vault have used until now. */
export type Usage = {
  serverCpuMicros: number
  /** By process of PostgreSQL. */
  postgresCpuMicros: ReadonlyMap<number, number>
  memoryBytes: number
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
}

/** `nodeArguments`: for profiling, such as `--cpu-prof`. */
export async function startMeasuredVault({
  nodeArguments = [],
}: {
  nodeArguments?: readonly string[]
} = {}): Promise<MeasuredVault> {
  const dataDir = await mkdtemp(join(tmpdir(), 'alter-vault-bench-'))
  const port = await freePort()
  const adminPort = await freePort()
  let child: ChildProcess
  let startMs = 0

  async function launch(): Promise<void> {
    const log = openSync(join(dataDir, 'bench.log'), 'a')
    const startedAt = performance.now()
    child = spawn(process.execPath, [...nodeArguments, ...SERVER, 'dev'], {
      cwd: dataDir,
      env: {
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !STEERING.test(name))),
        ALTER_DATA_DIR: dataDir,
        ALTER_PORT: String(port),
        ALTER_ADMIN_PORT: String(adminPort),
      },
      stdio: ['ignore', 'pipe', log],
    })
    closeSync(log)
    const ready = Promise.withResolvers<void>()
    let said = ''
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('is ready at')) ready.resolve()
    })
    child.once('exit', (code) =>
      ready.reject(new Error(`the vault ended with ${code}; its log is ${dataDir}/bench.log`)),
    )
    const tooLate = setTimeout(() => child.kill('SIGKILL'), READY_MS)
    await ready.promise.finally(() => clearTimeout(tooLate))
    startMs = performance.now() - startedAt
  }

  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, 'exit')
  }

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
      const cpu = await Promise.all(postgres.map(cpuMicros))
      return {
        serverCpuMicros: await cpuMicros(server!),
        postgresCpuMicros: new Map(postgres.map((pid, i) => [pid, cpu[i]!])),
        memoryBytes: await sumOver([server!, ...below], proportionalSetSize),
      }
    },
    backgroundSessions: () => asOwner(backgroundSessions),
    asOwner,
    stop,
    startAgain: launch,
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
    },
  }
}

/** Sessions of the server other than those that calls write through; while calls run, those do background work only. */
async function backgroundSessions(owner: Client): Promise<number[]> {
  const { rows } = await owner.query<{ pid: number }>(
    `select pid from pg_stat_activity
     where backend_type = 'client backend' and application_name = 'alter-vault' and query not like '%append_batch(%'`,
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
