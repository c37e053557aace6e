/*
 * How fast stored batches become searchable rows when their writer is gone: fills a log with the rows of proxied calls, sequences it, prints rows per second and
 * the CPU time of PostgreSQL and of this process for each row.
 *
 *   node bench/projector.bench.ts [rows, 200000 unless said] [calls in a batch, 16 unless said]
 */

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { insertBatch, insertScope } from '../packages/server/src/audit/append-store.ts'
import type { RowDraft } from '../packages/server/src/audit/audit-row.ts'
import { createRecentRows } from '../packages/server/src/audit/recent-rows.ts'
import { createRowBatches } from '../packages/server/src/audit/row-batch.ts'
import { createSequencer } from '../packages/server/src/audit/sequence-batches.ts'
import { createSignCheckpoint } from '../packages/server/src/audit/sign-checkpoint.ts'
import { openAuditSigningKeys } from '../packages/server/src/crypto/audit-signing-key.ts'
import { createPlainKey } from '../packages/server/src/crypto/installation-keys-fixture.ts'
import { createDatabase } from '../packages/server/src/db/database.ts'
import { createEmbeddedPostgres } from '../packages/server/src/db/embedded-postgres.ts'
import { migrate } from '../packages/server/src/db/migrate.ts'
import { systemClock } from '../packages/server/src/kernel/clock.ts'
import { newId, randomHex } from '../packages/server/src/kernel/ids.ts'
import { silentLog as log } from '../packages/server/src/kernel/log.ts'
import { cpuMicros, processTree, sumOver } from './process-usage.ts'

const rowCount = Number(process.argv[2] ?? 200_000)
const callsInBatch = Number(process.argv[3] ?? 16)

/** The two rows of a call as the proxy writes them. */
function rowsOfCall(ids: { keyId: string; agentId: string; grantId: string; actorId: string }): RowDraft[] {
  const eventId = newId()
  const who = {
    callerKind: 'agent_key',
    ...ids,
    principalType: 'agent',
    principalId: ids.agentId,
    providerId: 'refunds-api',
    resourceKind: 'managed_secret',
    traceId: randomHex(16),
    runId: 'run-2026-11-22',
  } as const
  const detail = {
    keyPrefix: 'alter_ak_abcdef1',
    caller: 'support-agent',
    callerType: 'AGENT',
    clientIp: '203.0.113.9',
    userAgent: 'alter-sdk-typescript/0.29.0',
    sdk: 'alter-sdk-typescript/0.29.0',
    method: 'POST',
    url: `https://refunds.example.com/v1/refunds/${randomHex(8)}?currency=eur`,
    grantLabel: 'production',
    context: { tool: 'refund', framework: 'langgraph', tool_call_id: randomHex(12) },
  }
  const headers = { 'content-type': 'application/json', accept: '*/*', 'x-request-id': randomHex(16) }
  const decision = { effect: 'allow', decision_id: newId(), policy_epoch: 12, evaluated: 4, reasons: [], shadow: [] }
  const body = { digest: randomHex(32), length: 612, truncated: false, content_type: 'application/json' }
  return [
    {
      ...who,
      eventId,
      event: 'proxy.requested',
      outcome: 'allowed',
      decisionEffect: 'allow',
      detail: { ...detail, decision },
    },
    {
      ...who,
      event: 'proxy.executed',
      outcome: 'success',
      intentId: eventId,
      detail: {
        ...detail,
        requestHeaders: headers,
        responseHeaders: { ...headers, date: 'Sun, 22 Nov 2026 02:00:00 GMT', server: 'example' },
        requestBody: body,
        responseBody: body,
        responseStatus: 200,
        latencyMs: 41,
        upstreamMs: 38,
        bytesIn: 612,
        bytesOut: 220,
      },
    },
  ]
}

const dataDir = await mkdtemp(join(tmpdir(), 'alter-vault-bench-'))
const postgres = await createEmbeddedPostgres({ dataDir, log, ballastBytes: 0 })
try {
  await migrate({ connection: postgres.ownerConnection, log, serverVersion: '0.0.0-bench' })
  const db = createDatabase({ connection: postgres.connection, log })
  const [appId, organizationId] = [newId(), newId()]
  const scope = { scopeId: appId, appId, organizationId }
  await db.unscoped((tx) => insertScope(tx, scope))
  const callers = Array.from({ length: 20 }, () => ({
    keyId: newId(),
    agentId: newId(),
    grantId: newId(),
    actorId: newId(),
  }))
  const encode = createRowBatches(systemClock)
  let bytes = 0
  let written = 0
  while (written < rowCount) {
    await db.forScope(appId, async (tx) => {
      for (let i = 0; i < 200 && written < rowCount; i++) {
        const drafts = Array.from({ length: callsInBatch }, (_, call) => rowsOfCall(callers[(i + call) % 20]!)).flat()
        const batch = encode(drafts)
        await insertBatch(tx, appId, { ...batch, bodies: null })
        bytes += batch.rows.length
        written += batch.count
      }
    })
  }
  const signingKeys = await openAuditSigningKeys({ key: createPlainKey(), clock: systemClock })
  const { sequenceDue } = createSequencer({
    db,
    audit: { change: () => Promise.reject(new Error('nothing is lost here')), recent: createRecentRows() },
    checkpoints: createSignCheckpoint({ db, signingKeys, clock: systemClock }),
    clock: systemClock,
    log,
  })
  const databaseCpu = async () => sumOver(await processTree(postgres.pid() ?? 0), cpuMicros)
  const databaseBefore = await databaseCpu()
  const ownBefore = process.cpuUsage()
  const startedMs = systemClock.monotonic()
  const projected = await sequenceDue({ all: true })
  const seconds = (systemClock.monotonic() - startedMs) / 1000
  const own = process.cpuUsage(ownBefore)
  const databaseMicros = (await databaseCpu()) - databaseBefore
  const perRow = (micros: number) => `${(micros / projected).toFixed(1)} µs`
  process.stdout.write(
    `${projected} of ${written} rows (${Math.round(bytes / written)} bytes each, ${callsInBatch * 2} a batch) in ${seconds.toFixed(2)} s: ` +
      `${Math.round(projected / seconds)} rows/s; CPU per row: database ${perRow(databaseMicros)}, ` +
      `this process ${perRow(own.user + own.system)}\n`,
  )
  await db.close()
} finally {
  await postgres.close()
  await rm(dataDir, { recursive: true, force: true })
}
