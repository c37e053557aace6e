import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SCRIPTS = join(ROOT, 'e2e/python')
const CACHE = join(ROOT, 'node_modules/.cache/alter-python')

/** One line of JSON that a script printed. */
export type Line = Record<string, unknown>

/**
 * The Python with the packages of a file of `e2e/python`, installed once for each content of that file and each version of Python.
 * Rejects, saying what is missing, where there is no Python 3.11 or newer.
 */
export async function ensurePython(packages = 'requirements.txt'): Promise<string> {
  const run = promisify(execFile)
  const requirements = join(SCRIPTS, packages)
  const { stdout } = await run('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']).catch(
    (cause) => {
      throw new Error('These tests need python3, version 3.11 or newer, with the module venv', { cause })
    },
  )
  const version = stdout.trim()
  if (Number(version.split('.')[1]) < 11)
    throw new Error(`These tests need Python 3.11 or newer; python3 is ${version}`)
  const digest = createHash('sha256')
    .update(version)
    .update(await readFile(requirements))
    .digest('hex')
    .slice(0, 16)
  const folder = join(CACHE, digest)
  const python = join(folder, 'bin/python')
  if (existsSync(folder)) return python

  // Made beside and moved into place, so that test files that start together never run a half-made one.
  await mkdir(CACHE, { recursive: true })
  const fresh = await mkdtemp(`${folder}-`)
  await run('python3', ['-m', 'venv', fresh])
  const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--requirement', requirements]
  await run(join(fresh, 'bin/python'), install)
  await rename(fresh, folder).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error
    await rm(fresh, { recursive: true, force: true })
  })
  return python
}

/** A running script: its lines one by one, and a way to answer it. `await using` ends it. */
export type Script = AsyncDisposable & { lines: AsyncIterable<Line>; send(text: string): void; complaints(): string }

/** Starts a script of `e2e/python`. Lines that are no JSON objects are passed over. */
export function startScript(python: string, name: string, env: Record<string, string> = {}): Script {
  const child: ChildProcess = spawn(python, [join(SCRIPTS, name)], {
    env: { ...process.env, PYTHONUNBUFFERED: '1', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  let complaints = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const closed = once(child, 'close')

  async function* lines(): AsyncGenerator<Line> {
    if (child.stdout === null) return
    for await (const text of createInterface({ input: child.stdout })) {
      if (text.startsWith('{')) yield JSON.parse(text) as Line
    }
  }

  return {
    lines: lines(),
    send: (text) => void child.stdin?.write(`${text}\n`),
    complaints: () => complaints,
    async [Symbol.asyncDispose]() {
      child.stdin?.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
      await closed
      clearTimeout(timer)
    },
  }
}
