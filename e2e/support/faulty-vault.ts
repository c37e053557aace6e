/*
 * The server as `tools/demo/start.ts dev` or `main.ts serve` runs it, with things from outside that the product never takes:
 *
 *   E2E_HOSTS    JSON: host name → addresses it resolves to, one list for each time it is asked; the last list stays.
 *                Names that are not in it are resolved by the operating system.
 *   E2E_DIE_AT   path of a file that names a fault point; the process ends itself with SIGKILL when it comes by there, or, with the word
 *                `pause` before the point, stops itself with SIGSTOP once. A file that is missing or empty names none, so that a test can
 *                arm it in between.
 *   E2E_PACE     JSON: how often it tidies up, see `Pace` in audit/create-audit.ts.
 *   E2E_STRICT   any text: an answer that breaks its declaration is a fault, and operators may call as often as they like.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { isIP } from 'node:net'
import { pino } from 'pino'
import type { Pace } from '../../packages/server/src/audit/index.ts'
import { readConfig } from '../../packages/server/src/config.ts'
import { createServer } from '../../packages/server/src/create-server.ts'
import { type Resolve, systemResolve } from '../../packages/server/src/egress/address-guard.ts'
import { systemClock } from '../../packages/server/src/kernel/clock.ts'
import type { Faults } from '../../packages/server/src/kernel/faults.ts'
import { createLog } from '../../packages/server/src/kernel/log.ts'
import { runServer, type StopSignal } from '../../packages/server/src/run-server.ts'
import { withDemonstration } from '../../tools/demo/demonstration.ts'

const { E2E_HOSTS = '{}', E2E_DIE_AT, E2E_PACE = '{}', E2E_STRICT, ...env } = process.env

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
    const armed = readFileSync(E2E_DIE_AT, 'utf8').trim()
    if (armed === point) process.kill(process.pid, 'SIGKILL')
    if (armed !== `pause ${point}`) return
    writeFileSync(E2E_DIE_AT, '')
    process.kill(process.pid, 'SIGSTOP')
  },
}

const config = readConfig(env, { mode: process.argv[2] === 'serve' ? 'serve' : 'dev', workingDir: process.cwd() })
const pace = JSON.parse(E2E_PACE) as Partial<Pace>
const strict = E2E_STRICT === undefined ? {} : { assertContracts: true, operatorCallsPerMinute: 1_000_000 }
const log = createLog({
  level: config.log.level,
  mode: config.mode,
  version: '0.0.0-faulty',
  destination: pino.destination({ fd: process.stderr.fd, sync: true }),
})
process.exitCode = await runServer(config, {
  async start(started) {
    const options = { log, clock: systemClock, version: '0.0.0-faulty', faults, resolve, pace, ...strict }
    const server = await createServer(started, options)
    return started.mode === 'dev' ? withDemonstration(started, server) : server
  },
  onStopSignal(stop: (signal: StopSignal) => void) {
    process.on('SIGTERM', stop)
    return () => process.off('SIGTERM', stop)
  },
  exit: (code) => process.exit(code),
  log,
  announce: (line) => process.stdout.write(`${line}\n`),
})
