import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import type { DevFile } from '../../tools/demo/demonstration.ts'
import { placeDatabase } from './prepare-database.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const MAIN = join(ROOT, 'tools/demo/start.ts')
const READY_MS = 60_000
/** Variables of the developer's own shell that would steer the server. */
const STEERING = /^(ALTER_|DATABASE_|NODE_OPTIONS$|VITEST|PG)/

/** A server process of its own, with a data folder of its own. `await using` ends it and removes the folder. */
export type Vault = AsyncDisposable & {
  baseUrl: string
  dataDir: string
  dev: DevFile
  pid: number
  /** Everything that the process and its earlier lives wrote to standard output and standard error. */
  logs(): string
  /** Asks it to end, as a process manager does, and resolves with its exit code. */
  stop(): Promise<number | null>
  /** Ends it as a power cut does. */
  kill9(): Promise<void>
  /** Resolves with how the process ended, when it ends by itself. */
  ended(): Promise<{ code: number | null; signal: NodeJS.Signals | null }>
  /** Starts a process on the same data folder and port after `stop` or `kill9`. */
  startAgain(options?: { env?: Record<string, string>; entry?: string }): Promise<void>
  /** Runs statements as the owner of the database, to which no row is hidden. */
  asOwner<T>(run: (owner: Client) => Promise<T>): Promise<T>
}

type Options = {
  env?: Record<string, string>
  /** Another entry file than the product's, for faults. */
  entry?: string
  /** Begins with an empty data folder, as the first start of all does, and not with a database that is there. */
  fromNothing?: boolean
}

/**
 * Starts the server as `npm start` does, on free ports of the loopback address, and resolves once it is ready.
 * Rejects with its output when it ends first.
 */
export async function startVault(options: Options = {}): Promise<Vault> {
  const dataDir = await mkdtemp(join(tmpdir(), 'vault-'))
  const port = await freePort()
  const baseUrl = `http://127.0.0.1:${port}`
  let output = ''
  let child: ChildProcessByStdio<null, Readable, Readable> | undefined
  let exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>

  async function launch({ env = {}, entry = MAIN }: Options): Promise<void> {
    const inherited = Object.fromEntries(Object.entries(process.env).filter(([name]) => !STEERING.test(name)))
    const launched = spawn(process.execPath, [entry, 'dev'], {
      cwd: dataDir,
      env: {
        ...inherited,
        ALTER_DATA_DIR: dataDir,
        ALTER_PORT: String(port),
        ALTER_ADMIN_PORT: String(await freePort()),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    child = launched
    const ready = Promise.withResolvers<void>()
    let said = ''
    launched.stderr.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
    launched.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      said += text
      if (said.includes('is ready at')) ready.resolve()
    })
    exited = once(launched, 'close').then(([code, signal]) => ({ code, signal }))
    const tooLate = setTimeout(() => launched.kill('SIGKILL'), READY_MS)
    try {
      await Promise.race([ready.promise, exited.then(failed)])
    } finally {
      clearTimeout(tooLate)
    }
  }

  function failed(): never {
    throw new Error(`The server did not become ready. It wrote:\n${output}`)
  }

  async function end(signal: NodeJS.Signals): Promise<number | null> {
    child?.kill(signal)
    return (await exited).code
  }

  async function dispose(): Promise<void> {
    if (child?.exitCode === null && child.signalCode === null) await end('SIGTERM')
    await rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }

  try {
    if (options.fromNothing !== true && options.env?.DATABASE_URL === undefined) await placeDatabase(dataDir)
    await launch(options)
    const dev = JSON.parse(await readFile(join(dataDir, 'dev.json'), 'utf8')) as DevFile
    return {
      baseUrl,
      dataDir,
      dev,
      get pid() {
        return child?.pid ?? 0
      },
      logs: () => output,
      stop: () => end('SIGTERM'),
      kill9: async () => void (await end('SIGKILL')),
      ended: () => exited,
      startAgain: (again = {}) => launch({ ...options, ...again }),
      async asOwner(run) {
        const owner = new Client({ host: join(dataDir, 'pg-socket'), user: 'postgres', database: 'alter_vault' })
        await owner.connect()
        try {
          return await run(owner)
        } finally {
          await owner.end()
        }
      },
      [Symbol.asyncDispose]: dispose,
    }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** A port that nothing listens on now. */
export async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const address = probe.address()
  probe.close()
  await once(probe, 'close')
  if (address === null || typeof address === 'string') throw new Error('the probe has no port')
  return address.port
}
