import type { CallerDecisionRecord, PendingApproval, ProxyRequestBody, ProxyResult } from '@alter-vault/contracts'
import type Type from 'typebox'
import type { RateMeter } from '../audit/index.ts'
import { type AppendResult, type AuditLog, appScope, ConditionRefused, type Scope } from '../audit/index.ts'
import { inlineResultHeaders } from '../egress/header-rules.ts'
import type { Presented } from '../http/authenticators.ts'
import type { Fence, SdkCaller } from '../http/principals.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Faults } from '../kernel/faults.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AgentFacts, agentScopesAt, type IdentifyCaller } from '../keys/index.ts'
import {
  type CompiledRule,
  compileRequestRule,
  type GatePlan,
  parseRequestRule,
  reasonsForCaller,
} from '../policies/index.ts'
import type { AppPolicy } from './app-policy.ts'
import { decideUse, refusalOf, takeLeases, type Use, type UseDecision, withSpentBudgets } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import { type PreparedCall, prepareCall } from './prepare-call.ts'
import type { RecordOutcome } from './record-outcome.ts'
import type { ResolveGrant, RestsOn } from './resolve-grant.ts'
import type { ScrubbedAnswer, SendCall } from './send-call.ts'
import { intentRow, refusedCallerRow, refusedUseRow, type UseKind, whoOf, withWhat } from './use-rows.ts'

/** A use as it arrived. */
export type Incoming<Body> = {
  presented: Presented
  /** The body in its declared shape; throws `validation_failed` and its kin. */
  body: () => Body
  /** Called as soon as the caller is known, so that refusals carry its headers too. */
  onCaller: (caller: SdkCaller) => void
}

/** What is answered: the provider's answer, or that a human has to agree first, or what would be decided. */
export type Outgoing =
  | { kind: 'answered'; result: ProxyResult }
  | { kind: 'held'; pending: Type.Static<typeof PendingApproval> }
  | { kind: 'simulated'; record: CallerDecisionRecord }

/** A held request as the approvals slice takes it. */
export type HoldRequest = {
  use: Use & { call: PreparedCall }
  made: UseDecision
  gates: readonly GatePlan[]
  conditions: {
    fences: readonly Fence[]
    nonce: SdkCaller['nonce']
    charges: Parameters<AuditLog['append']>[1]['charges']
  }
}

export type UseDeps = {
  clock: Clock
  audit: Pick<AuditLog, 'append' | 'clockBehindMs'>
  identify: IdentifyCaller
  resolveGrant: ResolveGrant
  appPolicy: (appId: string) => Promise<AppPolicy>
  lastUsedAtMs: (appId: string, grantId: string) => Promise<number | null>
  noteUse: (caller: SdkCaller, grant: GrantFacts) => void
  meter: RateMeter
  /** Drops cached facts that rest on these versions. */
  forget: (appId: string, subjects: readonly string[]) => void
  faults: Faults
}

export type ProxyDeps = UseDeps & {
  sendCall: SendCall
  recordOutcome: RecordOutcome['recordOutcome']
  /** Freezes the request and opens its gates, under the same conditions as an intent. */
  hold: (request: HoldRequest) => Promise<Type.Static<typeof PendingApproval>>
}

/** A fact moved while the use was decided: nothing was written, and it is to be decided again. */
type Stale = { kind: 'stale'; subjects: readonly string[] }

const MAX_TRIES = 3
const REASON_MAX_LENGTH = 2_000
const CLOCK_STEP_BACK_MAX_MS = 60_000

/**
 * SDK call 2. The order is the security argument: identify, resolve, prepare, decide; then one durable intent, stored only if every
 * fact the decision rests on still holds; and only then is the credential opened and the call sent. Refusals are recorded, then thrown.
 */
