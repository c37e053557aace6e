/*
 * How long `npm start` takes until the vault answers: on an empty data folder after installing, and on one that holds data.
 *
 *   node bench/startup.bench.ts
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const START = fileURLToPath(new URL('../tools/bootstrap/start.mjs', import.meta.url))
const STEERING = /^(ALTER_|DATABASE_|NODE_OPTIONS$|PG)/

/** Runs what `npm start` runs until it says that it is ready, then ends it. Milliseconds. */
async function timeStart(dataDir: string): Promise<number> {
  const startedAt = performance.now()
  const child = spawn(process.execPath, [START], {
    cwd: dataDir,
    env: {
      ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !STEERING.test(name))),
      ALTER_DATA_DIR: dataDir,
      ALTER_PORT: '0',
      ALTER_LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ready = Promise.withResolvers<void>()
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    said += text
    if (said.includes('is ready at')) ready.resolve()
  })
  const exited = once(child, 'exit')
  await Promise.race([
    ready.promise,
    exited.then(([code]) => {
      throw new Error(`npm start ended with ${code} before it was ready:\n${said}`)
    }),
  ])
  const tookMs = performance.now() - startedAt
  child.kill('SIGTERM')
  await exited
  return tookMs
}

/** The middle one of several starts on data that is there, after one on an empty folder. */
export async function measureStarts(): Promise<{ emptyMs: number; existingMs: number }> {
  const dataDir = await mkdtemp(join(tmpdir(), 'alter-vault-start-'))
  try {
    const emptyMs = await timeStart(dataDir)
    const again: number[] = []
    for (let i = 0; i < 3; i++) again.push(await timeStart(dataDir))
    return { emptyMs, existingMs: again.sort((a, b) => a - b)[1]! }
  } finally {
    await rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}

if (import.meta.main) {
  const { emptyMs, existingMs } = await measureStarts()
  process.stdout.write(`empty data folder ${Math.round(emptyMs)} ms, existing ${Math.round(existingMs)} ms\n`)
}
