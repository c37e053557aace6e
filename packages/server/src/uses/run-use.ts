import { agentMayUse } from '../agents/index.ts'
import { type AuditLog, appScope, type RateMeter } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Faults } from '../kernel/faults.ts'
import { addVersion, isStale, joinVersions, type Stale } from '../kernel/read-versions.ts'
import { createTurn } from '../kernel/turn.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { agentScopesAt, type CallAttempt } from '../keys/index.ts'
import type { Caller } from '../management/index.ts'
import type { AppPolicy } from './app-policy.ts'
import { spentOf, type TakenCharges, takeLeases } from './charge-use.ts'
import { decideUse, refusalOf, type UseDecision, withSpentBudgets } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import { ensureUsable, type UsableCredentials } from './usable-credential.ts'
import type { AdmittedUse, Ended, NotStored, Refusal, Use, UseKind } from './use-kind.ts'
import { callerColumns, type RequestColumns, useColumns } from './use-rows.ts'

export type RunDeps = {
  clock: Clock
  audit: Pick<AuditLog, 'append'>
  appPolicy: (appId: string) => Promise<AppPolicy>
  meter: RateMeter
  usableCredentials: UsableCredentials
  /** Drops cached facts that were read with these versions. */
  forget: (appId: string, subjects: readonly string[]) => void
  faults: Faults
}

const MAX_TRIES = 3
/** What is done with a longer body is done in several turns of the loop, so that others do not wait for all of it. */
export const LONG_BODY_BYTES = 256 * 1024

/**
 * Every use of a credential, in the one order that is the security argument: nothing is opened or sent before a durable intent, which is
 * stored only while every fact that the decision was made on still holds. When a fact has moved the use starts anew, three times at
 * most. A refusal is recorded, then thrown.
 */
export function createRunUse(deps: RunDeps) {
  const { clock } = deps
  const turn = createTurn()

  return async function runUse<Given, Request, End extends object, Result extends object>(
    kind: UseKind<Given, Request, End, Result>,
    given: Given,
  ): Promise<Result> {
    for (let tries = 1; ; tries++) {
      const identified = await kind.identify(given)
      if (identified.kind === 'caller') {
        const ended = await runOnce(kind, given, identified.attempt, tries >= MAX_TRIES)
        if (!isStale(ended)) return ended
        deps.forget(identified.attempt.caller.appId, ended.subjects)
        continue
      }
      if (identified.known === null) throw identified.error
      const ended = await kind.refuseCaller(given, identified.known, identified.error)
      if (!isStale(ended)) return ended
      deps.forget(identified.known.caller.appId, ended.subjects)
      if (tries > MAX_TRIES) throw new VaultError('policy_version_drift')
    }
  }

  async function runOnce<Given, Request, End extends object, Result extends object>(
    kind: UseKind<Given, Request, End, Result>,
    given: Given,
    attempt: CallAttempt,
    isLast: boolean,
  ): Promise<Result | Stale> {
    const { caller, readVersions } = attempt
    const who = callerColumns(caller)
    let requestColumns: RequestColumns | null = null
    let grant: GrantFacts | null = null
    let admitted: AdmittedUse<Given, Request>
    try {
      const request = await kind.read(given)
      requestColumns = kind.requestColumns(request)
      grant = await kind.resolve(attempt, request)
      assertAgentMayUse(caller, grant, clock.now())
      const policy = await readPolicy(deps, caller.appId)
      addVersion(readVersions, policy.epoch)
      const { call, declared } = kind.prepare(request, grant, policy)
      if ((call?.body?.length ?? 0) > LONG_BODY_BYTES) await turn()
      const versions = fresh(joinVersions(readVersions))
      const lastUsedAtMs = await kind.lastUsedAtMs(caller.appId, grant.grantId)
      const { reason } = requestColumns
      const columns = useColumns(who, grant)
      const view = { caller, grant, call, declared, reason, lastUsedAtMs }
      const use = { ...view, given, request, attempt, policy, versions, requestColumns, columns }
      let judgment = decideUse(use, policy, clock, kind.decideBy(given, attempt))

      const early = kind.onlyDecide(use, judgment)
      if (early !== null) return resultOf(await early)
      const leased = await takeLeases(deps.meter, caller, judgment.decision.charges, clock.now())
      if (leased.spent.length > 0) judgment = withSpentBudgets(judgment, leased.spent)
      if (judgment.decision.effect === 'deny') throw refusalOf(judgment)
      const usable = judgment.decision.effect === 'allow' ? ensureUsable(deps.usableCredentials, use) : null
      if (usable !== null) fresh(await usable)
      const stored = await store(kind, use, judgment, leased)
      if (stored.kind === 'ended') return stored.result
      admitted = stored
    } catch (error) {
      return refuse(kind, given, { error, attempt, who, requestColumns, grant }, isLast)
    }
    await deps.faults.at(kind.faults[1])
    const end = await kind.perform(admitted)
    await deps.faults.at(kind.faults[2])
    await kind.record(admitted, end)
    if (kind.faults[3] !== null) await deps.faults.at(kind.faults[3])
    return kind.result(admitted, end)
  }

  /**
   * Stores the intent, or what waits for people, with its exact charges. What only a shadow rule counts refuses nothing: such a charge is
   * left out once it is spent, the decision notes what the rule would have done, and the use is stored again.
   */
  async function store<Given, Request, End extends object, Result extends object>(
    kind: UseKind<Given, Request, End, Result>,
    use: Use<Given, Request>,
    decided: UseDecision,
    { exact, byCounter }: TakenCharges,
  ): Promise<AdmittedUse<Given, Request> | Ended<Result>> {
    const { caller, nonce } = use.attempt
    const holds = decided.decision.effect === 'hold'
    const startedMs = clock.monotonic()
    if (!holds && kind.faults[0] !== null) await deps.faults.at(kind.faults[0])
    const intentId = kind.intentId(use.given)
    for (let judgment = decided, charges = exact; ; ) {
      const result = holds
        ? await kind.hold(use, judgment, charges)
        : await deps.audit.append(appScope(caller.appId, caller.organizationId), {
            ...kind.intent(use, judgment, intentId),
            fences: use.versions,
            nonce,
            charges,
          })
      if (result.kind === 'stored')
        return { kind: 'admitted', use, judgment, intentId, startedMs, window: result.window }
      if (result.kind === 'ended') return result
      if (result.kind !== 'budget_spent') throw notStored(result)
      const after = withSpentBudgets(judgment, spentOf(result.counterIds, byCounter))
      const left = charges.filter(({ counterId }) => !result.counterIds.includes(counterId))
      if (after.decision.effect === 'deny' || left.length === charges.length) throw refusalOf(after)
      judgment = after
      charges = left
    }
  }

  async function refuse<Given, Request, End extends object, Result extends object>(
    kind: UseKind<Given, Request, End, Result>,
    given: Given,
    { error, ...known }: Omit<Refusal, 'error' | 'versions'> & { error: unknown },
    isLast: boolean,
  ): Promise<Result | Stale> {
    if (!(error instanceof Moved) && !(error instanceof VaultError)) throw error
    const ended =
      error instanceof Moved
        ? error.stale
        : await kind.refuse(given, { error, versions: joinVersions(known.attempt.readVersions), ...known })
    if (!isLast || !isStale(ended)) return ended
    // What moves each time cannot be what this refusal is held against.
    const drift = new VaultError('policy_version_drift')
    const recorded = await kind.refuse(given, { error: drift, versions: [], ...known })
    if (isStale(recorded)) throw drift
    return recorded
  }
}

