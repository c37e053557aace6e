import { Command, CommanderError } from 'commander'
import type { Mode } from './config.ts'

/** What the commands do; `main` fills these in. Each resolves with the exit code. */
export type Commands = {
  /** Runs the server until it is told to stop. */
  run(mode: Mode, flags: { port?: string; dataDir?: string }): Promise<number>
  /** Checks an exported audit file without a server. */
  verifyFile(options: { file: string; jwksFile: string; checkpointsFile: string }): Promise<number>
  /** Makes an organization, its owner and their first token. */
  createOrganization(options: { name: string; ownerEmail: string }): Promise<number>
  /** Adds a root key that wraps from now on. */
  rotateRootKey(): Promise<number>
  /** Ends the key that signs audit checkpoints and makes the next one. */
  rotateAuditKey(): Promise<number>
}

type Streams = { out: (text: string) => void; err: (text: string) => void }

/** Exit codes; those of the `alter` client mean the same. */
export const EXIT = { ok: 0, failed: 1, usage: 2, interrupted: 130 } as const

/**
 * Runs one command line (`process.argv` without the first two) and resolves with its exit code. Throws what a command throws.
 */
export async function runCommandLine(
  args: readonly string[],
  { commands, streams, version }: { commands: Commands; streams: Streams; version: string },
): Promise<number> {
  let code: number = EXIT.ok
  const program = new Command('alter-vault')
    .description('Lets apps and AI agents use credentials without ever holding them.')
    .version(version, '-V, --version', 'print the version')
    .exitOverride()
    .configureOutput({ writeOut: streams.out, writeErr: streams.err })
    .showHelpAfterError('(alter-vault --help lists the commands)')

  program
    .command('serve')
    .description('run the server; refuses to start with half a configuration')
    .action(async () => {
      code = await commands.run('serve', {})
    })
  program
    .command('dev')
    .description('run the server for trying it out: on loopback, with a first organization')
    .option('--port <port>', 'port of the APIs and pages; the next one serves the metrics (ALTER_PORT, 8787)')
    .option('--data-dir <folder>', 'where everything is kept (ALTER_DATA_DIR, .alter)')
    .action(async (flags: { port?: string; dataDir?: string }) => {
      code = await commands.run('dev', flags)
    })
  program
    .command('create-organization')
    .description('make an organization with its owner, and print a token of theirs once')
    .requiredOption('--name <name>', 'its name')
    .requiredOption('--owner-email <address>', 'the e-mail address of its owner')
    .action(async (options: { name: string; ownerEmail: string }) => {
      code = await commands.createOrganization(options)
    })
  program
    .command('rotate-root-key')
    .description('add a root key that wraps other keys from now on; old ones still unwrap')
    .action(async () => {
      code = await commands.rotateRootKey()
    })
  program
    .command('rotate-audit-key')
    .description('make a new key that signs audit checkpoints; what the old one signed stays verifiable')
    .action(async () => {
      code = await commands.rotateAuditKey()
    })
  program
    .command('version')
    .description('print the version')
    .action(() => streams.out(`${version}\n`))
  program
    .command('audit')
    .description('work on the audit trail without a server')
    .command('verify-file <file>')
    .description('check that no row of an export was changed, removed or reordered; exits 1 when one was')
    .requiredOption('--jwks <file>', 'the public keys that sign checkpoints, as a JWK set')
    .requiredOption('--checkpoints <file>', 'the signed checkpoints of the export')
    .action(async (file: string, options: { jwks: string; checkpoints: string }) => {
      code = await commands.verifyFile({ file, jwksFile: options.jwks, checkpointsFile: options.checkpoints })
    })

  try {
    await program.parseAsync(args, { from: 'user' })
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error
    return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  }
  return code
}
