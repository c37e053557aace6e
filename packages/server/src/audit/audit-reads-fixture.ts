import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openAuditSigningKeys } from '../crypto/audit-signing-key.ts'
import { createPlainKey } from '../crypto/installation-keys-fixture.ts'
import { newId, randomHex } from '../kernel/ids.ts'
import { silentLog } from '../kernel/log.ts'
import { createManagementTest } from '../testing/management.ts'
import { createTestDatabase } from '../testing/test-database.ts'
import { type AuditLog, createAuditLog } from './audit-log.ts'
import { type AuditReadsDeps, createAuditReads } from './audit-reads.ts'
import { appScope, type RowDraft } from './audit-row.ts'
import type { Reader } from './reader.ts'
import { verifyExportFile } from './verify-export-file.ts'

/** The rows of one use of a credential, as the proxy writes them. */
export type CallOptions = { outcome?: Partial<RowDraft>; intent?: Partial<RowDraft>; traceId?: string; url?: string }

export type AuditReadsTest = Awaited<ReturnType<typeof createAuditReadsTest>>

/** An organization with its log, and what operators read of it, in a database of its own. */
export async function createAuditReadsTest(deps: Partial<AuditReadsDeps> = {}) {
  // A whole database: the jobs of the log go through all scopes.
  const test = await createManagementTest(await createTestDatabase())
  const folder = await mkdtemp(join(tmpdir(), 'alter-vault-audit-'))
  const { app, clock, db, audit, keyring } = test
  const scope = appScope(app.appId, app.organizationId)
  const signingKeys = await openAuditSigningKeys({ key: createPlainKey(), clock })
  const logs: AuditLog[] = []
  /** Another reader over the same database. */
  const startReads = (more: Partial<AuditReadsDeps> = {}) =>
    createAuditReads({ db, audit, keyring, signingKeys, clock, log: silentLog, ...deps, ...more })
  const reads = startReads()
  await reads.listSigningKeys()

  const operator: Reader = {
    session: { callerKind: 'pat', initiator: 'cli', inPerson: false },
    organizationId: app.organizationId,
    memberId: test.owner.kind === 'member' ? test.owner.memberId : newId(),
    clientIp: '203.0.113.7',
    userAgent: 'test',
  }

  const who = { keyId: newId(), agentId: newId(), grantId: newId(), actorId: newId() }
  const intentRow = (changes: Partial<RowDraft> = {}): RowDraft & { eventId: string; traceId: string } => ({
    event: 'proxy.requested',
    outcome: 'allowed',
    decisionEffect: 'allow',
    callerKind: 'agent_key',
    providerId: 'refunds',
    resourceKind: 'managed_secret',
    ...who,
    ...changes,
    eventId: changes.eventId ?? newId(clock.now()),
    traceId: changes.traceId ?? randomHex(16),
    detail: {
      method: 'POST',
      url: 'https://api.example.com/v1/refunds?currency=eur',
      clientIp: '203.0.113.9',
      context: { tool: 'refund' },
      ...changes.detail,
    },
  })

  /** Records an intent and its outcome in two commits; returns their ids. */
  const call = async (options: CallOptions = {}, log: AuditLog = audit) => {
    const detail = options.url === undefined ? {} : { detail: { url: options.url } }
    const intent = intentRow({
      ...(options.traceId === undefined ? {} : { traceId: options.traceId }),
      ...detail,
      ...options.intent,
    })
    const outcomeId = newId(clock.now())
    const outcome: RowDraft = {
      ...intent,
      event: 'proxy.executed',
      outcome: 'success',
      decisionEffect: null,
      ...options.outcome,
      eventId: outcomeId,
      intentId: intent.eventId,
      detail: { ...intent.detail, responseStatus: 200, latencyMs: 12, ...options.outcome?.detail },
    }
    for (const rows of [[intent], [outcome]]) {
      const stored = await log.append(scope, { rows })
      if (stored.kind !== 'stored') throw new Error(stored.kind)
    }
    return { traceId: intent.traceId, intentId: intent.eventId, outcomeId }
  }

  const textOf = async (chunks: AsyncIterable<string>): Promise<string> => {
    let text = ''
    for await (const chunk of chunks) text += chunk
    return text
  }

  let exported = 0
  /** Makes an export, writes its files, and gives their paths. */
  const exportFiles = async (request: { start?: string; end?: string } = {}) => {
    // Each by a member of its own: a member makes five an hour.
    const made = await reads.exports.create(
      app.appId,
      { ...operator, memberId: newId() },
      { format: 'ndjson', ...request },
    )
    exported += 1
    const path = (name: string) => join(folder, `${exported}-${name}`)
    const paths = {
      ndjsonPath: path('rows.ndjson'),
      checkpointsPath: path('checkpoints.ndjson'),
      jwksPath: path('jwks.json'),
    }
    await writeFile(paths.ndjsonPath, await textOf((await reads.exports.rowsFile(app.appId, made.id)).chunks))
    await writeFile(
      paths.checkpointsPath,
      await textOf((await reads.exports.checkpointsFile(app.appId, made.id)).chunks),
    )
    await writeFile(paths.jwksPath, JSON.stringify(await reads.listPublicKeys()))
    return paths
  }

  return {
    ...test,
    scope,
    operator,
    reads,
    signingKeys,
    startReads,
    /** Another process's log; closed at the end if it is not before. */
    startProcess() {
      const log = createAuditLog({ db, clock, log: silentLog, keyring })
      logs.push(log)
      return log
    },
    intentRow,
    call,
    exportFiles,
    /** What the offline verifier says of an export made now. */
    verifyOffline: async () => verifyExportFile(await exportFiles()),
    async [Symbol.asyncDispose]() {
      for (const log of logs) await log.close()
      await test[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
