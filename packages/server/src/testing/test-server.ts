import { createHash, createHmac, randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuditLog } from '../audit/index.ts'
import type { Config } from '../config.ts'
import { createServer, type ServerOptions } from '../create-server.ts'
import { openPepper } from '../crypto/pepper.ts'
import { Secret } from '../crypto/secret.ts'
import type { DevFile } from '../demo/prepare-demonstration.ts'
import { silentLog } from '../kernel/log.ts'
import { createOrganisations, type Organisations } from '../organisations/index.ts'
import { createWriteRules, type WriteRules } from '../policies/index.ts'
import { type AuditedRow, auditedRows } from './audited-rows.ts'
import { createHandClock, type HandClock } from './management.ts'
import type { SocketConnection } from './postgres-for-tests.ts'
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

/** The whole server in this process, on loopback, with the demonstration's organisation in a database of its own. */
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
  organisations: Pick<Organisations, 'createOrganization' | 'mintPersonalAccessToken'>
  writeRules: Pick<WriteRules, 'createRule' | 'deleteRule'>
}

type Options = Pick<ServerOptions, 'faults' | 'resolve'> & { clock?: HandClock }

const SIGNED_LINES = [
  ['x-alter-request-rule', 'request-rule'],
  ['x-alter-caller', 'caller'],
  ['x-alter-caller-type', 'caller-type'],
  ['x-alter-actor-id', 'actor-id'],
  ['x-alter-context', 'actor-context'],
] as const
const PEPPER_FILE = 'pepper.json'
const MANY_CALLS_PER_MINUTE = 1_000_000

/** `await using server = await createTestServer()`, in files named `*.db.test.ts`. Its clock stands still unless it is moved. */
export async function createTestServer({ clock = createHandClock(), ...options }: Options = {}): Promise<TestServer> {
  await using opened = new AsyncDisposableStack()
  const database = opened.use(await createTestDatabase())
  const dataDir = await mkdtemp(join(tmpdir(), 'alter-vault-server-'))
  opened.defer(() => rm(dataDir, { recursive: true, force: true }))
  const server = await createServer(configFor(dataDir, database), {
    ...options,
    log: silentLog,
    clock,
    version: '0.0.0-test',
    operatorCallsPerMinute: MANY_CALLS_PER_MINUTE,
    assertContracts: true,
  })
  opened.defer(() => server.close())
  const origin = server.address
  const audit = createAuditLog({ db: database.db, clock, log: silentLog })
  opened.defer(() => audit.close())
  const { keyDigest } = await openPepper({ path: join(dataDir, PEPPER_FILE) })
  const organisations = createOrganisations({
    db: database.db,
    audit,
    clock,
    keyDigest,
    endWaitingApprovals: async () => undefined,
    appDeletionSteps: [],
    forgetDataKeys: () => undefined,
  })
  const dev = JSON.parse(await readFile(join(dataDir, 'dev.json'), 'utf8')) as DevFile

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

  function signed(apiKey: string, { method = 'POST', path, body, headers = {} }: SdkCall): Record<string, string> {
    const timestamp = String(Math.floor(clock.now() / 1000))
    const nonce = randomBytes(16).toString('hex')
    const digest = createHash('sha256')
      .update(asText(body) ?? '')
      .digest('hex')
    const constraints = headers['x-alter-scope-constraints'] ?? ''
    const lines = [method, path, timestamp, nonce, digest, constraints]
    for (const [name, word] of SIGNED_LINES) if (headers[name]) lines.push(`${word}:${headers[name]}`)
    const key = createHmac('sha256', apiKey).update('alter-signing-v1').digest()
    const signature = createHmac('sha256', key).update(lines.join('\n')).digest('hex')
    const hasActorLine = SIGNED_LINES.slice(1).some(([name]) => headers[name])
    return {
      'x-api-key': apiKey,
      'x-alter-timestamp': timestamp,
      'x-alter-nonce': nonce,
      'x-alter-content-sha256': digest,
      'x-alter-signature': signature,
      ...(hasActorLine ? { 'x-alter-signature-v2': signature } : {}),
      ...headers,
    }
  }

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
    organisations,
    writeRules: createWriteRules({ audit, clock, targetExists: async () => true }),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

function configFor(dataDir: string, { connection, ownerConnection }: TestDatabase): Config {
  return {
    mode: 'dev',
    http: {
      host: '127.0.0.1',
      port: 0,
      publicUrl: 'http://vault.test',
      trustedProxies: ['127.0.0.1'],
      adminHost: '127.0.0.1',
      adminPort: 0,
      drainSeconds: 1,
    },
    database: { url: urlOf(connection), migrationUrl: urlOf(ownerConnection), poolSize: 5, dataDir },
    keys: {
      rootKeyFile: join(dataDir, 'root-keys.json'),
      pepperFile: join(dataDir, PEPPER_FILE),
      auditSigningKeyFile: join(dataDir, 'audit-signing-keys.json'),
    },
    log: { level: 'error' },
  }
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
