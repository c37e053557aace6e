/*
 * The server as `main.ts dev` runs it, with two things from outside that the product never takes:
 *
 *   E2E_HOSTS    JSON: host name → addresses it resolves to, one list for each time it is asked; the last list stays.
 *                Names that are not in it are resolved by the operating system.
 *   E2E_DIE_AT   path of a file that names a fault point; the process ends itself with SIGKILL when it comes by there. A file that is
 *                missing or empty names none, so that a test can arm it in between.
 */
import { existsSync, readFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { pino } from 'pino'
import { readConfig } from '../../packages/server/src/config.ts'
import { createServer } from '../../packages/server/src/create-server.ts'
import { type Resolve, systemResolve } from '../../packages/server/src/egress/address-guard.ts'
import { systemClock } from '../../packages/server/src/kernel/clock.ts'
import type { Faults } from '../../packages/server/src/kernel/faults.ts'
import { createLog } from '../../packages/server/src/kernel/log.ts'
import { runServer, type StopSignal } from '../../packages/server/src/run-server.ts'

const { E2E_HOSTS = '{}', E2E_DIE_AT, ...env } = process.env

const answers = JSON.parse(E2E_HOSTS) as Record<string, string[][]>
const resolve: Resolve = async (host) => {
  const queue = answers[host]
  if (queue === undefined) return systemResolve(host)
  const now = queue.length > 1 ? queue.shift() : queue[0]
  return (now ?? []).map((address) => ({ address, family: isIP(address) }))
}

const faults: Faults = {
  at(point) {
    if (E2E_DIE_AT === undefined || !existsSync(E2E_DIE_AT)) return
    if (readFileSync(E2E_DIE_AT, 'utf8').trim() === point) process.kill(process.pid, 'SIGKILL')
  },
}

const config = readConfig(env, { mode: 'dev', workingDir: process.cwd() })
const log = createLog({
  level: config.log.level,
  mode: config.mode,
  version: '0.0.0-faulty',
  destination: pino.destination({ fd: process.stderr.fd, sync: true }),
})
process.exitCode = await runServer(config, {
  start: (started) => createServer(started, { log, clock: systemClock, version: '0.0.0-faulty', faults, resolve }),
  onStopSignal(stop: (signal: StopSignal) => void) {
    process.on('SIGTERM', stop)
    return () => process.off('SIGTERM', stop)
  },
  exit: (code) => process.exit(code),
  log,
  announce: (line) => process.stdout.write(`${line}\n`),
})
