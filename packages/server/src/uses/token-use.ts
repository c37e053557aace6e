import type { TokenRequestBody, TokenResult } from '@alter-vault/contracts'
import { appScope } from '../audit/index.ts'
import { assertAllowedHost } from '../egress/allowed-hosts.ts'
import { canonicalUrl } from '../egress/canonical-url.ts'
import type { RetrieveFields } from '../egress/credential-kind.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { refusalOf } from './decide-use.ts'
import type { GrantFacts } from './grant-facts.ts'
import { createPresentedUse, type Incoming, type PresentedDeps, reasonOf, withDecision } from './presented-use.ts'
import type { SendDeps } from './send-call.ts'
import type { AdmittedUse, UseKind } from './use-kind.ts'
import { intentRow, outcomeRow } from './use-rows.ts'

export type Retrieved = { kind: 'retrieved'; token: TokenResult }
type End = Retrieved | { kind: 'failed'; error: VaultError }
type Given = Incoming<TokenRequestBody>
export type TokenUse = UseKind<Given, TokenRequestBody, End, Retrieved>

/**
 * SDK call 1: hands the credential to the SDK's memory. What will be done with the token cannot be known: rules that look at the request
 * count as matched, and a token that was released cannot be called back.
 */
export function createTokenUse(deps: PresentedDeps & Pick<SendDeps, 'openCredential'>): TokenUse {
  const { clock, audit } = deps

  /** The credential in the form the SDK keeps, or why there is none. */
  async function releaseCredential({
    use: { caller, grant },
    window,
  }: AdmittedUse<Given, TokenRequestBody>): Promise<End> {
    try {
      const opened = await deps.openCredential(caller.appId, grant)
      if (!window.isOpen()) throw tooLateToRelease()
      return { kind: 'retrieved', token: tokenOf(grant, opened.retrieve()) }
    } catch (error) {
      const refusal = error instanceof VaultError ? error : new VaultError('internal_error', { cause: error })
      return { kind: 'failed', error: refusal }
    }
  }

  async function record(admitted: AdmittedUse<Given, TokenRequestBody>, end: End): Promise<void> {
    const { use, intentId, startedMs, window } = admitted
    const { caller, grant, reason } = use
    const latencyMs = clock.monotonic() - startedMs
    const row = outcomeRow(
      use,
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
    const scope = appScope(caller.appId, caller.organizationId)
    const stored = await audit.append(scope, { rows: [row], outcomeOf: { intentId, window } })
    if (stored.kind !== 'stored') throw new VaultError('audit_unavailable', { log: { append: stored.kind } })
    if (end.kind === 'retrieved') deps.noteUse(caller, grant)
  }

  return {
    ...createPresentedUse<TokenRequestBody>(deps, 'token', 'tokens:retrieve'),
    requestColumns: ({ request, reason }) => ({
      method: request?.method ?? null,
      url: request?.url ?? null,
      reason: reasonOf(reason).text,
      declared: true,
    }),
    prepare({ request: declared }, grant) {
      assertRetrievable(grant)
      if (declared !== undefined) assertAllowedHost(grant.target.allowedHosts, canonicalUrl(declared.url))
      return { call: null, declared: declared ?? null }
    },
    onlyDecide: () => null,
    async hold(_use, judgment) {
      throw refusalOf(judgment)
    },
    intent: (use, judgment, intentId) => ({ rows: [intentRow('token', use, judgment.record, intentId)] }),
    intentId: () => newId(clock.now()),
    perform: releaseCredential,
    record,
    result({ judgment }, end) {
      if (end.kind === 'failed') throw withDecision(end.error, judgment)
      return end
    },
  }
}

const tooLateToRelease = () =>
  new VaultError('service_unavailable', {
    retryAfterSeconds: 1,
    message: 'The server was too slow to hand out the credential after the decision. Nothing was handed out.',
  })

function assertRetrievable(grant: GrantFacts): void {
  const { proxyOnly, providerId } = grant.target
  if (grant.checkRestrictions === null && !proxyOnly) return
  throw new VaultError('restricted_grant_requires_proxy', {
    message: `The ${proxyOnly ? `secret "${providerId}"` : 'grant'} may be used through the proxy only: its credential is never handed out.`,
    fields: { grant_id: grant.grantId },
  })
}

function tokenOf({ grantId, lifetime, target, credential }: GrantFacts, fields: RetrieveFields): TokenResult {
  return {
    ...fields,
    grant_id: grantId,
    expires_in: null,
    expires_at: lifetime.expiresAtMs === null ? null : new Date(lifetime.expiresAtMs).toISOString(),
    scopes: [...target.scopes],
    provider_id: target.providerId,
    token_generation: credential.generation === null ? null : String(credential.generation),
    scope_mismatch: false,
  }
}
