import type { Duplex } from 'node:stream'
import { Kysely, PostgresDialect, sql, type Transaction } from 'kysely'
import { DatabaseError, Pool, type PoolClient, types } from 'pg'
import type { Log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type DatabaseConnection, toClientConfig } from './connection.ts'
import type { Schema } from './schema.generated.ts'

/** One transaction, as the server's role, seeing what its scope allows. */
export type Tx = Transaction<Schema>

export type TransactionOptions = {
  /**
   * `fn` does nothing outside the transaction, so it may run again when PostgreSQL gave it up for another one (serialization
   * failure, deadlock).
   */
  retryable?: boolean
}

export type Database = {
  /** A read committed transaction that sees the rows of one app, and the app as a scope. */
  forApp<T>(appId: string, fn: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** A read committed transaction that sees the rows of one scope: an app, an organization or the installation. */
  forScope<T>(scopeId: string, fn: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** A read committed transaction that sees what belongs to one organization, its apps included, and it as a scope. */
  forOrganization<T>(organizationId: string, fn: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** A read committed transaction over routing tables; it sees no row of any app or organization. */
  unscoped<T>(fn: (tx: Tx) => Promise<T>, options?: TransactionOptions): Promise<T>
  /** One snapshot of one scope, an app with its rows: repeatable read, read only. */
  readForApp<T>(appId: string, fn: (tx: Tx) => Promise<T>): Promise<T>
  /** A pool of its own with the same role and types, further settings (`name=value`) and its own time limit. The caller ends it. */
  openPool(max: number, settings: readonly string[], queryTimeoutMs?: number): Pool
  /** The sessions of the pool now, and how many transactions wait for one. */
  pool(): { total: number; idle: number; waiting: number }
  /** Ends the pool when its transactions are done. Pools of `openPool` are their callers' own. */
  close(): Promise<void>
}

export type DatabaseOptions = {
  connection: DatabaseConnection
  log: Pick<Log, 'warn'>
  poolSize?: number
  applicationName?: string
  connectTimeoutMs?: number
  /** A statement that runs longer is cancelled and refused as `service_unavailable`. */
  statementTimeoutMs?: number
  /** A statement that has no answer after so long is refused so as well, and its session ended: the link may be silent. */
  queryTimeoutMs?: number
  /** A transaction that waits longer for its own process is ended. */
  idleInTransactionTimeoutMs?: number
}

const ATTEMPTS = 5
const RETRY_AFTER_SECONDS = 2

/**
 * The server's way to PostgreSQL. Refusals: `service_unavailable` when the database is away, too slow, too full or gave up a
 * transaction for good; a violated constraint is thrown as it is, see `violatedConstraint`.
 */
export function createDatabase(options: DatabaseOptions): Database {
  const { connection, log, poolSize = 10, applicationName = 'alter-vault' } = options
  const { connectTimeoutMs = 3_000, statementTimeoutMs = 8_000, idleInTransactionTimeoutMs = 30_000 } = options
  const { queryTimeoutMs = statementTimeoutMs + 1_000 } = options
  const config = {
    ...toClientConfig(connection, {
      applicationName,
      connectTimeoutMs,
      statementTimeoutMs,
      idleInTransactionTimeoutMs,
      queryTimeoutMs,
    }),
    types: { getTypeParser },
  }
  // A session lost while idle or between two queries emits `error`; without a listener that ends the process.
  const noteLoss = (error: Error) => log.warn({ err: error }, 'Lost a database session')
  function openPool(max: number, settings: readonly string[], limitMs = queryTimeoutMs): Pool {
    const opened = new Pool({
      ...config,
      query_timeout: limitMs,
      options: [config.options, ...settings.map((setting) => `-c ${setting}`)].join(' '),
      max,
    })
    opened.on('error', noteLoss)
    opened.on('connect', (client) => {
      client.on('error', () => undefined)
      endWhenSilent(client)
    })
    return opened
  }
  const pool = openPool(poolSize, [])
  const kysely = new Kysely<Schema>({ dialect: new PostgresDialect({ pool }) })

  async function transact<T>(scope: Scope, fn: (tx: Tx) => Promise<T>, { retryable = false }: TransactionOptions = {}) {
    for (let attempt = 1; ; attempt++) {
      let committing = false
      try {
        const builder = scope.snapshot
          ? kysely.transaction().setIsolationLevel('repeatable read').setAccessMode('read only')
          : kysely.transaction().setIsolationLevel('read committed')
        return await builder.execute(async (tx) => {
          if (scope.id !== undefined) {
            await sql`select ${sql.join(scope.settings.map((name) => sql`set_config(${name}, ${scope.id}, true)`))}`.execute(
              tx,
            )
          }
          const result = await fn(tx)
          committing = true
          return result
        })
      } catch (error) {
        if (retryable && isGivenUp(error) && attempt < ATTEMPTS) continue
        throw translate(error, { committing, attempt })
      }
    }
  }

  return {
    forApp: (id, fn, transaction) => transact({ id, settings: APP }, fn, transaction),
    forScope: (id, fn, transaction) => transact({ id, settings: ['vault.scope'] }, fn, transaction),
    forOrganization: (id, fn, transaction) =>
      transact({ id, settings: ['vault.organization', 'vault.scope'] }, fn, transaction),
    unscoped: (fn, transaction) => transact({ settings: [] }, fn, transaction),
    readForApp: (id, fn) => transact({ id, settings: APP, snapshot: true }, fn, { retryable: true }),
    openPool,
    pool: () => ({ total: pool.totalCount, idle: pool.idleCount, waiting: pool.waitingCount }),
    close: () => kysely.destroy(),
  }
}

/** Ends a session when a statement has no answer in time: what else is asked of it fails at once, and the pool opens another. */
function endWhenSilent(client: PoolClient & { connection?: { stream: Duplex } }): void {
  const query = client.query.bind(client) as (...asked: unknown[]) => unknown
  client.query = ((...asked: unknown[]) => {
    const answer = query(...asked)
    if (answer instanceof Promise) {
      answer.catch((error: unknown) => {
        if (error instanceof Error && error.message === 'Query read timeout') client.connection?.stream.destroy()
      })
    }
    return answer
  }) as typeof client.query
}

type Scope = { id?: string; settings: readonly string[]; snapshot?: boolean }
const APP = ['vault.app', 'vault.scope']

/** PostgreSQL's `pg_type` numbers; pg's own table lacks the array. */
const INT8_ARRAY = 1016

/** int8 as a number, refused when it would lose digits; date as it is written, not as midnight of some time zone. */
function getTypeParser(typeId: number, format?: 'text' | 'binary'): (value: string) => unknown {
  if (format !== 'binary') {
    if (typeId === types.builtins.INT8) return parseInt8
    if (typeId === INT8_ARRAY) return parseInt8Array
    if (typeId === types.builtins.DATE) return (value) => value
    if (typeId === types.builtins.TIMESTAMPTZ) return parseInstant
  }
  return types.getTypeParser(typeId, format as 'text')
}

/** pg answers null for a time that it cannot read, and null is "never" in many columns. */
function parseInstant(value: string): unknown {
  const instant = readInstant(value)
  if (instant === null) throw new RangeError(`The database wrote a time as "${value}", which is not ISO 8601.`)
  return instant
}
const readInstant = types.getTypeParser(types.builtins.TIMESTAMPTZ, 'text') as (value: string) => unknown

function parseInt8(value: string): number {
  const number = Number(value)
  if (!Number.isSafeInteger(number)) throw new RangeError(`The bigint ${value} is too large for a number.`)
  return number
}

function parseInt8Array(value: string): unknown {
  const parse = types.getTypeParser(INT8_ARRAY as never) as (value: string) => (string | null)[]
  return parse(value).map((item) => (item === null ? null : parseInt8(item)))
}

const INTEGRITY_CLASS = '23'

/** The name of the constraint that a statement violated; undefined when the error is something else. */
export const violatedConstraint = (error: unknown): string | undefined =>
  error instanceof DatabaseError && error.code?.startsWith(INTEGRITY_CLASS) ? error.constraint : undefined

/** PostgreSQL rolled the transaction back for the sake of another: nothing of it was done. */
function isGivenUp(error: unknown): boolean {
  return error instanceof DatabaseError && (error.code === '40001' || error.code === '40P01')
}

/** A lock was waited for in vain. */
export const isLockTimeout = (error: unknown): boolean =>
  error instanceof DatabaseError && error.code === LOCK_NOT_AVAILABLE

const LOCK_NOT_AVAILABLE = '55P03'
/** SQLSTATE classes of a database that cannot serve now: connection, resources (disk, memory, sessions), operator, system. */
const UNAVAILABLE_CLASSES = new Set(['08', '53', '57', '58'])
/** Idle-in-transaction, transaction and lock timeouts; a standby that lost its primary answers "read only". */
const UNAVAILABLE_CODES = new Set(['25P03', '25P04', LOCK_NOT_AVAILABLE, '25006'])
const NODE_CONNECTION_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOENT',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EAI_AGAIN',
  'ENOTFOUND',
])

/** `pg` throws these without a code when a session ends under it. */
const PG_CONNECTION_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Client was closed and is not queryable)/

/** True when the database is away or cannot serve now; the same work may succeed later. */
export function isDatabaseUnavailable(error: unknown): boolean {
  if (error instanceof DatabaseError) {
    const code = error.code ?? ''
    return UNAVAILABLE_CLASSES.has(code.slice(0, 2)) || UNAVAILABLE_CODES.has(code)
  }
  if (!(error instanceof Error)) return false
  return (
    NODE_CONNECTION_CODES.has((error as NodeJS.ErrnoException).code ?? '') || PG_CONNECTION_MESSAGE.test(error.message)
  )
}

function translate(error: unknown, during: { committing?: boolean; attempt?: number }): unknown {
  if (!isDatabaseUnavailable(error) && !isGivenUp(error)) return error
  return new VaultError('service_unavailable', {
    retryAfterSeconds: RETRY_AFTER_SECONDS,
    log: {
      database: isGivenUp(error) ? 'transaction_given_up' : 'unavailable',
      // A session that is lost while it commits leaves the outcome unknown: done, or not done.
      commit_unknown: during.committing === true && !isGivenUp(error),
      attempt: during.attempt,
    },
    cause: error,
  })
}
