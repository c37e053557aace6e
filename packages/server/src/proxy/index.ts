import { reportApiCall as reportApiCallEndpoint, simulatePolicy } from '@alter-vault/contracts'
import type { Approvals } from '../approvals/index.ts'
import type { AuditLog, RateMeter } from '../audit/index.ts'
import type { Database } from '../db/database.ts'
import type { AddressGuard } from '../egress/address-guard.ts'
import { createAwsClockSkew } from '../egress/aws-clock-skew.ts'
import type { Upstream } from '../egress/upstream.ts'
import type { Authenticators } from '../http/authenticators.ts'
import { type BoundEndpoint, bind } from '../http/bind-endpoint.ts'
import type { RawHandler } from '../http/listener.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Faults } from '../kernel/faults.ts'
import { newId } from '../kernel/ids.ts'
import type { Log } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { createIdentifyCaller, createSettle } from '../keys/index.ts'
import { parseRequestRule } from '../policies/index.ts'
import { upsertActor } from './actor-store.ts'
import { loadStoredRules } from './app-policy-store.ts'
import { createExecuteApproved } from './execute-approved.ts'
import { createExecutor } from './executor.ts'
import { holdRequestOf } from './hold-request.ts'
import { createHotRoutes } from './hot-routes.ts'
import { createLastUses } from './last-uses.ts'
import { createObserveActor } from './observe-actor.ts'
import { createProxyRequest, type UseDeps } from './proxy-request.ts'
import { createRecordOutcome } from './record-outcome.ts'
import { createReportApiCall } from './report-api-call.ts'
import { createResolveGrant } from './resolve-grant.ts'
import { createRetrieveToken } from './retrieve-token.ts'
import { createSendCall, type SendDeps } from './send-call.ts'
import { createSimulate } from './simulate.ts'
import type { UseFacts } from './use-facts.ts'

export { createWouldBeDenied } from './execute-approved.ts'
export type { GrantFacts } from './grant-facts.ts'
export { createUseFacts, type UseFacts } from './use-facts.ts'

export type ProxyDeps = {
  db: Database
  audit: Pick<AuditLog, 'append' | 'clockBehindMs'>
  keyDigest: (plainKey: string) => Buffer
  clock: Clock
  log: Log
  faults: Faults
  facts: UseFacts
  meter: RateMeter
  approvals: Approvals
  guard: AddressGuard['guard']
  upstream: Pick<Upstream, 'send'>
  openCredential: SendDeps['openCredential']
  maxResponseBytes: number
  /** A request came with a key that nobody has: for a metric; it makes no audit row. */
  noteUnknownKey: (clientIp: string) => void
}

export type Proxy = {
  hotRoutes: ReadonlyMap<string, RawHandler>
  routes: BoundEndpoint[]
  /** Who makes an SDK request that is not hot; its nonce is settled here. */
  authenticate: Authenticators['apiKey']
  executor: ReturnType<typeof createExecutor>
  /** Writes what is noted in memory: when things were last used. */
  saveLastUses: () => Promise<void>
}

const STALE_TRIES = 3

/** Everything that uses a credential. */
export function createProxy(deps: ProxyDeps): Proxy {
  const { db, audit, clock, log, faults, facts, meter, approvals } = deps
  const lastUses = createLastUses({ db, clock })
  const identify = createIdentifyCaller({
    clock,
    keyDigest: deps.keyDigest,
    findKey: facts.findKey,
    findAgent: facts.findAgent,
    observeActor: createObserveActor({
      upsert: (seen) => db.forApp(seen.appId, (tx) => upsertActor(tx, newId(clock.now()), seen), { retryable: true }),
    }),
    takeRate: meter.take,
    checkRequestRule: parseRequestRule,
    noteUnknownKey: deps.noteUnknownKey,
  })
  const sendCall = createSendCall({
    guard: deps.guard,
    upstream: deps.upstream,
    openCredential: deps.openCredential,
    awsClockSkew: createAwsClockSkew({ clock }),
    faults,
    maxResponseBytes: deps.maxResponseBytes,
  })
  const { recordOutcome, outcomeOf } = createRecordOutcome({ audit, clock })
  const use: UseDeps = {
    clock,
    audit,
    identify,
    resolveGrant: createResolveGrant(facts),
    appPolicy: facts.appPolicy,
    lastUsedAtMs: lastUses.lastUsedAtMs,
    noteUse: lastUses.noteUse,
    meter,
    forget: facts.forget,
    faults,
  }
  const proxyRequest = createProxyRequest({
    ...use,
    sendCall,
    recordOutcome,
    hold: (request) => approvals.requestApproval(holdRequestOf(request)),
  })
  const retrieveToken = createRetrieveToken({ ...use, openCredential: deps.openCredential })
  const executeApproved = createExecuteApproved({
    clock,
    log,
    faults,
    audit,
    findGrant: facts.findGrant,
    findAgent: facts.findAgent,
    appPolicy: facts.appPolicy,
    forget: facts.forget,
    sendCall,
    outcomeOf,
    renewLease: approvals.renewLease,
    recordExecuted: approvals.recordExecuted,
    recordFailed: approvals.recordFailed,
  })
  const reportApiCall = createReportApiCall({
    audit,
    clock,
    findGrant: facts.findGrant,
    appPolicy: facts.appPolicy,
  })
  const simulate = createSimulate({
    clock,
    audit,
    findGrant: facts.findGrant,
    findAgent: facts.findAgent,
    appPolicy: facts.appPolicy,
    storedRules: (appId) => db.readForApp(appId, (tx) => loadStoredRules(tx, appId)),
  })
  const settle = createSettle(audit)

  return {
    hotRoutes: createHotRoutes({ proxyRequest, retrieveToken }),
    routes: [
      bind(reportApiCallEndpoint, ({ principal, body }) => reportApiCall(principal, body)),
      bind(simulatePolicy, ({ principal, params, body }) => simulate(principal, params.app_id, body)),
    ],
    async authenticate(presented, access) {
      for (let tries = 1; ; tries++) {
        const identified = await identify(presented, {
          scopes: access.scopes,
          ...(access.anyOf === undefined ? {} : { anyOf: access.anyOf }),
          ...(access.instances === undefined ? {} : { instances: access.instances }),
          ...(access.inactiveAgent === undefined ? {} : { allowInactiveAgent: access.inactiveAgent }),
        })
        if (identified.kind === 'refused' && identified.known === null) throw identified.error
        const settling = identified.kind === 'refused' ? identified.known! : identified.caller
        const settled = await settle(settling)
        if (settled.kind === 'settled') {
          if (identified.kind === 'refused') throw identified.error
          return identified.caller
        }
        facts.forget(settling.appId, settled.subjects)
        if (tries === STALE_TRIES) throw new VaultError('service_unavailable', { retryAfterSeconds: 1 })
      }
    },
    executor: createExecutor({ claimDue: approvals.claimDue, executeApproved, log }),
    saveLastUses: lastUses.save,
  }
}
