import { ConfigError } from './config.ts'
import { KeyFileError } from './crypto/key-file.ts'
import { RootKeyError } from './crypto/key-wrapper.ts'
import { DatabaseStartError } from './db/database-start-error.ts'
import { MigrationError } from './db/migrate.ts'
import { VaultError } from './kernel/vault-error.ts'

/** A mistake that the person who starts the server can correct. `message` says what is wrong and what to do, and holds no secret. */
export class KnownMistake extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'KnownMistake'
  }
}

/**
 * The sentence for a mistake that an operator can correct, or undefined for a fault of ours, which deserves its stack.
 */
export function describeKnownMistake(error: unknown): string | undefined {
  // The refusal is meant for callers; its cause, for the operator.
  if (error instanceof VaultError && error.cause instanceof RootKeyError) return error.cause.message
  if (
    error instanceof KnownMistake ||
    error instanceof ConfigError ||
    error instanceof KeyFileError ||
    error instanceof RootKeyError ||
    error instanceof DatabaseStartError ||
    error instanceof MigrationError ||
    error instanceof VaultError
  ) {
    return error.message
  }
  if (!(error instanceof Error)) return undefined
  const { code, address, port, path } = error as NodeJS.ErrnoException & { address?: string; port?: number }
  const where = `${address ?? 'the address'}:${port ?? ''}`
  switch (code) {
    case '42501':
      return `The database user may not change the schema: ${error.message}. Set DATABASE_MIGRATION_URL to the owner of the tables.`
    case 'EADDRINUSE':
      return `${where} is taken by another program. Stop that one, or set ALTER_PORT and ALTER_ADMIN_PORT.`
    case 'EADDRNOTAVAIL':
      return `${where} is not an address of this machine. Check ALTER_HOST and ALTER_ADMIN_HOST.`
    case 'EACCES':
      if (port !== undefined) return `This user may not listen on ${where}. Choose a port above 1023 by ALTER_PORT.`
      return path === undefined ? undefined : `This user may not read or write "${path}".`
    case 'ENOENT':
      return path === undefined ? undefined : `"${path}" does not exist.`
    default:
      return undefined
  }
}
