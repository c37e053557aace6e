import type { TokenRequestBody, TokenResult } from '@alter-vault/contracts'
import { assertAllowedHost } from '../egress/allowed-hosts.ts'
import { canonicalUrl } from '../egress/canonical-url.ts'
import { retrieveFields } from '../egress/inject.ts'
import type { SendWindow } from '../egress/send-window.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { decideUse, takeLeases, type Use, withSpentBudgets } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import {
  assertClockTrusted,
  assertInAgentScope,
  denied,
  type IdentifiedUse,
  type Incoming,
  joinFences,
  readPolicy,
  reasonOf,
  refusedIntent,
  requestRuleOf,
  scopeOf,
  storeWithinBudgets,
  type UseDeps,
  untilFresh,
  withDecision,
} from './proxy-request.ts'
import type { SendDeps } from './send-call.ts'
import { intentRow, outcomeRow } from './use-rows.ts'

export type RetrieveDeps = UseDeps & { openCredential: SendDeps['openCredential'] }
export type Retrieved = { kind: 'retrieved'; token: TokenResult }

/**
 * SDK call 1: hands the credential to the SDK's memory. As a proxied call, but what will be done with the token cannot be known: rules
 * that look at the request count as matched, and a token that was handed out cannot be called back.
 */
export function createRetrieveToken(deps: RetrieveDeps) {
  async function retrieveOnce({ caller, agent, progress }: IdentifiedUse, incoming: Incoming<TokenRequestBody>) {
    const request = incoming.body()
    const { request: declared } = request
    const reason = reasonOf(request.reason).text
    progress.asked = { method: declared?.method ?? null, url: declared?.url ?? null, reason, declared: true }
    progress.decided = true
    const grant = await deps.resolveGrant(caller, request, deps.clock.now(), progress.restsOn)
    progress.grant = grant
    assertClockTrusted(deps)
    assertInAgentScope(agent, grant, deps.clock.now())
    assertRetrievable(grant)
    if (declared !== undefined) assertAllowedHost(grant.secret.allowedHosts, canonicalUrl(declared.url))
    const policy = await readPolicy(deps, caller.appId)
    progress.restsOn([policy.fence])
    const rests = joinFences(progress.fences)
    if (rests.kind === 'stale') return rests
    const lastUsedAtMs = await deps.lastUsedAtMs(caller.appId, grant.grantId)
    const use: Use = { caller, agent, grant, reason, call: null, declared: declared ?? null, lastUsedAtMs }
    let made = decideUse(use, policy, deps.clock, { phase: 'request', requestRule: requestRuleOf(caller) })
    const leased = await takeLeases(deps.meter, caller, made.decision.charges, deps.clock.now())
    if (leased.spent.length > 0) made = withSpentBudgets(made, leased.spent)
    if (made.decision.effect !== 'allow') return denied(deps, 'token', progress, made, rests.fences)

    const startedMs = deps.clock.monotonic()
    await deps.faults.at('before_intent')
    const intentId = newId(deps.clock.now())
    const { method, url } = progress.asked
    const written = await storeWithinBudgets(made, leased, (made, charges) => {
      const what = { eventId: intentId, method, url, reason, decision: made.record, declared: true }
      const rows = [intentRow('token', caller, grant, what)]
      return deps.audit.append(scopeOf(caller), { rows, fences: rests.fences, nonce: caller.nonce, charges })
    })
    const intent = written.stored
    made = written.made
    if (intent.kind !== 'stored')
      return refusedIntent(deps, 'token', intent, progress, made, leased.byCounter, rests.fences)
    await deps.faults.at('after_intent')

    progress.recorded = true
    const end = await handOut(caller.appId, grant, intent.window)
    await deps.faults.at('before_outcome')
    const latencyMs = deps.clock.monotonic() - startedMs
    const outcome = outcomeRow(
      caller,
      grant,
      intentId,
      end.kind === 'retrieved'
        ? { event: 'token.retrieved', reason, outcome: 'success', primaryReason: null, detail: { latencyMs } }
        : {
            event: 'token.refused',
            reason,
            outcome: 'refused',
            primaryReason: end.error.code,
            detail: { latencyMs, errorCode: end.error.code },
          },
    )
    const stored = await deps.audit.append(scopeOf(caller), {
      rows: [outcome],
      outcomeOf: { intentId, window: intent.window },
    })
    if (stored.kind !== 'stored') throw new VaultError('audit_unavailable', { log: { append: stored.kind } })
    if (end.kind === 'failed') throw withDecision(end.error, made)
    deps.noteUse(caller, grant)
    return end
  }

  /** The credential in the form the SDK keeps, or why there is none: an intent has an outcome whatever happens. */
  async function handOut(
    appId: string,
    grant: GrantFacts,
    window: SendWindow,
  ): Promise<Retrieved | { kind: 'failed'; error: VaultError }> {
    try {
      const credential = await deps.openCredential(appId, grant)
      if (!window.isOpen()) throw tooLateToHandOut()
      return { kind: 'retrieved', token: tokenOf(grant, retrieveFields(credential, grant.secret.injection)) }
    } catch (error) {
      const refusal = error instanceof VaultError ? error : new VaultError('internal_error', { cause: error })
      return { kind: 'failed', error: refusal }
    }
  }

  return (incoming: Incoming<TokenRequestBody>): Promise<Retrieved> =>
    untilFresh(deps, 'token', incoming, (identified) => retrieveOnce(identified, incoming))
}

export type RetrieveToken = ReturnType<typeof createRetrieveToken>

const tooLateToHandOut = () =>
  new VaultError('service_unavailable', {
    retryAfterSeconds: 1,
    message: 'The server was too slow to hand out the credential after the decision. Nothing was handed out.',
  })

function assertRetrievable(grant: GrantFacts): void {
  if (grant.checkRestrictions === null && !grant.secret.proxyOnly) return
  throw new VaultError('restricted_grant_requires_proxy', {
    message: `The ${grant.secret.proxyOnly ? `secret "${grant.secret.slug}"` : 'grant'} may be used through the proxy only: its credential is never handed out.`,
    fields: { grant_id: grant.grantId },
  })
}

function tokenOf(grant: GrantFacts, fields: ReturnType<typeof retrieveFields>): TokenResult {
  return {
    ...fields,
    grant_id: grant.grantId,
    token_type: grant.secret.type === 'basic' ? 'Basic' : 'Bearer',
    expires_in: null,
    expires_at: grant.expiresAtMs === null ? null : new Date(grant.expiresAtMs).toISOString(),
    scopes: [],
    provider_id: grant.secret.slug,
    token_generation: null,
    scope_mismatch: false,
  }
}
