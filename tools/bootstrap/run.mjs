import { spawn } from 'node:child_process'
import { constants } from 'node:os'
import { delimiter, join } from 'node:path'
import { BootstrapError, ensureInstalled, note, ROOT } from './install.mjs'

/** One Ctrl-C arrives twice: from the terminal, and from npm, which passes on its own. */
const SAME_SIGNAL_MS = 500

/**
 * Arguments of Node that run the server. V8 would give short-lived objects up to 128 MB on a machine with much memory; a quarter of that
 * costs some 3 % of CPU under load and saves 80 MB. Threads that are woken to collect so little cost more than they take off (docs/decisions/0014).
 */
const SPARING = ['--max-semi-space-size=24', '--no-parallel-scavenge']
export const SERVER = [...SPARING, join(ROOT, 'packages/server/src/main.ts')]
/** The same, with the demonstration beside it when its command is `dev`. */
export const DEMONSTRATION = [...SPARING, join(ROOT, 'tools/demo/start.ts')]

/**
 * Runs `node <args>` in the checkout and resolves with its exit code (128 + number when a signal ended it). Signals to this
 * process are passed on, each once; the child decides when it is done.
 * @param {string} node
 * @param {readonly string[]} args
 * @param {{ cwd?: string, env?: Record<string, string>, onOutput?: (text: string) => void }} [options] `env` is added to this process's own;
 *   `onOutput` also gets what the child writes to standard output
 * @returns {Promise<number>}
 */
export function runNode(node, args, { cwd = ROOT, env = {}, onOutput } = {}) {
  const child = spawn(node, args, {
    cwd,
    stdio: ['inherit', onOutput === undefined ? 'inherit' : 'pipe', 'inherit'],
    // A process group of its own, so that Ctrl-C in the terminal reaches the child through us alone.
    detached: process.platform !== 'win32',
    // Memory that was freed goes back: glibc would keep it in an arena for each of many threads.
    env: {
      MALLOC_ARENA_MAX: '2',
      ...process.env,
      ...env,
      PATH: [join(ROOT, 'node_modules', '.bin'), process.env.PATH].join(delimiter),
    },
  })
  child.stdout?.on('data', (bytes) => {
    process.stdout.write(bytes)
    onOutput(String(bytes))
  })
  const last = new Map()
  const passOn = (signal) => {
    const now = performance.now()
    if (now - (last.get(signal) ?? Number.NEGATIVE_INFINITY) < SAME_SIGNAL_MS) return
    last.set(signal, now)
    child.kill(signal)
  }
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
  for (const signal of signals) process.on(signal, passOn)
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      for (const name of signals) process.removeListener(name, passOn)
      resolve(code ?? 128 + constants.signals[signal])
    })
  })
}

/**
 * The frame of each command: install, do, end with the exit code that `command` resolves with.
 * @param {(node: string, args: string[]) => Promise<number>} command
 */
export async function main(command) {
  try {
    const node = await ensureInstalled()
    process.exitCode = await command(node, process.argv.slice(2))
  } catch (error) {
    if (!(error instanceof BootstrapError)) throw error
    note(error.message)
    process.exitCode = 1
  }
}
