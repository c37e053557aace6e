import { isIP } from 'node:net'
import { join, resolve } from 'node:path'
import { cryptoConfig } from './crypto/crypto-config.ts'
import type { RootKeyPlace } from './crypto/root-keys.ts'
import type { Secret } from './crypto/secret.ts'
import { databaseConfig } from './db/database-config.ts'
import { httpConfig } from './http/http-config.ts'
import { type ConfigSection, readSection, type SectionValues } from './kernel/config-section.ts'
import type { LogLevel } from './kernel/log.ts'
import { logConfig } from './kernel/log-config.ts'

/** `dev` fills in what a person who tries the product should not have to think about; `serve` fills in nothing that matters. */
export type Mode = 'dev' | 'serve'

export type Config = {
  readonly mode: Mode
  readonly http: {
    readonly host: string
    readonly port: number
    /** Without a slash at the end. */
    readonly publicUrl: string
    readonly trustedProxies: readonly string[]
    readonly adminHost: string
    readonly adminPort: number
    readonly maxConnections: number
    readonly bodyMemoryMib: number
    readonly drainSeconds: number
  }
  readonly database: {
    /** Undefined: the embedded PostgreSQL in `dataDir`. */
    readonly url: Secret | undefined
    readonly migrationUrl: Secret | undefined
    readonly poolSize: number
    /** Absolute; undefined only with a `url` and `serve`. */
    readonly dataDir: string | undefined
  }
  readonly rootKeys: RootKeyPlace
  readonly log: { readonly level: LogLevel }
}

/** Every section, in the order of the reference. */
export const configSections: readonly ConfigSection[] = [httpConfig, databaseConfig, cryptoConfig, logConfig]

/** Variables of the CLI and the SDKs; a server started from the same shell has them too. */
const VARIABLES_OF_CLIENTS = new Set([
  'ALTER_API_KEY',
  'ALTER_APP_ID',
  'ALTER_BASE_URL',
  'ALTER_PAT',
  'ALTER_PROFILE',
  'ALTER_SERVER',
])

const DEVELOPMENT_DATA_DIR = '.alter'

/** Everything that is wrong with the configuration, one sentence per mistake. */
export class ConfigError extends Error {
  readonly mistakes: readonly string[]

  constructor(mistakes: readonly string[]) {
    super(
      `The configuration has ${mistakes.length === 1 ? 'a mistake' : `${mistakes.length} mistakes`}:\n${mistakes.map((each) => `  - ${each}.`).join('\n')}`,
    )
    this.name = 'ConfigError'
    this.mistakes = mistakes
  }
}

/**
 * The configuration from the environment, frozen. Throws `ConfigError` with every mistake at once; nothing is opened or made.
 * Relative paths are taken from `workingDir`.
 */
export function readConfig(
  env: Readonly<Record<string, string | undefined>>,
  { mode, workingDir }: { mode: Mode; workingDir: string },
): Config {
  const mistakes: string[] = []
  const http = readSection(httpConfig, env, mistakes)
  const database = readSection(databaseConfig, env, mistakes)
  const keys = readSection(cryptoConfig, env, mistakes)
  const log = readSection(logConfig, env, mistakes)
  mistakes.push(...unknownVariables(env))

  const isSet = (variable: string) => (env[variable]?.trim() ?? '') !== ''
  const adminPort = http.adminPort ?? (http.port === 0 ? 0 : http.port + 1)
  if (adminPort === http.port && adminPort !== 0 && http.adminHost === http.host) {
    mistakes.push(`ALTER_ADMIN_PORT must differ from ALTER_PORT; both are ${adminPort}`)
  }
  if (adminPort > 65_535)
    mistakes.push('ALTER_ADMIN_PORT must be set when ALTER_PORT is 65535, which leaves no port after it')
  if (isSet('DATABASE_MIGRATION_URL') && !isSet('DATABASE_URL')) {
    mistakes.push('DATABASE_MIGRATION_URL is set without DATABASE_URL; the embedded PostgreSQL migrates itself')
  }
  mistakes.push(...wrongForKind(keys.kind, isSet))
  if (mode === 'serve') mistakes.push(...missingForServe(keys.kind, isSet), ...unsafeForServe(http.publicUrl))
  else if (!isLoopback(http.host)) {
    mistakes.push(
      `ALTER_HOST must be a loopback address in development; got "${http.host}". Use "alter-vault serve" to be reached from elsewhere`,
    )
  }
  if (mistakes.length > 0) throw new ConfigError(mistakes)

  const dataDir = dataDirOf(database.dataDir, mode, workingDir)
  return deepFreeze({
    mode,
    http: { ...http, adminPort, publicUrl: http.publicUrl ?? `http://localhost:${http.port}` },
    database: { url: database.url, migrationUrl: database.migrationUrl, poolSize: database.poolSize, dataDir },
    rootKeys: rootKeysOf(keys, dataDir ?? workingDir, workingDir),
    log,
  })
}