export function createProxyRequest(deps: ProxyDeps) {
  async function proxyOnce(
    { caller, agent, progress }: IdentifiedUse,
    incoming: Incoming<ProxyRequestBody>,
  ): Promise<Outgoing | Stale> {
    const request = incoming.body()
    progress.asked = { method: request.method.slice(0, 32), url: request.url, reason: reasonOf(request.reason).text }
    progress.decided = true
    const grant = await deps.resolveGrant(caller, request, deps.clock.now(), progress.restsOn)
    progress.grant = grant
    assertClockTrusted(deps)
    assertInAgentScope(agent, grant, deps.clock.now())
    const call = prepareCall(request, grant)
    const policy = await readPolicy(deps, caller.appId)
    progress.restsOn([policy.fence])
    const rests = joinFences(progress.fences)
    if (rests.kind === 'stale') return rests
    const lastUsedAtMs = await deps.lastUsedAtMs(caller.appId, grant.grantId)
    const use = { caller, agent, grant, reason: progress.asked.reason, call, declared: null, lastUsedAtMs }
    let made = decideUse(use, policy, deps.clock, { phase: 'request', requestRule: requestRuleOf(caller) })

    if (request.dry_run === true) return simulated(deps, use, made, rests.fences)
    const leased = await takeLeases(deps.meter, caller, made.decision.charges, deps.clock.now())
    if (leased.spent.length > 0) made = withSpentBudgets(made, leased.spent)
    if (made.decision.effect === 'deny') return denied(deps, 'proxy', progress, made, rests.fences)
    const conditions = { fences: rests.fences, nonce: caller.nonce }
    if (made.decision.effect === 'hold') {
      const held = await storeWithinBudgets(made, leased, (made, charges) =>
        deps.hold({ use, made, gates: made.decision.gates, conditions: { ...conditions, charges } }).then(
          (pending) => ({ kind: 'held' as const, pending }),
          (error: unknown) => {
            if (error instanceof ConditionRefused) return error.result
            throw error
          },
        ),
      )
      return held.stored.kind === 'held'
        ? held.stored
        : refusedIntent(deps, 'proxy', held.stored, progress, held.made, leased.byCounter, rests.fences)
    }

    const startedMs = deps.clock.monotonic()
    await deps.faults.at('before_intent')
    const intentId = newId(deps.clock.now())
    const { method, url } = call
    const written = await storeWithinBudgets(made, leased, (made, charges) => {
      const what = { eventId: intentId, method, url: url.href, reason: use.reason, decision: made.record }
      const rows = [intentRow('proxy', caller, grant, what)]
      return deps.audit.append(scopeOf(caller), { rows, ...conditions, charges })
    })
    const intent = written.stored
    made = written.made
    if (intent.kind !== 'stored')
      return refusedIntent(deps, 'proxy', intent, progress, made, leased.byCounter, rests.fences)
    await deps.faults.at('after_intent')

    progress.recorded = true
    const end = await deps.sendCall(caller.appId, call, grant, policy.allowedPrivateHosts, intent.window)
    await deps.faults.at('before_outcome')
    await deps.recordOutcome(caller, grant, call, intentId, end, {
      captureBodies: policy.captureBodies,
      startedMs,
      window: intent.window,
      reason: use.reason,
    })
    deps.noteUse(caller, grant)
    if (end.kind === 'failed') throw withDecision(end.error, made)
    return {
      kind: 'answered',
      result: resultOf(end.answer, grant, deps.clock.monotonic() - startedMs, request.reason),
    }
  }

  return (incoming: Incoming<ProxyRequestBody>): Promise<Outgoing> =>
    untilFresh(deps, 'proxy', incoming, (identified) => proxyOnce(identified, incoming))
}

export type ProxyRequest = ReturnType<typeof createProxyRequest>

/** How far a use came, for the row of its refusal. */
export type Progress = {
  caller: SdkCaller
  grant: GrantFacts | null
  asked: { method: string | null; url: string | null; reason: string | null; declared?: boolean }
  /** Past step 2 of control-plane.md 5.1: a no is now a no of the decision. */
  decided: boolean
  /** Its rows are written: a refusal from here on has its own. */
  recorded: boolean
  /** What it rests on so far. A refusal is as fresh as a permission: it stands only while these hold. */
  fences: Fence[]
  restsOn: RestsOn
}

