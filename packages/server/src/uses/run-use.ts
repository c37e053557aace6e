import { type AuditLog, appScope, type RateMeter } from '../audit/index.ts'
import type { Caller } from '../http/principals.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Faults } from '../kernel/faults.ts'
import { addVersion, isStale, joinVersions, type Stale } from '../kernel/read-versions.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type Attempt, agentScopesAt } from '../keys/index.ts'
import type { AppPolicy } from './app-policy.ts'
import { spentOf, type TakenCharges, takeLeases } from './charge-use.ts'
import { decideUse, refusalOf, type UseDecision, withSpentBudgets } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { AdmittedUse, Ended, NotStored, Refusal, Use, UseKind } from './use-kind.ts'
import { type AskedColumns, callerColumns, useColumns } from './use-rows.ts'

export type RunDeps = {
  clock: Clock
  audit: Pick<AuditLog, 'append'>
  appPolicy: (appId: string) => Promise<AppPolicy>
  meter: RateMeter
  /** Drops cached facts that were read with these versions. */
  forget: (appId: string, subjects: readonly string[]) => void
  faults: Faults
}

const MAX_TRIES = 3

/**
 * Every use of a credential, in the one order that is the security argument: nothing is opened or sent before a durable intent, which is
 * stored only while every fact that the decision was made on still holds. When a fact has moved the use starts anew, three times at
 * most. A refusal is recorded, then thrown.
 */
export function createRunUse(deps: RunDeps) {
  const { clock } = deps

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
    attempt: Attempt,
    isLast: boolean,
  ): Promise<Result | Stale> {
    const { caller, readVersions } = attempt
    const who = callerColumns(caller)
    let asked: AskedColumns | null = null
    let grant: GrantFacts | null = null
    let admitted: AdmittedUse<Given, Request>
    try {
      const request = kind.read(given)
      asked = kind.asked(request)
      grant = await kind.resolve(attempt, request)
      assertAgentMayUse(caller, grant, clock.now())
      const { call, declared } = kind.prepare(request, grant)
      const policy = await readPolicy(deps, caller.appId)
      addVersion(readVersions, policy.epoch)
      const versions = fresh(joinVersions(readVersions))
      const lastUsedAtMs = await kind.lastUsedAtMs(caller.appId, grant.grantId)
      const { reason } = asked
      const columns = useColumns(who, grant)
      const use = {
        caller,
        grant,
        call,
        declared,
        reason,
        lastUsedAtMs,
        given,
        request,
        attempt,
        policy,
        versions,
        asked,
        columns,
      }
      let made = decideUse(use, policy, clock, kind.decideBy(given, attempt))

      const early = kind.onlyDecide(use, made)
      if (early !== null) return resultOf(await early)
      const leased = await takeLeases(deps.meter, caller, made.decision.charges, clock.now())
      if (leased.spent.length > 0) made = withSpentBudgets(made, leased.spent)
      if (made.decision.effect === 'deny') throw refusalOf(made)
      const stored = await store(kind, use, made, leased)
      if (stored.kind === 'ended') return stored.result
      admitted = stored
    } catch (error) {
      return refuse(kind, given, { error, attempt, asked, grant }, isLast)
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
    for (let made = decided, charges = exact; ; ) {
      const result = holds
        ? await kind.hold(use, made, charges)
        : await deps.audit.append(appScope(caller.appId, caller.organizationId), {
            ...kind.intent(use, made, intentId),
            fences: use.versions,
            ...(nonce === null ? {} : { nonce }),
            charges,
          })
      if (result.kind === 'stored') return { kind: 'admitted', use, made, intentId, startedMs, window: result.window }
      if (result.kind === 'ended') return result
      if (result.kind !== 'budget_spent') throw notStored(result)
      const after = withSpentBudgets(made, spentOf(result.counterIds, byCounter))
      const left = charges.filter(({ counterId }) => !result.counterIds.includes(counterId))
      if (after.decision.effect === 'deny' || left.length === charges.length) throw refusalOf(after)
      made = after
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

/** The agent's scope map names what it may use (control-plane.md 4). */
export function assertAgentMayUse({ agent }: Pick<Caller, 'agent'>, grant: GrantFacts, nowMs: number): void {
  if (agent === null) return
  const slugs = agentScopesAt(agent, nowMs).managed_secret_slugs ?? []
  if (slugs.includes(grant.secret.slug)) return
  throw new VaultError('agent_scope_not_allowed', {
    message: `The scopes of agent "${agent.name}" do not name "${grant.secret.slug}" under "managed_secret_slugs". Nothing was sent.`,
    fields: { agent_id: agent.agentId, provider_id: grant.secret.slug },
  })
}

/** What rules say, or that they cannot be read: then nothing is decided (control-plane.md 5.7). */
export async function readPolicy(deps: Pick<RunDeps, 'appPolicy'>, appId: string): Promise<AppPolicy> {
  try {
    return await deps.appPolicy(appId)
  } catch (cause) {
    const away = cause instanceof VaultError && cause.code === 'service_unavailable'
    if (cause instanceof VaultError && !away) throw cause
    throw new VaultError('policy_unavailable', { retryAfterSeconds: (away && cause.retryAfterSeconds) || 1, cause })
  }
}
