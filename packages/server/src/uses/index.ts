import { type ApiKeyNeeds, reportApiCall as reportApiCallEndpoint, simulatePolicy } from '@alter-vault/contracts'
import type { Approvals } from '../approvals/index.ts'
import { type AuditLog, createRateMeter } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import { createAddressGuard, type Resolve } from '../egress/address-guard.ts'
import { createFairUpstream } from '../egress/fair-upstream.ts'
import type { Upstream } from '../egress/upstream.ts'
import type { Presented } from '../http/authenticators.ts'
import { type BoundEndpoint, bindFor } from '../http/bind-endpoint.ts'
import type { RawHandler } from '../http/routes.ts'
import { createByteBudget } from '../kernel/byte-budget.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Faults } from '../kernel/faults.ts'
import { newId } from '../kernel/ids.ts'
import type { Job } from '../kernel/jobs.ts'
import type { Log } from '../kernel/log.ts'
import type { Metric } from '../kernel/metric.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { createIdentifyCaller, createSettle, sdkCallerOf } from '../keys/index.ts'
import { bindForCallers, type Operator, type SdkCaller } from '../management/index.ts'
import { parseRequestRule } from '../policy/request-rule.ts'
import { createOpenCredential } from '../secrets/index.ts'
import { upsertActor } from './actor-store.ts'
import { answerBudget } from './answer-room.ts'
import { loadStoredRules } from './app-policy-store.ts'
import { dropIdleCounters } from './counter-store.ts'
import { createExecuteApproved } from './execution-use.ts'
import type { createExecutions } from './executions.ts'
import { createExecutor } from './executor.ts'
import { holdRequestOf } from './hold-request.ts'
import { createHotRoutes } from './hot-routes.ts'
import { createLastUses } from './last-uses.ts'
import { createObserveActor } from './observe-actor.ts'
import type { PresentedDeps } from './presented-use.ts'
import { createProxyUse } from './proxy-use.ts'
import { createRecordOutcome } from './record-outcome.ts'
import { createReportApiCall } from './report-api-call.ts'
import { createResolveGrant } from './resolve-grant.ts'
import { createRunUse } from './run-use.ts'
import { createSendCall } from './send-call.ts'
import { createSimulate } from './simulate.ts'
import { createTokenUse } from './token-use.ts'
import type { UseFacts } from './use-facts.ts'

export { createExecutions } from './executions.ts'
export type { GrantFacts } from './grant-facts.ts'
export { createUseFacts, type UseFacts } from './use-facts.ts'

export type UsesDeps = {
  db: Database
  audit: Pick<AuditLog, 'append' | 'clockBehindMs'>
  keyring: Keyring
  keyDigest: (plainKey: string) => Buffer
  clock: Clock
  log: Log
  faults: Faults
  facts: UseFacts
  approvals: Approvals
  executions: ReturnType<typeof createExecutions>
  upstream: Pick<Upstream, 'send'>
  /** MiB that bodies of requests may take; answers take twice as much. */
  bodyMemoryMib: number
  /** The resolver of upstream names; the operating system's when absent. */
  resolve?: Resolve | undefined
}

export type Uses = {
  hotRoutes: ReadonlyMap<string, RawHandler>
  routes: BoundEndpoint[]
  /** Who makes an SDK request that is not hot; its nonce is settled here. */
  authenticate: (presented: Presented, needs: ApiKeyNeeds) => Promise<SdkCaller>
  jobs: Job[]
  metrics: Metric[]
  /** Deletes the rate counters of a scope that can no longer refuse anything. */
  forgetInScope: (scopeId: string) => Promise<unknown>
  /** Ends what is being executed and writes what is noted in memory. */
  close(): Promise<void>
}

const INLINE_BODY_MAX_BYTES = 25 * 1024 * 1024

const STALE_TRIES = 3