/** Identifies the caller of a use; a refusal is recorded when the key is known, and thrown. */
async function identifyUse(deps: UseDeps, kind: UseKind, presented: Presented) {
  const identified = await deps.identify(presented, {
    scopes: [kind === 'proxy' ? 'proxy:execute' : 'tokens:retrieve'],
  })
  if (identified.kind === 'refused') {
    const { known, error } = identified
    if (known === null) throw error
    const scope = appScope(known.appId, known.organizationId)
    const { fences } = known
    const result = await deps.audit.append(scope, { rows: [refusedCallerRow(kind, known, error)], fences })
    if (result.kind !== 'stale') throw error
    return { kind: 'stale' as const, appId: known.appId, subjects: result.subjects }
  }
  const { caller, agent } = identified
  const progress: Progress = {
    caller,
    grant: null,
    asked: { method: null, url: null, reason: null },
    decided: false,
    recorded: false,
    fences: [...caller.fences],
    restsOn: (fences) => void progress.fences.push(...fences),
  }
  return { kind: 'identified' as const, caller, agent, progress }
}

export type IdentifiedUse = Extract<Awaited<ReturnType<typeof identifyUse>>, { kind: 'identified' }>

/** Runs one use; when a fact moved while it was decided, decides again, three times at most. Records refusals that have no row yet. */
export async function untilFresh<T extends { kind: string }>(
  deps: UseDeps,
  kind: UseKind,
  incoming: Pick<Incoming<unknown>, 'presented' | 'onCaller'>,
  once: (identified: IdentifiedUse) => Promise<T | Stale>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    const identified = await identifyUse(deps, kind, incoming.presented)
    if (identified.kind === 'stale') {
      deps.forget(identified.appId, identified.subjects)
      if (tries > MAX_TRIES) throw new VaultError('policy_version_drift')
      continue
    }
    incoming.onCaller(identified.caller)
    const { progress } = identified
    const ended = await once(identified).catch((error: unknown) => recordRefusal(deps, kind, progress, error))
    if (!isStale(ended)) return ended
    deps.forget(identified.caller.appId, ended.subjects)
    if (tries < MAX_TRIES) continue
    progress.fences = []
    const drifted = new VaultError('policy_version_drift')
    await recordRefusal(deps, kind, progress, drifted)
    throw drifted
  }
}

function isStale<T extends { kind: string }>(ended: T | Stale): ended is Stale {
  return ended.kind === 'stale'
}

/** A clock that was set back would open time windows again that have closed. */
export function assertClockTrusted(deps: Pick<UseDeps, 'audit'>): void {
  const behindMs = deps.audit.clockBehindMs()
  if (behindMs <= CLOCK_STEP_BACK_MAX_MS) return
  throw new VaultError('clock_untrusted', {
    message: `The server's clock was set back by ${Math.round(behindMs / 1000)} s, so nothing that depends on time can be decided. Nothing was sent.`,
  })
}

/** The agent's scope map names the slugs that it may use (control-plane.md 4). */
export function assertInAgentScope(agent: AgentFacts | null, grant: GrantFacts, nowMs: number): void {
  if (agent === null) return
  const slugs = agentScopesAt(agent, nowMs).managed_secret_slugs ?? []
  if (slugs.includes(grant.secret.slug)) return
  throw new VaultError('agent_scope_not_allowed', {
    message: `The scopes of agent "${agent.name}" do not name "${grant.secret.slug}" under "managed_secret_slugs". Nothing was sent.`,
    fields: { agent_id: agent.agentId, provider_id: grant.secret.slug },
  })
}

/** What rules say, or that they cannot be read: then nothing is decided (control-plane.md 5.7). */
export async function readPolicy(deps: Pick<UseDeps, 'appPolicy'>, appId: string): Promise<AppPolicy> {
  try {
    return await deps.appPolicy(appId)
  } catch (cause) {
    const away = cause instanceof VaultError && cause.code === 'service_unavailable'
    if (cause instanceof VaultError && !away) throw cause
    throw new VaultError('policy_unavailable', { retryAfterSeconds: (away && cause.retryAfterSeconds) || 1, cause })
  }
}

