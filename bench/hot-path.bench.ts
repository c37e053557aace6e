/*
 * The CPU of one proxied call inside the server, without sockets and without PostgreSQL: signature, JSON, rules, decryption, both audit
 * rows. Prints the fastest of many short rounds, which a busy machine disturbs least.
 *
 *   node bench/hot-path.bench.ts [rounds, 60 unless said]
 */
import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { EventEmitter } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { formatKey, keyRandomFrom } from '@alter-vault/contracts'
import { type AppendMember, createBatchWriter } from '../packages/server/src/audit/batch-writer.ts'
import { bodiesPlace, encodeBodies } from '../packages/server/src/audit/body-frames.ts'
import { createRowBatches } from '../packages/server/src/audit/row-batch.ts'
import { createKeyring } from '../packages/server/src/crypto/keyring.ts'
import { bodyBudgets, createRequestBodies } from '../packages/server/src/http/request-body.ts'
import { systemClock } from '../packages/server/src/kernel/clock.ts'
import { noFaults } from '../packages/server/src/kernel/faults.ts'
import { newId } from '../packages/server/src/kernel/ids.ts'
import { silentLog as log } from '../packages/server/src/kernel/log.ts'
import type { KeyFacts } from '../packages/server/src/keys/caller-facts.ts'
import { compileRules } from '../packages/server/src/policy/compile-rules.ts'
import { grantFactsOf } from '../packages/server/src/testing/grant-facts.ts'
import { signedHeaders } from '../packages/server/src/testing/sign-request.ts'
import { createUses, type UsesDeps } from '../packages/server/src/uses/index.ts'
import { benchRules } from './bench-rules.ts'

const rounds = Number(process.argv[2] ?? 60)
const CALLS_A_ROUND = 2_000
const CONCURRENT = 32

const [appId, organizationId, keyId, grantId, secretId, credentialId] = Array.from({ length: 6 }, () => newId())
const clock = systemClock
const apiKey = formatKey('rk', keyRandomFrom(randomBytes(22)))
const pepper = createSecretKey(randomBytes(32))
const keyDigest = (plainKey: string) => createHmac('sha256', pepper).update(plainKey).digest()
const dataKey = { dataKeyId: newId(), wrapped: randomBytes(32), createdAtMs: 0 }
const keyring = createKeyring({
  clock,
  wrapper: {
    wrap: async (_: unknown, bytes: Uint8Array) => Buffer.from(bytes),
    unwrap: async (_: unknown, bytes: Uint8Array) => Buffer.from(bytes),
  } as never,
  loadDataKeys: async () => [dataKey],
  createDataKey: async () => dataKey,
})
const fence = (subject: string) => ({ subject, version: 1 })
const key: KeyFacts = {
  appId: appId!,
  organizationId: organizationId!,
  appEnvironment: 'production',
  appStatus: 'live',
  organizationRpm: 1_000_000_000,
  keyId: keyId!,
  keyPrefix: apiKey.slice(0, 16),
  keyName: 'Bench',
  keyType: 'rk',
  scopes: ['proxy:execute', 'tokens:retrieve'],
  addresses: null,
  rateLimitRpm: 1_000_000_000,
  expiresAtMs: null,
  revoked: false,
  deprecated: false,
  graceUntilMs: null,
  agent: null,
  versions: [fence('epoch'), fence(`key:${keyId}`)],
}
const token = `tok_${randomBytes(24).toString('base64url')}`
const grant = grantFactsOf('127.0.0.1:9999', {
  grantId: grantId!,
  lifetime: { createdAtMs: clock.now() - 1_000, expiresAtMs: null },
  credential: {
    credentialId: credentialId!,
    sealed: await keyring.sealFor(
      appId!,
      { table: 'credentials', column: 'sealed', rowId: credentialId! },
      Buffer.from(JSON.stringify({ token })),
    ),
    hint: token.slice(-4),
  },
  versions: [fence(`grant:${grantId}`), fence(`secret:${secretId}`), fence(`credential:${credentialId}`)],
})
const policy = {
  appId: appId!,
  appStatus: 'live' as const,
  appEnvironment: 'production',
  rules: compileRules(
    benchRules('127.0.0.1').map(({ name, type, body }) => ({
      id: newId(),
      version: 1,
      target: { type: 'app', id: appId! },
      type,
      name,
      body,
      bodyVersion: 1,
      enabled: true,
      mode: 'enforce',
      expiresAtMs: null,
      managedBy: 'operator' as const,
    })),
  ),
  approvalDefaults: { channels: [], requireReason: false },
  allowedPrivateHosts: new Set(['127.0.0.1:9999']),
  captureBodies: true,
  epoch: fence('epoch'),
}
const scopeId = appId!
const writer = createBatchWriter({
  scopeId,
  clock,
  log,
  encode: createRowBatches(clock),
  seal: (batchId, bodies) => keyring.sealFor(scopeId, bodiesPlace(batchId), encodeBodies(bodies)),
  send: async () => ({ kind: 'stored', mark: null }),
  onStored: () => undefined,
  maxInFlight: 1,
  retryWithinMs: 1_000,
})
const append = (_: unknown, member: AppendMember) =>
  new Promise<never>((resolve, reject) => writer.append({ member, resolve: resolve as never, reject }))
