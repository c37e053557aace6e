/*
 * Whether audit rows are made durable, and searchable behind that, as fast as they are offered: intents and outcomes as the proxy writes
 * them, under fences and nonces, by many callers at once, into the log of one app. PostgreSQL as the product starts it, fsync on.
 *
 *   node bench/audit-rows.bench.ts [seconds, 60 unless said] [rows a second, 13000 unless said]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAuditLog } from '../packages/server/src/audit/audit-log.ts'
import { appScope, type RowDraft } from '../packages/server/src/audit/audit-row.ts'
import { createSequencer } from '../packages/server/src/audit/sequence-batches.ts'
import { createSignCheckpoint } from '../packages/server/src/audit/sign-checkpoint.ts'
import { openAuditSigningKeys } from '../packages/server/src/crypto/audit-signing-key.ts'
import { createPlainKey } from '../packages/server/src/crypto/installation-keys-fixture.ts'
import { createDatabase } from '../packages/server/src/db/database.ts'
import { createEmbeddedPostgres } from '../packages/server/src/db/embedded-postgres.ts'
import { migrate } from '../packages/server/src/db/migrate.ts'
import { systemClock as clock } from '../packages/server/src/kernel/clock.ts'
import { fillRandom, newId, randomHex } from '../packages/server/src/kernel/ids.ts'
import { silentLog as log } from '../packages/server/src/kernel/log.ts'

/** Calls at one time; each waits for its intent, then for its outcome. */
const CALLERS = 128
/** More than the aim, so that a store that keeps up is seen to. */
const OFFERED_PER_SECOND = 13_000
const PROJECT_EVERY_MS = 1_000
/** The projection is behind when it needs longer than this for what is left when writing stops. */
export const CATCH_UP_SECONDS = 2

export type AuditRowsResult = { rowsPerSecond: number; seconds: number; catchUpSeconds: number }

const decision = {
  context_digest: randomHex(32),
  decision_id: newId(),
  duration_us: 31,
  effect: 'allow',
  evaluated_at: new Date().toISOString(),
  obligations: [],
  phase: 'request',
  policy_epoch: 22,
  reasons: [],
  retry_after_seconds: null,
  retryable: false,
  rules_evaluated: 20,
  shadow_effect: 'allow',
}

function rowsOfCall(keyId: string, grantId: string): { intent: RowDraft; outcome: RowDraft } {
  const intentId = newId()
  const who = {
    callerKind: 'app_key',
    keyId,
    grantId,
    principalType: 'system',
    providerId: 'payments',
    resourceKind: 'managed_secret',
    traceId: randomHex(16),
  } as const
  const detail = {
    keyPrefix: 'alter_rk_abcdef1',
    clientIp: '127.0.0.1',
    userAgent: 'alter-sdk-typescript/0.1.0',
    sdk: 'alter-sdk-typescript/0.1.0',
    method: 'GET',
    url: 'https://api.example.com/v1/payments',
  }
  return {
    intent: {
      ...who,
      eventId: intentId,
      event: 'proxy.requested',
      outcome: 'allowed',
      decisionEffect: 'allow',
      reason: 'List payments',
      detail: { ...detail, decision },
    },
    outcome: {
      ...who,
      event: 'proxy.executed',
      outcome: 'success',
      intentId,
      detail: {
        ...detail,
        requestHeaders: {},
        responseHeaders: { 'content-type': 'application/json', server: 'bench' },
        responseStatus: 200,
        latencyMs: 3,
        upstreamMs: 1,
        bytesIn: 520,
        bytesOut: 0,
      },
    },
  }
}

export async function measureAuditRows(seconds: number, offered = OFFERED_PER_SECOND): Promise<AuditRowsResult> {
  const dataDir = await mkdtemp(join(tmpdir(), 'alter-vault-rows-'))
  const postgres = await createEmbeddedPostgres({ dataDir, log, ballastBytes: 0 })
  try {
    await migrate({ connection: postgres.ownerConnection, log, serverVersion: '0.0.0-bench' })
    const db = createDatabase({ connection: postgres.connection, log })
    const [appId, organizationId] = [newId(), newId()]
    const audit = createAuditLog({ db, clock, log, maxQueuedRows: 100_000 })
    const signingKeys = await openAuditSigningKeys({ key: createPlainKey(), clock })
    const checkpoints = createSignCheckpoint({ db, signingKeys, clock })
    const { sequenceDue, sequenceRecent, catchUp } = createSequencer({ db, audit, checkpoints, clock, log })
    audit.recent.onMany((scopeId) => void sequenceRecent(scopeId).catch(() => undefined))
    const scope = appScope(appId, organizationId)
    const keyIds = Array.from({ length: 16 }, () => newId())
    const grantId = newId()
    await db.forApp(appId, async (tx) => {
      for (const subject of ['epoch', `grant:${grantId}`, ...keyIds.map((id) => `key:${id}`)]) {
        await tx.insertInto('fences').values({ app_id: appId, subject, version: 1 }).execute()
      }
    })

    let rows = 0
    const startedMs = clock.monotonic()
    const endsAt = startedMs + seconds * 1000
    const caller = async (keyId: string) => {
      const fences = ['epoch', `key:${keyId}`, `grant:${grantId}`].map((subject) => ({ subject, version: 1 }))
      while (clock.monotonic() < endsAt) {
        const aheadMs = (rows / offered) * 1000 - (clock.monotonic() - startedMs)
        if (aheadMs > 1) {
          await new Promise((resolve) => setTimeout(resolve, aheadMs))
          continue
        }
        const { intent, outcome } = rowsOfCall(keyId, grantId)
        const digest = Buffer.alloc(16)
        fillRandom(digest, 0, 16)
        const nonce = { ts: Math.floor(clock.now() / 1000), digest }
        const stored = await audit.append(scope, { rows: [intent], fences, nonce })
        if (stored.kind !== 'stored') throw new Error(`an intent was answered ${stored.kind}`)
        await audit.append(scope, { rows: [outcome] })
        rows += 2
      }
    }
    let writing = true
    const projecting = (async () => {
      while (writing) {
        await sequenceDue()
        await new Promise((resolve) => setTimeout(resolve, PROJECT_EVERY_MS))
      }
    })()
    await Promise.all(Array.from({ length: CALLERS }, (_, i) => caller(keyIds[i % keyIds.length]!)))
    const tookSeconds = (clock.monotonic() - startedMs) / 1000
    writing = false
    const stoppedMs = clock.monotonic()
    await projecting
    // A step that many rows started may hold the log still; this one waits for it.
    while (!(await catchUp(appId)).complete);
    const catchUpSeconds = (clock.monotonic() - stoppedMs) / 1000
    const projected = await db.forApp(appId, (tx) =>
      tx
        .selectFrom('audit_events')
        .select(({ fn }) => fn.countAll<number>().as('n'))
        .executeTakeFirstOrThrow(),
    )
    if (Number(projected.n) !== rows) throw new Error(`${rows} rows were acknowledged, ${projected.n} are searchable`)
    await audit.close()
    await db.close()
    return { rowsPerSecond: rows / tookSeconds, seconds: tookSeconds, catchUpSeconds }
  } finally {
    await postgres.close()
    await rm(dataDir, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 })
  }
}

if (import.meta.main) {
  const result = await measureAuditRows(Number(process.argv[2] ?? 60), Number(process.argv[3] ?? OFFERED_PER_SECOND))
  process.stdout.write(
    `${Math.round(result.rowsPerSecond)} rows/s for ${result.seconds.toFixed(0)} s; all searchable ${result.catchUpSeconds.toFixed(1)} s after the last\n`,
  )
}