/** All versions that a use rests on. Two versions of one subject: the older was read before a change. */
export function joinFences(...lists: readonly (readonly Fence[])[]): { kind: 'joined'; fences: Fence[] } | Stale {
  const versions = new Map<string, number>()
  for (const list of lists) {
    for (const { subject, version } of list) {
      const other = versions.get(subject)
      if (other !== undefined && other !== version) return { kind: 'stale', subjects: [subject] }
      versions.set(subject, version)
    }
  }
  return { kind: 'joined', fences: [...versions].map(([subject, version]) => ({ subject, version })) }
}

/** A denial is as fresh as a permission: it is recorded under the same versions. */
export async function denied(
  deps: UseDeps,
  kind: UseKind,
  progress: Progress,
  made: UseDecision,
  fences: readonly Fence[],
): Promise<Stale> {
  const error = refusalOf(made)
  const row = refusedUseRow(kind, progress.caller, { ...progress, error, decision: made.record })
  const result = await deps.audit.append(scopeOf(progress.caller), {
    rows: [row],
    fences,
    nonce: progress.caller.nonce,
  })
  if (result.kind === 'stale') return result
  progress.recorded = result.kind === 'stored'
  throw result.kind === 'stored' ? error : replayed(result)
}

type Leased = Awaited<ReturnType<typeof takeLeases>>
type NotStored = Exclude<AppendResult, { kind: 'stored' }>

/**
 * Stores a use with its exact charges. What only a shadow rule counts refuses nothing: such a charge is left out once it is spent, the
 * decision notes what the rule would have done, and the use is stored again.
 */
export async function storeWithinBudgets<S extends { kind: string }>(
  made: UseDecision,
  leased: Leased,
  store: (made: UseDecision, charges: Leased['exact']) => Promise<S | NotStored>,
): Promise<{ stored: S | NotStored; made: UseDecision }> {
  const stored = await store(made, leased.exact)
  if (!isBudgetSpent(stored)) return { stored, made }
  const after = withSpentBudgets(made, spentOf(stored, leased.byCounter))
  const exact = leased.exact.filter(({ counterId }) => !stored.counterIds.includes(counterId))
  if (after.decision.effect === 'deny' || exact.length === leased.exact.length) return { stored, made }
  return storeWithinBudgets(after, { ...leased, exact }, store)
}

type BudgetSpent = Extract<NotStored, { kind: 'budget_spent' }>

const isBudgetSpent = (stored: { kind: string }): stored is BudgetSpent => stored.kind === 'budget_spent'

type Charged = ReadonlyMap<string, UseDecision['decision']['charges'][number]>

const spentOf = ({ counterIds }: BudgetSpent, charged: Charged) =>
  counterIds.flatMap((id) => charged.get(id) ?? []).map((charge) => ({ charge }))

/** What to do when an intent, or the request for an approval, was not stored: decide again, or refuse. */
export async function refusedIntent(
  deps: UseDeps,
  kind: UseKind,
  result: NotStored,
  progress: Progress,
  made: UseDecision,
  charged: Charged,
  fences: readonly Fence[],
): Promise<Stale> {
  if (result.kind === 'stale') return result
  if (result.kind === 'budget_spent') {
    return denied(deps, kind, progress, withSpentBudgets(made, spentOf(result, charged)), fences)
  }
  progress.decided = false
  throw replayed(result)
}

const replayed = (result: AppendResult): VaultError =>
  result.kind === 'nonce_replayed'
    ? new VaultError('nonce_replayed')
    : new VaultError('internal_error', { log: { append: result.kind } })

