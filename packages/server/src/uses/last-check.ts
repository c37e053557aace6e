import type { FrozenRequest, HeldRequest, WouldBeDenied } from '../approvals/index.ts'
import { assertAllowedHost } from '../egress/allowed-hosts.ts'
import { canonicalUrl } from '../egress/canonical-url.ts'
import type { HeaderList } from '../egress/header-rules.ts'
import type { Clock } from '../kernel/clock.ts'
import { noFaults } from '../kernel/faults.ts'
import { addVersion, addVersions, readVersionsOf } from '../kernel/read-versions.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { AgentFacts, CallAttempt, Identified } from '../keys/index.ts'
import type { Caller, CallerAgent } from '../management/index.ts'
import type { AppPolicy } from './app-policy.ts'
import { assumedCaller } from './assumed-caller.ts'
import { Denial, type UseDecision } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { PreparedCall } from './prepare-call.ts'
import { assertLive } from './resolve-grant.ts'
import { createRunUse, type RunDeps, readPolicy } from './run-use.ts'
import type { Ended, UseKind } from './use-kind.ts'

export type FactDeps = {
  clock: Clock
  findGrant: (appId: string, grantId: string) => Promise<GrantFacts | undefined>
  findAgent: (appId: string, agentId: string) => Promise<AgentFacts | undefined>
  appPolicy: (appId: string) => Promise<AppPolicy>
}

/** What of a held request the last check looks at. */
type Held = Pick<HeldRequest, 'appId' | 'organizationId' | 'approvalId' | 'request' | 'satisfied' | 'approverIds'>

/** Everything that a revocation, a rule or a clock may have changed since a request was frozen. */
export function createLastCheck(deps: FactDeps) {
  return {
    name: 'execution',
    faults: [null, 'after_sent_at', 'after_result', 'after_record'],
    async identify(held: Held): Promise<Identified> {
      const policy = await readPolicy(deps, held.appId)
      const { agent: frozen } = held.request
      const readVersions = readVersionsOf([policy.epoch])
      const isLive = policy.appStatus === 'live'
      const agent = frozen === null || !isLive ? undefined : await deps.findAgent(held.appId, frozen.id)
      if (agent !== undefined) addVersion(readVersions, agent.version)
      const caller = callerFromFrozen(held, policy, agent ?? null)
      const refused = (error: VaultError) => ({ kind: 'refused' as const, error, known: { caller, readVersions } })
      if (!isLive) return refused(new VaultError('key_not_active', { fields: { execution_error: 'app_archived' } }))
      if (frozen !== null && agent?.status !== 'active') {
        return refused(new VaultError(agent?.status === 'inactive' ? 'agent_inactive' : 'agent_revoked'))
      }
      return { kind: 'caller', attempt: { caller, readVersions, nonce: null, requestRule: null, answerHeaders: {} } }
    },
    read: ({ request }: Held) => request,
    requestColumns: ({ method, url, reason }: FrozenRequest) => ({ method, url, reason, declared: false }),
    async resolve({ caller, readVersions }: CallAttempt, request: FrozenRequest) {
      const grant = await deps.findGrant(caller.appId, request.grant.id)
      if (grant === undefined) throw new VaultError('grant_revoked')
      addVersions(readVersions, grant.versions)
      assertLive(grant, { agentId: null }, deps.clock.now())
      return grant
    },
    prepare: (request: FrozenRequest, grant: GrantFacts) => ({ call: callFromFrozen(request, grant), declared: null }),
    lastUsedAtMs: async () => null,
    decideBy: ({ satisfied, approvalId, approverIds }: Held) => ({
      phase: 'execution' as const,
      requestRule: null,
      satisfiedHolds: new Map(satisfied.map(({ ruleId, ruleVersion }) => [ruleId, ruleVersion])),
      approval: { id: approvalId, approverIds, edited: false },
    }),
    /** A rule holds it that its approval does not answer: the rule is new, or was changed since. */
    async hold(_use: unknown, judgment: UseDecision): Promise<never> {
      throw new Denial('policy_denied', judgment.record, { fields: { execution_error: 'policy_changed' } })
    },
  } as const
}

export const executionErrorOf = (error: VaultError): string =>
  typeof error.fields.execution_error === 'string' ? error.fields.execution_error : error.code

/** The frozen bytes as a call, held against the grant as it is now. */
function callFromFrozen(request: FrozenRequest, grant: GrantFacts): PreparedCall {
  const url = canonicalUrl(request.url)
  assertAllowedHost(grant.target.allowedHosts, url)
  if (grant.checkRestrictions?.({ method: request.method, ...url }) != null) throw new VaultError('grant_restriction')
  return {
    method: request.method,
    url,
    headers: request.headers.map(([name, value]) => [name, value]) as HeaderList,
    body: request.body ?? undefined,
    dropped: { headers: [], queryParams: [] },
  }
}

/** Who asked, as frozen: rules on key, caller and address judge the requester, never the approver. */
function callerFromFrozen(
  { request, appId, organizationId }: Held,
  policy: AppPolicy,
  agent: CallerAgent | null,
): Caller {
  const { key, caller, callerType, actorId, context, clientIp, userAgent, traceId } = request
  return assumedCaller({
    appId,
    organizationId,
    appEnvironment: policy.appEnvironment,
    keyId: key.id,
    keyPrefix: key.prefix,
    keyName: key.name,
    keyType: key.type,
    agentId: request.agent?.id ?? null,
    agent,
    caller,
    callerType,
    actorId,
    context,
    clientIp,
    userAgent,
    traceId,
  })
}

type Reasons = { error: VaultError | null }
const MAY_BE_SENT: Promise<Ended<Reasons>> = Promise.resolve({ kind: 'ended', result: { error: null } })

/** Why a held request would not be sent if it were approved now; empty when it would be. Ends with the decision and writes nothing. */
export function createWouldBeDenied(deps: FactDeps & Pick<RunDeps, 'forget'>): WouldBeDenied {
  const never = (): never => {
    throw new Error('A check ends with its decision.')
  }
  const runUse = createRunUse({
    ...deps,
    audit: { append: never },
    meter: { take: never },
    usableCredentials: {},
    faults: noFaults,
  })
  const check: UseKind<Held, FrozenRequest, never, Reasons> = {
    ...createLastCheck(deps),
    onlyDecide: (_use, judgment) => (judgment.decision.effect === 'allow' ? MAY_BE_SENT : null),
    intent: never,
    intentId: never,
    perform: never,
    record: never,
    result: never,
    refuse: async (_held, { error }) => ({ error }),
    refuseCaller: async (_held, _known, error) => ({ error }),
  }
  return async (held) => {
    const { error } = await runUse(check, held).catch((error: unknown) => {
      if (error instanceof VaultError) return { error }
      throw error
    })
    return error === null ? [] : [{ code: executionErrorOf(error), message: error.message, rule_name: null }]
  }
}
