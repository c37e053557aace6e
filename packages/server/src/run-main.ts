import { readFileSync } from 'node:fs'
import { pino } from 'pino'
import { type Commands, EXIT, runCommandLine } from './command-line.ts'
import { type Config, readConfig, readRootKeys } from './config.ts'
import { rotateRootKey } from './crypto/rotate-root-key.ts'
import { foundOrganizationOffline } from './found-organization.ts'
import { systemClock } from './kernel/clock.ts'
import { createLog, type Log, withoutSecrets } from './kernel/log.ts'
import { VaultError } from './kernel/vault-error.ts'
import { describeKnownMistake } from './known-mistake.ts'
import { openInstallation } from './open-installation.ts'
import { type RunningServer, runServer, type StopSignal } from './run-server.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }

const say = (text: string) => process.stdout.write(text)
const complain = (text: string) => process.stderr.write(text)
const clock = systemClock

function logFor(config: Config): Log {
  const log = createLog({
    level: config.log.level,
    mode: config.mode,
    version,
    destination: pino.destination({ fd: process.stderr.fd, sync: true }),
  })
  for (const event of ['uncaughtException', 'unhandledRejection'] as const) {
    process.on(event, (error: unknown) => {
      log.error({ err: error }, 'a fault that nobody caught; ending')
      process.exit(EXIT.failed)
    })
  }
  return log
}

function onStopSignal(stop: (signal: StopSignal) => void): () => void {
  const signals: readonly StopSignal[] = ['SIGINT', 'SIGTERM']
  for (const signal of signals) process.on(signal, stop)
  return () => {
    for (const signal of signals) process.off(signal, stop)
  }
}

type InDevelopment = (config: Config, server: RunningServer) => Promise<RunningServer>

const commandsWith = (inDevelopment: InDevelopment): Commands => ({
  async run(mode, { port, dataDir }) {
    const flags = {
      ...(port === undefined ? {} : { ALTER_PORT: port }),
      ...(dataDir === undefined ? {} : { ALTER_DATA_DIR: dataDir }),
    }
    const config = readConfig({ ...process.env, ...flags }, { mode, workingDir: process.cwd() })
    const log = logFor(config)
    // Here and not at the top: the commands that need no server start without its weight.
    const { createServer } = await import('./create-server.ts')
    return runServer(config, {
      async start(started) {
        const server = await createServer(started, { log, clock, version })
        if (mode === 'serve') return server
        return inDevelopment(started, server).catch(async (error: unknown) => {
          await server.close()
          throw error
        })
      },
      onStopSignal,
      exit: (code) => process.exit(code),
      log,
      announce: (line) => say(`${line}\n`),
    })
  },

  async createOrganization(input) {
    const config = readConfig(process.env, { mode: 'serve', workingDir: process.cwd() })
    const made = await foundOrganizationOffline(config, input, { log: logFor(config), clock, version })
    say(`Organization ${made.organizationId} was made; its owner is member ${made.ownerId}.\n\n`)
    say(`  ${made.token.reveal()}\n\n`)
    say(
      `This token of the owner is shown once and ends on ${made.tokenExpiresAt.toISOString().slice(0, 10)}. Store it now.\n`,
    )
    return EXIT.ok
  },

  async rotateRootKey() {
    const { keyId, path } = await rotateRootKey(readRootKeys(process.env, { workingDir: process.cwd() }), clock)
    say(`Root key ${keyId} was added to "${path}".\n`)
    say(
      'Copy the file to every server of this installation, then restart them. Each wraps the other keys anew when it starts.\n',
    )
    return EXIT.ok
  },

  async rotateAuditKey() {
    const config = readConfig(process.env, { mode: 'serve', workingDir: process.cwd() })
    await using installation = await openInstallation(config, { log: logFor(config), clock, version })
    const { keyId } = await installation.signingKeys.rotate()
    say(`Checkpoints are signed with key ${keyId} once the servers are restarted.\n`)
    return EXIT.ok
  },

  async verifyFile({ file, jwksFile, checkpointsFile }) {
    const { verifyAuditFile } = await import('./audit/index.ts')
    return verifyAuditFile({ file, jwksFile, checkpointsFile, say })
  },
})

/**
 * In development nobody could make an organization beside the running server and its embedded database, so an installation without one
 * gets its first.
 */
async function withFirstOrganization(_: Config, server: RunningServer): Promise<RunningServer> {
  try {
    const { token } = await server.foundOrganization({ name: 'Development', ownerEmail: 'owner@example.com' })
    return { ...server, announcement: ['', `  Token of the first organization, shown once:  ${token.reveal()}`, ''] }
  } catch (error) {
    if (error instanceof VaultError && error.code === 'conflict') return server
    throw error
  }
}

/** The process from its arguments to its exit code. `inDevelopment` adds to a server that has started with `dev`. */
export async function runMain(
  args: readonly string[],
  { inDevelopment = withFirstOrganization }: { inDevelopment?: InDevelopment } = {},
): Promise<void> {
  // Larger pools, Node's default, are slower here: a small one is used again while it is still in the processor's cache.
  Buffer.poolSize = 8_192
  try {
    process.exitCode = await runCommandLine(args, {
      commands: commandsWith(inDevelopment),
      streams: { out: say, err: complain },
      version,
    })
  } catch (error) {
    const mistake = describeKnownMistake(error)
    complain(
      `${withoutSecrets(mistake ?? (error instanceof Error ? (error.stack ?? error.message) : String(error)))}\n`,
    )
    process.exitCode = EXIT.failed
  }
}