/**
 * Where the root keys are, for commands that work on them without a server. As `readConfig`, but only the key and store variables
 * count, and nothing is required.
 */
export function readRootKeys(
  env: Readonly<Record<string, string | undefined>>,
  { workingDir }: { workingDir: string },
): RootKeyPlace {
  const mistakes: string[] = []
  const database = readSection(databaseConfig, env, mistakes)
  const keys = readSection(cryptoConfig, env, mistakes)
  mistakes.push(...wrongForKind(keys.kind, (variable) => (env[variable]?.trim() ?? '') !== ''))
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return rootKeysOf(keys, dataDirOf(database.dataDir, 'dev', workingDir) ?? workingDir, workingDir)
}

function dataDirOf(given: string | undefined, mode: Mode, workingDir: string): string | undefined {
  const folder = given ?? (mode === 'dev' ? DEVELOPMENT_DATA_DIR : undefined)
  return folder === undefined ? undefined : resolve(workingDir, folder)
}

function rootKeysOf(keys: SectionValues<typeof cryptoConfig>, folder: string, workingDir: string): RootKeyPlace {
  const { kind, address, mount, key, token, tokenFile } = keys
  if (kind === 'file') {
    return { kind, path: keys.file === undefined ? join(folder, 'root-keys.json') : resolve(workingDir, keys.file) }
  }
  // What is missing is among the mistakes.
  return { kind, address: address!, mount, key, token: token ?? { file: resolve(workingDir, tokenFile!) } }
}

/** A variable of another kind would be ignored without a word, and one of two tokens too. */
function wrongForKind(kind: RootKeyPlace['kind'], isSet: (variable: string) => boolean): string[] {
  const { file, address, mount, key, token, tokenFile } = cryptoConfig.fields
  if (kind === 'file') {
    return [address, mount, key, token, tokenFile]
      .filter(({ variable }) => isSet(variable))
      .map(({ variable }) => `${variable} is set, but ALTER_ROOT_KEYS is not vault_transit`)
  }
  const mistakes: string[] = []
  if (isSet(file.variable)) mistakes.push(`${file.variable} is set, but ALTER_ROOT_KEYS is vault_transit`)
  if (!isSet(address.variable)) mistakes.push(`${address.variable} is not set; say where the Transit engine is`)
  if (isSet(token.variable) === isSet(tokenFile.variable)) {
    mistakes.push(`One of ${token.variable} and ${tokenFile.variable} must be set, and not both`)
  }
  return mistakes
}

function missingForServe(kind: RootKeyPlace['kind'], isSet: (variable: string) => boolean): string[] {
  const mistakes: string[] = []
  const need = (variable: string, why: string) => {
    if (!isSet(variable)) mistakes.push(`${variable} is not set; ${why}`)
  }
  need('ALTER_PUBLIC_URL', 'approval links would lead nowhere')
  if (kind === 'file') need('ALTER_ROOT_KEY_FILE', 'say where the root keys are kept, apart from the data they protect')
  if (!isSet('DATABASE_URL') && !isSet('ALTER_DATA_DIR')) {
    mistakes.push(
      'Neither DATABASE_URL nor ALTER_DATA_DIR is set; say which PostgreSQL to use, or where the embedded one keeps its data',
    )
  }
  return mistakes
}

function unsafeForServe(publicUrl: string | undefined): string[] {
  if (publicUrl === undefined || publicUrl.startsWith('https:') || isLoopback(new URL(publicUrl).hostname)) return []
  return [`ALTER_PUBLIC_URL must use https, since keys and approval links travel over it; got "${publicUrl}"`]
}

function isLoopback(host: string): boolean {
  const bare = host.replace(/^\[|\]$/g, '')
  return bare === 'localhost' || bare === '::1' || (isIP(bare) === 4 && bare.startsWith('127.'))
}

/** A misspelt variable would silently leave a default in force. */
function unknownVariables(env: Readonly<Record<string, string | undefined>>): string[] {
  const known = configSections.flatMap(({ fields }) => Object.values(fields).map(({ variable }) => variable))
  return Object.keys(env)
    .filter((name) => name.startsWith('ALTER_') && !known.includes(name) && !VARIABLES_OF_CLIENTS.has(name))
    .sort()
    .map((name) => {
      const [close] = known
        .map((each) => ({ each, edits: distance(each, name) }))
        .filter(({ edits }) => edits <= 2)
        .sort((a, b) => a.edits - b.edits)
      return `${name} is not a known variable${close === undefined ? '' : `; the closest one is ${close.each}`}`
    })
}

/** Edits that turn one text into the other (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    }
    row = next
  }
  return row[b.length]!
}

function deepFreeze<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) deepFreeze(part as object)
  return Object.freeze(value)
}
