/*
 * The life of the server process.
 *
 *   starting ──> ready ── first signal ──> draining ──> ended (0)
 *      │           │                          └── second signal ──> ended at once (130)
 *      │           └── a fault nobody caught ──> ended at once (1): the state is unknown, and every promise is on disk
 *      └── a known mistake ──> its sentence, ended (1)
 */

import { EXIT } from './command-line.ts'
import type { Config } from './config.ts'
import type { FoundedOrganization, NewOrganization } from './found-organization.ts'
import type { Log } from './kernel/log.ts'

/** A server that runs, as the composition root makes it. */
export type RunningServer = {
  /** Where it listens, as a URL. */
  address: string
  foundOrganization(input: NewOrganization): Promise<FoundedOrganization>
  /** What a person should read once it is ready: where to click, which keys to use. One line each. */
  announcement?: readonly string[]
  /** Drains and closes everything, in reverse order of its making. */
  close(): Promise<void>
}

export type StopSignal = 'SIGINT' | 'SIGTERM'

type Deps = {
  start: (config: Config) => Promise<RunningServer>
  /** Calls back for each signal that asks the process to end. Returns how to stop listening. */
  onStopSignal: (stop: (signal: StopSignal) => void) => () => void
  /** Ends the process at once. */
  exit: (code: number) => void
  log: Log
  announce: (line: string) => void
}

/** Starts the server and resolves with the exit code when it has ended. Rejects when it cannot start. */
export async function runServer(config: Config, { start, onStopSignal, exit, log, announce }: Deps): Promise<number> {
  let asked = 0
  let stop = () => {}
  const stopped = new Promise<void>((resolve) => {
    stop = resolve
  })
  const forget = onStopSignal((signal) => {
    asked++
    if (asked === 1) {
      log.info({ signal }, 'stopping: in-flight requests may finish; a second signal ends them')
      stop()
    } else {
      log.warn({ signal }, 'stopped at once')
      exit(EXIT.interrupted)
    }
  })
  try {
    const server = await start(config)
    // Asked while starting: what was opened is still closed in order.
    if (asked === 0) {
      announce(`Alter Vault is ready at ${server.address}`)
      for (const line of server.announcement ?? []) announce(line)
      log.info({ address: server.address }, 'ready')
    }
    await stopped
    await server.close()
    log.info({}, 'stopped')
    return EXIT.ok
  } finally {
    forget()
  }
}
