import { type ChildProcessByStdio, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import type { FaultPoint } from '../../packages/server/src/kernel/faults.ts'
import { type BreakableLink, startBreakableLink } from './breakable-link.ts'
import { type Postgres, startPostgres } from './start-postgres.ts'
import { freePort, startVault, type Vault } from './start-vault.ts'

/** One server process of several. */
export type Replica = {
  baseUrl: string
  pid: number
  logs(): string
  /** Lets it stop itself, as a machine that sleeps does, when it next comes by the point; `resume` wakes it. */
  pauseAt(point: FaultPoint): Promise<void>
  resume(): void
}

/** Two server processes on one PostgreSQL, the second behind a link that can break. */
export type Fleet = AsyncDisposable & {
  first: Replica
  second: Replica
  /** Where the demonstration's keys and tokens are. */
  vault: Vault
  postgres: Postgres
  link: BreakableLink
}

const ENTRY = join(import.meta.dirname, 'faulty-vault.ts')
const READY_MS = 60_000
export async function startFleet(): Promise<Fleet> {
  await using stack = new AsyncDisposableStack()
  const folder = await mkdtemp(join(tmpdir(), 'vault-fleet-'))
  stack.defer(() => rm(folder, { recursive: true, force: true }))
  const postgres = stack.use(await startPostgres())
  const link = stack.use(await startBreakableLink(postgres.socketFolder))
  const faults = (name: string) => ({ E2E_DIE_AT: join(folder, name) })

  const vault = stack.use(
    await startVault({ entry: ENTRY, env: { ...postgres.environment(), ...faults('first'), ALTER_LOG_LEVEL: 'warn' } }),
  )
  const port = await freePort()
  const second = stack.use(
    await launch(port, {
      ...postgres.environment(link.socketFolder),
      ...faults('second'),
      ALTER_LOG_LEVEL: 'warn',
      ALTER_PORT: String(port),
      ALTER_ADMIN_PORT: String(await freePort()),
      ALTER_PUBLIC_URL: vault.baseUrl,
      ALTER_ROOT_KEY_FILE: join(vault.dataDir, 'root-keys.json'),
    }),
  )
  const pausing = (name: string) => (point: FaultPoint) => writeFile(join(folder, name), `pause ${point}`)
  const owned = stack.move()
  return {
    vault,
    postgres,
    link,
    first: {
      baseUrl: vault.baseUrl,
      pid: vault.pid,
      logs: vault.logs,
      pauseAt: pausing('first'),
      resume: () => void process.kill(vault.pid, 'SIGCONT'),
    },
    second: {
      baseUrl: second.baseUrl,
      pid: second.pid,
      logs: second.logs,
      pauseAt: pausing('second'),
      resume: () => void process.kill(second.pid, 'SIGCONT'),
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function launch(port: number, env: Record<string, string>) {
  const { PATH = '', TMPDIR, HOME = '/' } = process.env
  const child: ChildProcessByStdio<null, Readable, Readable> = spawn(process.execPath, [ENTRY, 'serve'], {
    env: { PATH, HOME, ...(TMPDIR === undefined ? {} : { TMPDIR }), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const ready = Promise.withResolvers<void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      if (output.includes('is ready at')) ready.resolve()
    })
  }
  const exited = once(child, 'close')
  const tooLate = setTimeout(() => child.kill('SIGKILL'), READY_MS)
  try {
    await Promise.race([
      ready.promise,
      exited.then(() => Promise.reject(new Error(`The second server did not become ready. It wrote:\n${output}`))),
    ])
  } finally {
    clearTimeout(tooLate)
  }
  return {
    baseUrl: `http://127.0.0.1:${port}`,
    pid: child.pid ?? 0,
    logs: () => output,
    async [Symbol.asyncDispose]() {
      child.kill('SIGCONT')
      child.kill('SIGTERM')
      await exited
    },
  }
}
