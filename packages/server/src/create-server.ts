import { fileURLToPath } from 'node:url'
import { createAgents, endAgentsWith } from './agents/index.ts'
import { createApplyRetention } from './apply-retention.ts'
import { createApprovals, endApprovalsWith } from './approvals/index.ts'
import { createApps } from './apps/index.ts'
import { createAudit, installationScope, PACE, type Pace } from './audit/index.ts'
import type { Config } from './config.ts'
import type { Resolve } from './egress/address-guard.ts'
import { createUpstream } from './egress/upstream.ts'
import { foundOrganization } from './found-organization.ts'
import { createGrants, endGrantsWith, grantsOfSecrets } from './grants/index.ts'
import { appPages } from './http/app-pages.ts'
import { type Authenticators, checksNothing } from './http/authenticators.ts'
import { declaredEndpoints } from './http/declared-endpoints.ts'
import { docsPages } from './http/docs-pages.ts'
import { createListener } from './http/listener.ts'
import { createAdminListener, createMetrics } from './http/metrics.ts'
import { forgetAnswers } from './http/once-store.ts'
import { createStatusRoutes } from './http/status-routes.ts'
import type { Clock } from './kernel/clock.ts'
import { type Faults, noFaults } from './kernel/faults.ts'
import { newId } from './kernel/ids.ts'
import { createJobs, type Jobs } from './kernel/jobs.ts'
import type { Log } from './kernel/log.ts'
import { createReturnMemory } from './kernel/return-memory.ts'
import { createKeys, endKeysWith } from './keys/index.ts'
import { callerAuthenticator, createEndings } from './management/index.ts'
import { openInstallation } from './open-installation.ts'
import { createOrganizationRoutes } from './organizations/index.ts'
import { createRules, endRulesWith } from './rules/index.ts'
import type { RunningServer } from './run-server.ts'
import { createSecrets, endSecretsWith } from './secrets/index.ts'
import type { Slice } from './slice.ts'
import { createPatAuthenticator, createTokenRoutes } from './tokens/index.ts'
import { createExecutions, createUseFacts, createUses } from './uses/index.ts'

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
  /** What repeats the background work, where a test runs it by hand. */
  jobs?: Jobs
}

const WALLET_FOLDER = fileURLToPath(new URL('../../../apps/wallet/dist', import.meta.url))

/** Slices that end something of their own when something else ends. The order is that of the audit rows. */
const listeners = [endKeysWith, endSecretsWith, endGrantsWith, endAgentsWith, endRulesWith, endApprovalsWith]

/** The composition root: opens everything, joins the slices, listens. What was opened is closed in reverse order. */
export async function createServer(config: Config, options: ServerOptions): Promise<RunningServer> {
  const { log, clock, version, faults = noFaults, resolve, operatorCallsPerMinute, assertContracts = false } = options
  const { publicUrl } = config.http
  await using opening = new AsyncDisposableStack()
  /** What cannot be closed does not keep the rest open. */
  const closeLater = (close: () => unknown) =>
    opening.defer(async () => {
      try {
        await close()
      } catch (error) {
        log.error({ err: error }, 'closing failed')
      }
    })

  // Slices
  const installation = await openInstallation(config, options)
  closeLater(() => installation[Symbol.asyncDispose]())
  const { db, installationId, keyDigest, keyring, linkKey } = installation
  const processId = newId(clock.now())
  const audit = createAudit({ ...installation, clock, log, pace: { ...PACE, ...options.pace } })
  const endings = createEndings(listeners)
  const facts = createUseFacts(db)
  const executions = createExecutions({ clock, log, facts, audit })
  const upstream = createUpstream({ clock })
  closeLater(upstream.close)
  const shared = { db, audit, clock, keyring, keyDigest, endings }
  const apps = createApps(shared)
  const rules = createRules(shared)
  const keys = createKeys(shared)
  const agents = createAgents({ ...shared, keys, rules })
  const secrets = createSecrets({ ...shared, grants: grantsOfSecrets })
  const grants = createGrants({ ...shared, rules })
  const approvals = createApprovals({ ...shared, linkKey, publicUrl, processId, log, executions })
  const uses = createUses({ ...shared, log, faults, facts, approvals, executions, upstream, resolve, ...config.http })
  const slices: Slice[] = [
    installation,
    audit,
    { forgetInScope: (scopeId) => db.forApp(scopeId, (tx) => forgetAnswers(tx, scopeId)) },
    { routes: createOrganizationRoutes(shared) },
    apps,
    { routes: createTokenRoutes() },
    agents,
    keys,
    secrets,
    grants,
    rules,
    approvals,
    uses,
  ]

  // Background work
  for (const slice of slices) {
    if (slice.close !== undefined) closeLater(slice.close)
    await slice.start?.()
  }
  const { jobs = createJobs({ clock, log }) } = options
  for (const { name, everyMs, run } of slices.flatMap((slice) => slice.jobs ?? [])) jobs.every(name, everyMs, run)
  const inScopes = slices.flatMap((slice) => slice.forgetInScope ?? [])
  const inApps = slices.flatMap((slice) => slice.forgetInApp ?? [])
  jobs.every('retention', 3_600_000, createApplyRetention({ readScopes: apps.readScopes, inScopes, inApps, log }))
  jobs.every('return memory', 5_000, createReturnMemory())
  closeLater(jobs.close)

  // HTTP
  const metrics = createMetrics(slices.flatMap((slice) => slice.metrics ?? []))
  const checks = slices.flatMap((slice) => slice.ready ?? [])
  const listener = createListener({
    declared: declaredEndpoints,
    bound: [
      ...createStatusRoutes({ checks, endpoints: declaredEndpoints, version, publicUrl, wait }),
      ...slices.flatMap((slice) => slice.routes ?? []),
    ],
    hotRoutes: uses.hotRoutes,
    authenticators: {
      public: checksNothing,
      api_key: callerAuthenticator(uses.authenticate),
      operator: createPatAuthenticator({
        ...shared,
        ...(operatorCallsPerMinute === undefined ? {} : { callsPerMinute: operatorCallsPerMinute }),
      }),
      approval_link: checksNothing,
    } satisfies Authenticators,
    log,
    clock,
    ...config.http,
    pages: [...appPages({ prefix: '/wallet', folder: WALLET_FOLDER }), ...docsPages],
    observe: metrics.observe,
    observeRefusal: metrics.observeRefusal,
    assertContracts,
  })
  const recordLife = (event: 'server.started' | 'server.stopped') =>
    audit.append(installationScope(installationId), {
      rows: [
        {
          event,
          callerKind: 'system',
          outcome: 'success',
          detail: { resourceType: 'server', resourceId: version },
        },
      ],
    })
  const { port } = await listener.listen(config.http)
  closeLater(() => recordLife('server.stopped'))
  closeLater(() => listener.close(config.http.drainSeconds * 1000))
  for (const slice of slices) if (slice.drain !== undefined) closeLater(slice.drain)
  const admin = createAdminListener(metrics)
  await admin.listen({ host: config.http.adminHost, port: config.http.adminPort })
  closeLater(admin.close)
  await recordLife('server.started')

  const opened = opening.move()
  return {
    address: `http://${config.http.host}:${port}`,
    foundOrganization: foundOrganization(shared),
    close: () => opened.disposeAsync(),
  }
}

const wait = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))
