import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Identity } from './postgres-binaries.ts'

/** Nothing of the server's environment, which may hold keys, reaches PostgreSQL. */
export function childEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }
}

/**
 * How to start a program of PostgreSQL's. `setpriv` (util-linux) has the kernel send `signal` to it when this process dies,
 * however it dies. Where it is missing PostgreSQL outlives a killed server and is ended by the next start.
 */
export async function commandFor(
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
