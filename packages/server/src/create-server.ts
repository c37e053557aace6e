import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import {
  createAgentRoutes,
  createAgents,
  findAgent,
  getAgent,
  lockLiveAgent,
  revokeAgentsOfApp,
} from './agents/index.ts'
import { createApprovalRoutes, createApprovals, endWaitingApprovals } from './approvals/index.ts'
import {
  createAuditLog,
  createAuditReads,
  createAuditRoutes,
  createRateMeter,
  installationScope,
  type RowDraft,
} from './audit/index.ts'
import type { Config } from './config.ts'
import {
  createCredentialRoutes,
  createCredentials,
  destroyCredentialsOfApp,
  findSecretIdBySlug,
  openSealedCredential,
} from './credentials/index.ts'
import { openAuditSigningKeys } from './crypto/audit-signing-key.ts'
import { KeyFileError } from './crypto/key-file.ts'
import { createKeyring } from './crypto/keyring.ts'
import { openPepper } from './crypto/pepper.ts'
import { createRewrapDataKeys } from './crypto/rewrap-data-keys.ts'
import { openLocalRootKeys } from './crypto/root-key.ts'
import { createDataKeyStore } from './db/data-key-store.ts'
import { ensureInstallation, ensureWrappedLinkKey, forgetNonces, rememberKeyFile } from './db/installation-store.ts'
import { demonstrationLines, prepareDemonstration } from './demo/prepare-demonstration.ts'
import { createAddressGuard, type Resolve } from './egress/address-guard.ts'
import { createUpstream } from './egress/upstream.ts'
import { createGrantRoutes, createGrants, findGrantTargets } from './grants/index.ts'
import { appPages } from './http/app-pages.ts'
import { declaredEndpoints } from './http/declared-endpoints.ts'
import { docsPages } from './http/docs-pages.ts'
import { createIdempotency } from './http/idempotency.ts'
import { createListener } from './http/listener.ts'
import { createAdminListener, createMetrics } from './http/metrics.ts'
import { createStatusRoutes } from './http/status-routes.ts'
import type { Clock } from './kernel/clock.ts'
import { type Faults, noFaults } from './kernel/faults.ts'
import { newId } from './kernel/ids.ts'
import { createJobs } from './kernel/jobs.ts'
import type { Log } from './kernel/log.ts'
import { VaultError } from './kernel/vault-error.ts'
import {
  createKeyRoutes,
  createKeys,
  findKey,
  mintKeyOfAgent,
  revokeKeysOfAgent,
  revokeKeysOfApp,
} from './keys/index.ts'
import { openDatabase } from './open-database.ts'
import { createOrganisationRoutes, createOrganisations, createPatAuthenticator } from './organisations/index.ts'
import { checkGrantRestrictions, createRuleRoutes, createWriteRules, type TargetExists } from './policies/index.ts'
import { createProxy, createUseFacts, createWouldBeDenied } from './proxy/index.ts'
import type { RunningServer } from './run-server.ts'

export type ServerOptions = {
  log: Log
  clock: Clock
  version: string
  /** Places where a test stops the process. */
  faults?: Faults
  /** The resolver of upstream names; the operating system's when absent. */
  resolve?: Resolve
  /** Management calls of one member in a minute; the product's own limit when absent. */
  operatorCallsPerMinute?: number
  /** Test builds: a handler that refuses with an undeclared code, or answers in an undeclared form, is a fault. */
  assertContracts?: boolean
  /** How often the server tidies up, where a test cannot wait as long as the product does. */
  pace?: Partial<Pace>
}

/** How often intents without an outcome are looked at. */
export type Pace = { sweepEveryMs: number }

const PACE: Pace = { sweepEveryMs: 60_000 }

const WALLET_FOLDER = fileURLToPath(new URL('../../../apps/wallet/dist', import.meta.url))
const LINK_KEY_BYTES = 32
const INLINE_BODY_MAX_BYTES = 25 * 1024 * 1024

/** The composition root: opens everything, joins the slices, listens. What was opened is closed in reverse order. */
export async function createServer(config: Config, options: ServerOptions): Promise<RunningServer> {
  const opened: (() => Promise<unknown>)[] = []
  const closeAll = async () => {
    for (const close of opened.splice(0).reverse()) {
      await close().catch((error: unknown) => options.log.error({ err: error }, 'closing failed'))
    }
  }
  try {
    return await compose(config, options, (close) => opened.push(close), closeAll)
  } catch (error) {
    await closeAll()
    throw error
  }
}