/** Everything that uses a credential. */
export function createUses(deps: UsesDeps): Uses {
  const { db, audit, keyring, clock, log, faults, facts, approvals } = deps
  const meter = createRateMeter({ clock, append: audit.append })
  const openCredential = createOpenCredential(keyring, clock)
  const answers = createByteBudget(answerBudget(deps.bodyMemoryMib))
  let unknownKeys = 0
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
    noteUnknownKey: (clientIp) => {
      unknownKeys++
      log.info({ client_ip: clientIp }, 'a request came with an unknown key')
    },
  })
  const sendCall = createSendCall({
    guard: createAddressGuard(deps.resolve === undefined ? {} : { resolve: deps.resolve }).guard,
    upstream: createFairUpstream(deps.upstream),
    openCredential,
    faults,
    maxResponseBytes: INLINE_BODY_MAX_BYTES,
  })
  const { recordOutcome, outcomeOf } = createRecordOutcome({ audit, clock })
  const runUse = createRunUse({
    clock,
    audit,
    appPolicy: facts.appPolicy,
    meter,
    usableCredentials: {},
    forget: facts.forget,
    faults,
  })
  const presented: PresentedDeps = {
    clock,
    audit,
    identify,
    resolveGrant: createResolveGrant(facts),
    lastUsedAtMs: lastUses.lastUsedAtMs,
    noteUse: lastUses.noteUse,
  }
  const proxyUse = createProxyUse({
    ...presented,
    sendCall,
    recordOutcome,
    hold: (request) => approvals.requestApproval(holdRequestOf(request)),
  })
  const tokenUse = createTokenUse({ ...presented, openCredential })
  const executeApproved = createExecuteApproved({
    clock,
    log,
    faults,
    audit,
    runUse,
    findGrant: facts.findGrant,
    findAgent: facts.findAgent,
    findKeyById: facts.findKeyById,
    appPolicy: facts.appPolicy,
    sendCall,
    outcomeOf,
    renewLease: approvals.renewLease,
    recordExecuted: approvals.recordExecuted,
    recordFailed: approvals.recordFailed,
    answers,
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
  const executor = createExecutor({ claimDue: approvals.claimDue, executeApproved, log })
  deps.executions.executeWith(executor)
  const open = new AsyncDisposableStack()
  open.defer(lastUses.save)
  open.defer(executor.close)

  return {
    hotRoutes: createHotRoutes({ runUse, proxyUse, tokenUse, answers }),
    routes: [
      bindForCallers(reportApiCallEndpoint, ({ principal, body }) => reportApiCall(principal, body)),
      bindFor<'operator', Operator>()(simulatePolicy, ({ principal, params, body }) =>
        simulate(principal, params.app_id, body),
      ),
    ],
    async authenticate(presented, needs) {
      for (let tries = 1; ; tries++) {
        const identified = await identify(presented, needs)
        if (identified.kind === 'refused' && identified.known === null) throw identified.error
        const settling = identified.kind === 'refused' ? identified.known! : identified.attempt
        const settled = await settle(settling)
        if (settled.kind === 'settled') {
          if (identified.kind === 'refused') throw identified.error
          return sdkCallerOf(identified.attempt)
        }
        facts.forget(settling.caller.appId, settled.subjects)
        if (tries === STALE_TRIES) throw new VaultError('service_unavailable', { retryAfterSeconds: 1 })
      }
    },
    jobs: [
      { name: 'execute approved', everyMs: 1_000, run: executor.wake },
      { name: 'last uses', everyMs: 60_000, run: lastUses.save },
    ],
    metrics: [
      {
        name: 'alter_unknown_keys_total',
        help: 'Requests with an API key that is not known.',
        type: 'counter',
        read: () => unknownKeys,
      },
    ],
    forgetInScope: (scopeId) => db.forApp(scopeId, (tx) => dropIdleCounters(tx, scopeId)),
    close: () => open.disposeAsync(),
  }
}
