import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DevFile, withDemonstration } from '../../../../tools/demo/demonstration.ts'
import { createAuditLog } from '../audit/index.ts'
import type { Config } from '../config.ts'
import { createServer, type ServerOptions } from '../create-server.ts'
import { createInstallationKeys } from '../crypto/installation-keys.ts'
import { createKeyDigest } from '../crypto/pepper.ts'
import { openLocalRootKeys } from '../crypto/root-key.ts'
import { Secret } from '../crypto/secret.ts'
import { createInstallationKeyStore, ensureInstallation } from '../db/installation-store.ts'
import { systemClock } from '../kernel/clock.ts'
import { silentLog } from '../kernel/log.ts'
import { createMembers, type Members } from '../members/index.ts'
import { createWriteRules, type WriteRules } from '../rules/index.ts'
import { createTokens, type Tokens } from '../tokens/index.ts'
import { type AuditedRow, auditedRows } from './audited-rows.ts'
import { createHandClock, type HandClock } from './management.ts'
import type { SocketConnection } from './postgres-for-tests.ts'
import { signedHeaders } from './sign-request.ts'
import { createTestDatabase, type TestDatabase } from './test-database.ts'

/** An answer as it came, whatever its status. */
// biome-ignore lint/suspicious/noExplicitAny: the server has checked the answer against its declaration
export type Reply = { status: number; headers: Headers; text: string; body: any }

export type SdkCall = {
  method?: string
  /** Path and query; the query in order and without escapes, since it is signed as it stands. */
  path: string
  /** A text is sent as it is, anything else as JSON. */
  body?: unknown
  /** Headers besides those of the signature; those of `x-alter-*` that a signature covers are signed. */
  headers?: Record<string, string>
  /** The address that the caller seems to have. */
  clientIp?: string
}

/** The whole server in this process, on loopback, with the demonstration's organization in a database of its own. */
export type TestServer = AsyncDisposable & {
  origin: string
  /** Keys and ids of the demonstration. */
  dev: DevFile
  clock: HandClock
  /** Moves the clock. */
  advance(ms: number): void
  asOwner: TestDatabase['asOwner']
  /** A management call with a token that may do everything. */
  operator(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<Reply>
  /** The headers that prove who sends an SDK call. */
  signed(apiKey: string, call: SdkCall): Record<string, string>
  sdk(apiKey: string, call: SdkCall): Promise<Reply>
  auditRows(appId: string): Promise<AuditedRow[]>
  /** What only a person who is signed in may do, and no API offers to a token. */
  members: Members
  tokens: Tokens
  writeRules: Pick<WriteRules, 'createRule' | 'deleteRule'>
}

type Options = Pick<ServerOptions, 'faults' | 'resolve'> & { clock?: HandClock }

const ROOT_KEY_FILE = 'root-keys.json'
const MANY_CALLS_PER_MINUTE = 1_000_000

/** `await using server = await createTestServer()`, in files named `*.db.test.ts`. Its clock stands still unless it is moved. */
export async function createTestServer({ clock = createHandClock(), ...options }: Options = {}): Promise<TestServer> {
  await using opened = new AsyncDisposableStack()
  const database = opened.use(await createTestDatabase())
  const dataDir = await mkdtemp(join(tmpdir(), 'alter-vault-server-'))
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  const config = testConfig(dataDir, database)
  const server = await createServer(config, {
    ...options,
    log: silentLog,
    clock,
    version: '0.0.0-test',
    operatorCallsPerMinute: MANY_CALLS_PER_MINUTE,
    assertContracts: true,
  })
  opened.defer(() => server.close())
  const { dev, close } = await withDemonstration(config, server)
  opened.defer(close)
  const origin = server.address
  const audit = createAuditLog({ db: database.db, clock, log: silentLog })
  opened.defer(() => audit.close())
  const keyDigest = await keyDigestOf(database, dataDir)
  const members = createMembers({ audit, clock })
  const tokens = createTokens({ audit, clock, keyDigest })

  async function send(
    method: string,
    path: string,
    body: string | undefined,
    headers: Record<string, string>,
  ): Promise<Reply> {
    const response = await fetch(origin + path, {
      method,
      headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, body: text === '' ? undefined : asJson(text) }
  }

  const signed = (apiKey: string, { body, ...call }: SdkCall): Record<string, string> =>
    signedHeaders({ ...call, apiKey, body: asText(body) ?? '', nowMs: clock.now() })

  const owned = opened.move()
  return {
    origin,
    dev,
    clock,
    advance: clock.advance,
    asOwner: database.asOwner,
    operator: (method, path, body, headers) =>
      send(method, path, asText(body), { authorization: `Bearer ${dev.pat}`, ...headers }),
    signed,
    sdk: (apiKey, call) =>
      send(call.method ?? 'POST', call.path, asText(call.body), {
        ...signed(apiKey, call),
        ...(call.clientIp === undefined ? {} : { 'x-forwarded-for': call.clientIp }),
      }),
    auditRows: (appId) => auditedRows(database.asOwner, appId),
    members,
    tokens,
    writeRules: createWriteRules({ audit, clock, targetExists: async () => true }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** A development configuration over a database of a test. */
export function testConfig(dataDir: string, { connection, ownerConnection }: TestDatabase): Config {
  return {
    mode: 'dev',
    http: {
      host: '127.0.0.1',
      port: 0,
      publicUrl: 'http://vault.test',
      trustedProxies: ['127.0.0.1'],
      adminHost: '127.0.0.1',
      adminPort: 0,
      maxConnections: 1_000,
      bodyMemoryMib: 256,
      drainSeconds: 1,
    },
    database: { url: urlOf(connection), migrationUrl: urlOf(ownerConnection), poolSize: 5, dataDir },
    rootKeys: { kind: 'file', path: join(dataDir, ROOT_KEY_FILE) },
    log: { level: 'error' },
  }
}

/** The digest under the pepper that the server has made. */
async function keyDigestOf({ db }: TestDatabase, dataDir: string) {
  const wrapper = await openLocalRootKeys({ path: join(dataDir, ROOT_KEY_FILE), clock: systemClock })
  const installationId = await db.unscoped(ensureInstallation)
  const store = createInstallationKeyStore(db, installationId)
  const { open } = createInstallationKeys({ wrapper, installationId, store })('key_digests')
  return createKeyDigest(
    await open(() => {
      throw new Error('the server has not made its pepper')
    }),
  )
}

const urlOf = ({ host, port, user, database }: SocketConnection): Secret =>
  new Secret(`postgresql://${user}@localhost:${port}/${database}?host=${encodeURIComponent(host)}`)

function asText(body: unknown): string | undefined {
  return body === undefined || typeof body === 'string' ? body : JSON.stringify(body)
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
