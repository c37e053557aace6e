import type { FrozenRequest, HeldRequest, WouldBeDenied } from '../approvals/index.ts'
import { appScope } from '../audit/index.ts'
import { canonicalUrl } from '../egress/canonical-url.ts'
import type { Clock } from '../kernel/clock.ts'
import { noFaults } from '../kernel/faults.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import { addVersion, addVersions, isStale, joinVersions, readVersionsOf, type Stale } from '../kernel/read-versions.ts'
import { VaultError } from '../kernel/vault-error.ts'
import {
  type AgentFacts,
  assertKeyAddress,
  assertKeyLive,
  type CallAttempt,
  type Identified,
  type KeyFacts,
} from '../keys/index.ts'
import type { Caller, CallerAgent } from '../management/index.ts'
import type { AppPolicy } from './app-policy.ts'
import { assumedCaller } from './assumed-caller.ts'
import { Denial, type UseDecision } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import { assertSendable, type PreparedCall } from './prepare-call.ts'
import { assertLive } from './resolve-grant.ts'
import { createRunUse, type RunDeps, readPolicy } from './run-use.ts'
import type { Ended, NotStored, Use, UseKind } from './use-kind.ts'

export type FactDeps = {
  clock: Clock
  findGrant: (appId: string, grantId: string) => Promise<GrantFacts | undefined>
  findAgent: (appId: string, agentId: string) => Promise<AgentFacts | undefined>
  findKeyById: (appId: string, keyId: string) => Promise<KeyFacts | undefined>
  appPolicy: (appId: string) => Promise<AppPolicy>
}

/** What of a held request the last check looks at. */
type Held = Pick<HeldRequest, 'appId' | 'organizationId' | 'approvalId' | 'request' | 'satisfied' | 'approverIds'>

/** Everything that a revocation, a rule or a clock may have changed since a request was frozen: every subject that a call rests on. */
export function createLastCheck(deps: FactDeps) {
  return {
    name: 'execution',
    faults: [null, 'after_sent_at', 'after_result', 'after_record'],
    async identify(held: Held): Promise<Identified> {
      const policy = await readPolicy(deps, held.appId)
      const { agent: frozen, clientIp } = held.request
      const readVersions = readVersionsOf([policy.epoch])
      const isLive = policy.appStatus === 'live'
      const agent = frozen === null || !isLive ? undefined : await deps.findAgent(held.appId, frozen.id)
      if (agent !== undefined) addVersion(readVersions, agent.version)
      const key = isLive ? await deps.findKeyById(held.appId, held.request.key.id) : undefined
      if (key !== undefined) addVersions(readVersions, key.versions)
      const caller = callerFromFrozen(held, policy, agent ?? null)
      try {
        if (!isLive) throw new VaultError('key_not_active', { fields: { execution_error: 'app_archived' } })
        if (frozen !== null && agent?.status !== 'active') {
          throw new VaultError(agent?.status === 'inactive' ? 'agent_inactive' : 'agent_revoked')
        }
        if (key === undefined) throw new VaultError('key_revoked')
        assertKeyLive(key, deps.clock.now(), true)
        assertKeyAddress(key, clientIp)
      } catch (error) {
        if (error instanceof VaultError) return { kind: 'refused', error, known: { caller, readVersions } }
        throw error
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
    prepare(request: FrozenRequest, grant: GrantFacts, policy: AppPolicy) {
      const call = callFromFrozen(request)
      assertSendable(call, grant, policy)
      return { call, declared: null }
    },
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

const callFromFrozen = ({ method, url, headers, body }: FrozenRequest): PreparedCall => ({
  method,
  url: canonicalUrl(url),
  headers: headers.map(([name, value]) => [name, value]),
  body: body ?? undefined,
  dropped: { headers: [], queryParams: [] },
})

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

/**
 * Why a held request would not be sent if it were approved now; empty when it would be. Ends with the decision and writes nothing. What it
 * says holds: the versions that it was decided on are compared with the stored ones, and what has moved is read and decided again.
 */
export function createWouldBeDenied(deps: FactDeps & Pick<RunDeps, 'forget' | 'audit'>): WouldBeDenied {
  const never = (): never => {
    throw new Error('A check ends with its decision.')
  }
  const runUse = createRunUse({ ...deps, meter: { take: never }, usableCredentials: {}, faults: noFaults })

  /** What has moved since the versions were read; null when all of them hold. */
  async function movedSince(held: Held, versions: readonly ReadVersion[] | Stale): Promise<Stale | null> {
    if (isStale(versions)) return versions
    const stored = await deps.audit.append(appScope(held.appId, held.organizationId), { rows: [], fences: versions })
    return stored.kind === 'stale' ? stored : null
  }

  async function mayBeSent({ given, versions }: Use<Held, FrozenRequest>): Promise<Ended<Reasons> | NotStored> {
    const moved = await movedSince(given, versions)
    return moved === null ? { kind: 'ended', result: { error: null } } : { ...moved, subjects: [...moved.subjects] }
  }

  const lastCheck = createLastCheck(deps)
  const check: UseKind<Held, FrozenRequest, never, Reasons> = {
    ...lastCheck,
    onlyDecide(use, judgment) {
      const { effect } = judgment.decision
      if (effect === 'deny') return null
      return effect === 'hold' ? lastCheck.hold(use, judgment) : mayBeSent(use)
    },
    intent: never,
    intentId: never,
    perform: never,
    record: never,
    result: never,
    refuse: async (held, { error, versions }) => (await movedSince(held, versions)) ?? { error },
    refuseCaller: async (held, { readVersions }, error) =>
      (await movedSince(held, joinVersions(readVersions))) ?? { error },
  }
  return async (held) => {
    const { error } = await runUse(check, held).catch((error: unknown) => {
      if (error instanceof VaultError) return { error }
      throw error
    })
    return error === null ? [] : [{ code: executionErrorOf(error), message: error.message, rule_name: null }]
  }
}