async function compose(
  config: Config,
  options: ServerOptions,
  opens: (close: () => Promise<unknown>) => void,
  closeAll: () => Promise<void>,
): Promise<RunningServer> {
  const { log, clock, version, faults = noFaults, resolve, operatorCallsPerMinute, assertContracts = false } = options
  // Keys and database
  if (config.database.dataDir !== undefined) await mkdir(config.database.dataDir, { recursive: true, mode: 0o700 })
  const rootKeys = await openLocalRootKeys({ path: config.keys.rootKeyFile, clock })
  const { keyDigest, fingerprint } = await openPepper({ path: config.keys.pepperFile })
  const signingKeys = await openAuditSigningKeys({ path: config.keys.auditSigningKeyFile, clock })
  const database = await openDatabase(config.database, { log, version })
  opens(database.close)
  const { db } = database
  const installationId = await db.unscoped(async (tx) => {
    assertSame(await rememberKeyFile(tx, 'root_key', rootKeys.keyIds()), config.keys.rootKeyFile)
    assertSame(await rememberKeyFile(tx, 'pepper', [fingerprint]), config.keys.pepperFile)
    return ensureInstallation(tx)
  })
  const linkKeyName = { appId: installationId, dataKeyId: installationId }
  const wrappedLinkKey = await rootKeys.wrap(linkKeyName, randomBytes(LINK_KEY_BYTES))
  const linkKey = createSecretKey(
    await rootKeys.unwrap(linkKeyName, await db.unscoped((tx) => ensureWrappedLinkKey(tx, wrappedLinkKey))),
  )
  const dataKeys = createDataKeyStore(db)
  const keyring = createKeyring({ wrapper: rootKeys, clock, ...dataKeys })

  // Audit log
  const pace = { ...PACE, ...options.pace }
  const processId = newId(clock.now())
  const audit = createAuditLog({ db, clock, log, keyring })
  const auditReads = createAuditReads({ db, audit, keyring, signingKeys, clock, log })
  await auditReads.listSigningKeys()
  // Closed after the log, so that its end is signed too.
  opens(auditReads.close)
  opens(audit.close)
  const meter = createRateMeter({ clock, append: audit.append })

  // Slices
  const metrics = createMetrics()
  const facts = createUseFacts(db)
  const endWaiting = endWaitingApprovals
  const writeRules = createWriteRules({ audit, clock, targetExists })
  const { replaceManagedRules, deleteRulesOf } = writeRules
  const grants = createGrants({
    db,
    audit,
    clock,
    endWaitingApprovals: endWaiting,
    checkGrantRestrictions,
    replaceManagedRules,
    deleteRulesOf,
  })
  const credentials = createCredentials({
    db,
    audit,
    clock,
    keyring,
    deleteRulesOf,
    ...grants.neighboursOfSecrets,
  })
  const keys = createKeys({ db, audit, clock, keyDigest, lockLiveAgent, getAgent })
  const agents = createAgents({
    db,
    audit,
    clock,
    mintKeyOfAgent: mintKeyOfAgent({ clock, keyDigest }),
    replaceManagedRules,
    deleteRulesOf,
    revokeKeysOfAgent,
    revokeGrantsOfAgent: grants.revokeGrantsOfAgent,
    endWaitingApprovals: endWaiting,
  })
  const organisations = createOrganisations({
    db,
    audit,
    clock,
    keyDigest,
    endWaitingApprovals: endWaiting,
    appDeletionSteps: [revokeKeysOfApp, destroyCredentialsOfApp, grants.endGrantsOfApp, revokeAgentsOfApp],
    forgetDataKeys: keyring.forget,
  })
  const executor: { wake: () => Promise<void> } = { wake: async () => undefined }
  const approvals = createApprovals({
    db,
    audit,
    keyring,
    linkKey,
    publicUrl: config.http.publicUrl,
    processId,
    clock,
    log,
    wouldBeDenied: createWouldBeDenied({ clock, ...facts }),
    onApproved: () => void executor.wake().catch((error: unknown) => log.error({ err: error }, 'executor failed')),
  })
  const upstream = createUpstream({ clock })
  opens(upstream.close)
  const proxy = createProxy({
    db,
    audit,
    keyDigest,
    clock,
    log,
    faults,
    facts,
    meter,
    approvals,
    guard: createAddressGuard(resolve === undefined ? {} : { resolve }).guard,
    upstream,
    openCredential: (appId, { credential, secret }) => {
      if (credential.sealed === null) throw new VaultError('credential_revoked')
      return openSealedCredential(keyring, appId, credential.credentialId, secret.type, credential.sealed)
    },
    maxResponseBytes: INLINE_BODY_MAX_BYTES,
    noteUnknownKey: (clientIp) => {
      metrics.noteUnknownKey()
      log.info({ client_ip: clientIp }, 'a request came with an unknown key')
    },
  })
  executor.wake = proxy.executor.wake
  opens(proxy.saveLastUses)
  opens(proxy.executor.close)

  // Background work
  const rewrapDataKeys = createRewrapDataKeys({ wrapper: rootKeys, ...dataKeys })
  const idempotency = createIdempotency({ db, wait })
  const jobs = createJobs({ clock, log })
  jobs.every('lapsed nonces', 300_000, () => db.unscoped((tx) => forgetNonces(tx, Math.floor(clock.now() / 1000))))
  jobs.every('due approvals', 1_000, approvals.runDueWork)
  jobs.every('execute approved', 1_000, proxy.executor.wake)
  jobs.every('last uses', 60_000, proxy.saveLastUses)
  jobs.every('audit sequence', 1_000, (signal) => auditReads.sequenceDue({ signal }))
  // What fails now is done by the job.
  audit.recent.onMany((scopeId) => void auditReads.sequenceRecent(scopeId).catch(() => undefined))
  jobs.every('kept outcomes', 1_000, audit.retryOutcomes)
  jobs.every('unknown outcomes', pace.sweepEveryMs, auditReads.sweepOutcomes)
  jobs.every('audit retention', 3_600_000, auditReads.applyRetention)
  jobs.every('idempotency records', 3_600_000, async () => {
    for (const scopeId of await auditReads.listScopes()) await idempotency.forget(scopeId)
  })
  opens(jobs.close)
  await rewrapDataKeys()

  // HTTP
  const checks = [
    { name: 'store', check: () => db.unscoped(async (tx) => (await ensureInstallation(tx)) === installationId) },
    { name: 'audit_writer', check: async () => audit.queuedRows() < AUDIT_QUEUE_LIMIT },
  ]
  const routes = [
    ...createStatusRoutes({ checks, endpoints: declaredEndpoints, version, publicUrl: config.http.publicUrl, wait }),
    ...createOrganisationRoutes({ db, organisations }),
    ...createKeyRoutes({ keys }),
    ...createAgentRoutes({ agents }),
    ...createCredentialRoutes({ credentials }),
    ...createGrantRoutes({ grants }),
    ...createRuleRoutes({ db, clock, writeRules, findGrantTargets }),
    ...createApprovalRoutes(approvals),
    ...createAuditRoutes(auditReads),
    ...proxy.routes,
  ]
  const callsPerMinute = operatorCallsPerMinute === undefined ? {} : { callsPerMinute: operatorCallsPerMinute }
  const listener = await createListener({
    declared: declaredEndpoints,
    bound: routes,
    hotRoutes: proxy.hotRoutes,
    authenticators: {
      apiKey: proxy.authenticate,
      operator: createPatAuthenticator({ db, clock, keyDigest, ...callsPerMinute }),
    },
    idempotency,
    log,
    clock,
    publicUrl: config.http.publicUrl,
    trustedProxies: config.http.trustedProxies,
    pages: [appPages({ prefix: '/wallet', folder: WALLET_FOLDER }), docsPages],
    observe: metrics.observe,
    assertContracts,
  })
  const admin = createAdminListener(metrics)
  // Made after the listener, which has the address, and ended after it has drained: calls in flight still need them.
  let endDemonstration = async () => {}
  let recordStop = async () => {}
  opens(() => endDemonstration())
  opens(() => recordStop())
  const { port } = await listener.listen(config.http)
  opens(() => listener.close(config.http.drainSeconds * 1000))
  // Before the listener drains: those who wait for a decision are answered, so that it need not wait for them.
  opens(async () => approvals.close())
  await admin.listen({ host: config.http.adminHost, port: config.http.adminPort })
  opens(admin.close)
  const address = `http://${config.http.host}:${port}`
  await audit.append(installationScope(installationId), { rows: [lifeRow('server.started', version)] })
  recordStop = async () => {
    await audit.append(installationScope(installationId), { rows: [lifeRow('server.stopped', version)] })
  }

  const announcement: string[] = []
  if (config.mode === 'dev' && config.database.dataDir !== undefined) {
    const { dataDir } = config.database
    const deps = { dataDir, baseUrl: address, organisations, keys, agents, credentials, grants, writeRules }
    const { dev, api } = await prepareDemonstration(deps)
    endDemonstration = api.close
    announcement.push(...demonstrationLines(dev, `${dataDir}/dev.json`))
  }
  return { address, announcement, close: closeAll }
}

const AUDIT_QUEUE_LIMIT = 10_000

/** Whether an app has what a rule is to restrict. */
const targetExists: TargetExists = async (tx, appId, { type, id }) => {
  switch (type) {
    case 'organization':
      return true
    case 'app':
      return id === appId
    case 'agent':
      return (await findAgent(tx, appId, id)) !== undefined
    case 'key':
      return (await findKey(tx, appId, id)) !== undefined
    case 'grant':
      return (await findGrantTargets(tx, appId, id)) !== undefined
    case 'provider':
      return (await findSecretIdBySlug(tx, appId, id)) !== undefined
  }
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const lifeRow = (event: 'server.started' | 'server.stopped', version: string): RowDraft => ({
  event,
  callerKind: 'system',
  outcome: 'success',
  detail: { resourceType: 'server', resourceId: version },
})

function assertSame(state: 'same' | 'replaced', path: string): void {
  if (state === 'same') return
  throw new KeyFileError(
    `"${path}" is not the file that this database was written with. Put the old file back; a new one opens nothing.`,
  )
}
