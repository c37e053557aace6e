import type { ClientConfig } from 'pg'
import type { Secret } from '../crypto/secret.ts'

/** The role whose rights the server has while it works: it owns no table and cannot pass row-level security. */
export const SERVER_ROLE = 'alter_vault_server'

/** Where a PostgreSQL is and as whom to work there. `role` is taken on at connection time (`SET ROLE`). */
export type DatabaseConnection = (
  | { host: string; port: number; user: string; database: string; password?: Secret }
  | { url: Secret }
) & { role?: string }

/** The server's way into the database at `url`, whose user must be a member of the server's role. */
export function serverConnectionFromUrl(url: Secret): DatabaseConnection {
  return { url, role: SERVER_ROLE }
}

export type SessionLimits = {
  applicationName: string
  connectTimeoutMs: number
  statementTimeoutMs?: number
  idleInTransactionTimeoutMs?: number
  /** A statement without an answer for so long is given up here: the link may be silent. */
  queryTimeoutMs?: number
}

/** What the server relies on, whatever the defaults of the database, of its role or of its host are. */
const SESSION = {
  timezone: 'UTC',
  datestyle: 'ISO',
  default_transaction_isolation: 'read\\ committed',
  standard_conforming_strings: 'on',
  synchronous_commit: 'on',
  search_path: 'public',
  tcp_user_timeout: '10000',
}
/** A dead peer is asked for after so long without traffic. */
const KEEP_ALIVE_MS = 10_000

/** What `pg` wants to know to open a session. */
export function toClientConfig(connection: DatabaseConnection, limits: SessionLimits): ClientConfig {
  const options = Object.entries(SESSION).map(([name, value]) => `-c ${name}=${value}`)
  if (connection.role !== undefined) options.push(`-c role=${connection.role}`)
  return {
    ...('url' in connection
      ? { connectionString: connection.url.reveal() }
      : {
          host: connection.host,
          port: connection.port,
          user: connection.user,
          database: connection.database,
          ...(connection.password === undefined ? {} : { password: connection.password.reveal() }),
        }),
    options: options.join(' '),
    application_name: limits.applicationName,
    connectionTimeoutMillis: limits.connectTimeoutMs,
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    ...(limits.statementTimeoutMs === undefined ? {} : { statement_timeout: limits.statementTimeoutMs }),
    ...(limits.queryTimeoutMs === undefined ? {} : { query_timeout: limits.queryTimeoutMs }),
    ...(limits.idleInTransactionTimeoutMs === undefined
      ? {}
      : { idle_in_transaction_session_timeout: limits.idleInTransactionTimeoutMs }),
  }
}