export type RunUse = ReturnType<typeof createRunUse>

/** A fact moved while a use was decided. Never leaves `runUse`. */
class Moved extends Error {
  readonly stale: Stale

  constructor(stale: Stale) {
    super('A fact has moved.')
    this.stale = stale
  }
}

function fresh<T extends object>(value: T | Stale): T {
  if (isStale(value)) throw new Moved(value)
  return value
}

/** Why nothing was stored: thrown, to be recorded. */
function notStored(result: NotStored): Error {
  if (result.kind === 'stale') return new Moved(result)
  if (result.kind === 'nonce_replayed') return new VaultError('nonce_replayed')
  return new VaultError('internal_error', { log: { append: result.kind } })
}

function resultOf<Result>(ended: Ended<Result> | NotStored): Result {
  if (ended.kind === 'ended') return ended.result
  throw notStored(ended)
}

/** The agent's scope map names what it may use (docs/spec/wire-protocol.md#callers-and-agents). */
export function assertAgentMayUse({ agent }: Pick<Caller, 'agent'>, { target }: GrantFacts, nowMs: number): void {
  if (agent === null || agentMayUse(agentScopesAt(agent, nowMs), target)) return
  const { providerId } = target
  const where = target.kind === 'managed_secret' ? ' under "managed_secret_slugs"' : ''
  throw new VaultError('agent_scope_not_allowed', {
    message: `The scopes of agent "${agent.name}" do not name "${providerId}"${where}. Nothing was sent.`,
    fields: { agent_id: agent.agentId, provider_id: providerId },
  })
}

/** What rules say, or that they cannot be read: then nothing is decided (docs/spec/decisions-and-rules.md#what-fails-closed). */
export async function readPolicy(deps: Pick<RunDeps, 'appPolicy'>, appId: string): Promise<AppPolicy> {
  try {
    return await deps.appPolicy(appId)
  } catch (cause) {
    const away = cause instanceof VaultError && cause.code === 'service_unavailable'
    if (cause instanceof VaultError && !away) throw cause
    throw new VaultError('policy_unavailable', { retryAfterSeconds: (away && cause.retryAfterSeconds) || 1, cause })
  }
}