/** Records a refusal that has no row yet, then throws it. */
export async function recordRefusal(deps: UseDeps, kind: UseKind, progress: Progress, error: unknown): Promise<Stale> {
  if (!(error instanceof VaultError) || progress.recorded || error.code === 'audit_unavailable') throw error
  const decided = progress.decided && !REFUSED_NOT_DENIED.has(error.code)
  const decision = decided ? baseDecision(error, deps.clock.now()) : null
  const row = refusedUseRow(kind, progress.caller, { ...progress, decided, error, decision })
  const rests = joinFences(progress.fences)
  if (rests.kind === 'stale') return rests
  // A replayed nonce is not settled again; any other refusal uses its nonce up.
  const nonce = error.code === 'nonce_replayed' ? {} : { nonce: progress.caller.nonce }
  const result = await deps.audit.append(scopeOf(progress.caller), { rows: [row], fences: rests.fences, ...nonce })
  if (result.kind === 'stale') return result
  if (result.kind === 'nonce_replayed') throw new VaultError('nonce_replayed')
  if (decision !== null) Object.assign(error.fields, { decision_id: decision.decision_id, reasons: decision.reasons })
  throw error
}

/** Refusals of steps 2 and 7, whatever had been decided by then. */
const REFUSED_NOT_DENIED = new Set([
  'validation_failed',
  'nonce_replayed',
  'service_unavailable',
  'invalid_json',
  'body_too_large',
  'too_many_pending_approvals',
])

/** The decision of a no that no rule said, in the form of control-plane.md 5.8 as far as it applies. */
function baseDecision(error: VaultError, nowMs: number) {
  const reason = {
    code: error.code,
    effect: 'deny',
    rule_id: null,
    message: error.message,
    shadow: false,
    retryable_at: null,
  }
  return {
    decision_id: newId(nowMs),
    effect: 'deny',
    phase: 'request',
    evaluated_at: new Date(nowMs).toISOString(),
    reasons: [reason],
    retryable: false,
    retry_after_seconds: null,
  }
}

async function simulated(
  deps: UseDeps,
  use: Use,
  made: UseDecision,
  fences: readonly Fence[],
): Promise<Outgoing | Stale> {
  const who = whoOf(use.caller)
  const record = { ...made.record, phase: 'simulation' as const }
  const result = await deps.audit.append(scopeOf(use.caller), {
    rows: [
      {
        ...who,
        ...withWhat(use.grant),
        event: 'policy.simulated',
        outcome: 'success',
        decisionEffect: made.decision.effect,
        reason: use.reason,
        detail: { ...who.detail, method: use.call?.method ?? null, decision: record },
      },
    ],
    nonce: use.caller.nonce,
    fences,
  })
  if (result.kind === 'stale') return result
  if (result.kind !== 'stored') throw replayed(result)
  return { kind: 'simulated', record: { ...record, reasons: reasonsForCaller(made.decision.reasons) } }
}

export const scopeOf = (caller: SdkCaller): Scope => appScope(caller.appId, caller.organizationId)

/** The caller's reason as it is kept: at most 2,000 characters. */
export function reasonOf(given: string | undefined): { text: string | null; truncated: boolean } {
  if (given === undefined) return { text: null, truncated: false }
  const truncated = given.length > REASON_MAX_LENGTH
  return { text: truncated ? given.slice(0, REASON_MAX_LENGTH).toWellFormed() : given, truncated }
}

export function requestRuleOf(caller: SdkCaller): CompiledRule | null {
  return caller.requestRule === null ? null : compileRequestRule(parseRequestRule(caller.requestRule))
}

function resultOf(
  answer: ScrubbedAnswer,
  grant: GrantFacts,
  durationMs: number,
  reason: string | undefined,
): ProxyResult {
  return {
    status_code: answer.statusCode,
    body_b64: answer.body.toString('base64'),
    headers: inlineResultHeaders(answer.headers),
    body_truncated: answer.truncated,
    duration_ms: Math.round(durationMs),
    credential_hint: grant.credential.hint,
    ...(reasonOf(reason).truncated ? { reason_truncated: true as const } : {}),
  }
}

/** A failure after the decision names it too. */
export function withDecision(error: VaultError, made: UseDecision): VaultError {
  error.fields.decision_id ??= made.record.decision_id
  return error
}