const body = JSON.stringify({
  data: Array.from({ length: 5 }, (_, i) => ({
    id: `pay_${1001 + i}`,
    amount: 1_900 + i,
    currency: 'EUR',
    customer: 'Ada Vance',
    status: 'settled',
  })),
  has_more: false,
})

const proxy = createUses({
  db: { forApp: async () => undefined } as never,
  audit: { append, clockBehindMs: () => 0 },
  keyring,
  keyDigest,
  clock,
  log,
  faults: noFaults,
  facts: {
    findKey: async () => key,
    findKeyById: async () => key,
    findAgent: async () => undefined,
    findGrant: async () => grant,
    findCandidates: async () => ({ grants: [], version: fence('') }),
    appPolicy: async () => policy,
    forget: () => undefined,
  },
  approvals: {} as UsesDeps['approvals'],
  executions: { wouldBeDenied: async () => [], wake: () => undefined, executeWith: () => undefined },
  bodyMemoryMib: 256,
  upstream: {
    send: async () => ({
      statusCode: 200,
      headers: [
        ['content-type', 'application/json'],
        ['server', 'bench'],
        ['x-request-id', '8f14e45fceea167a'],
        ['content-length', String(body.length)],
      ],
      body: Buffer.from(body),
      truncated: false,
      upstreamMs: 1,
    }),
  },
})
const path = process.argv[3] === 'token' ? '/sdk/token' : '/sdk/proxy'
const handler = proxy.hotRoutes.get(`POST ${path}`)!
const requestBody = Buffer.from(
  JSON.stringify(
    path === '/sdk/token'
      ? { grant_id: grantId, reason: 'List payments' }
      : { method: 'GET', url: 'http://127.0.0.1:9999/v1/payments', grant_id: grantId, reason: 'List payments' },
  ),
)
const bodyOf = createRequestBodies(bodyBudgets(256), clock)
const sign = () => signedHeaders({ apiKey, path, body: requestBody, nowMs: clock.now() })

function call(signed: Record<string, string>): Promise<void> {
  const request = Object.assign(new EventEmitter(), {
    url: path,
    headers: {
      host: '127.0.0.1:8787',
      'content-type': 'application/json',
      accept: 'application/json',
      'user-agent': 'alter-sdk-typescript/0.1.0',
      ...signed,
      'content-length': String(requestBody.length),
    },
  })
  // As a socket does: it delivers once somebody listens.
  request.on('newListener', (event: string) => {
    if (event !== 'close') return
    queueMicrotask(() => {
      request.emit('data', requestBody)
      request.emit('end')
    })
  })
  const incomingBody = bodyOf(request as unknown as IncomingMessage, '127.0.0.1')
  let status = 0
  const response = {
    setHeaders: () => undefined,
    writeHead: (code: number) => {
      status = code
    },
    end: () => undefined,
    once: () => undefined,
  }
  const done = handler(request as unknown as IncomingMessage, response as unknown as ServerResponse, {
    requestId: newId(),
    path,
    method: 'POST',
    envelope: 'flat',
    clientIp: '127.0.0.1',
    requestBody: incomingBody,
    sendRefusal: () => undefined,
  })
  return done.then(() => {
    incomingBody.release()
    if (status !== 200) throw new Error(`answered ${status}`)
  })
}

async function round(): Promise<number> {
  const signed = Array.from({ length: CALLS_A_ROUND }, sign)
  const started = process.cpuUsage()
  await Promise.all(
    Array.from({ length: CONCURRENT }, async (_, worker) => {
      for (let i = worker; i < signed.length; i += CONCURRENT) await call(signed[i]!)
    }),
  )
  const { user, system } = process.cpuUsage(started)
  return (user + system) / CALLS_A_ROUND
}

const results: number[] = []
for (let i = 0; i < rounds; i++) results.push(await round())
results.sort((a, b) => a - b)
const us = (value: number | undefined) => `${value?.toFixed(1)} µs`
process.stdout.write(`${path}: fastest ${us(results[0])}, median ${us(results[results.length >> 1])} of CPU a call\n`)
