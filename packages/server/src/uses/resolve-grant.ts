import { mayNameGrantOf, type Principal, principalOf, userTokenRefused } from '../grants/index.ts'
import { addVersion, addVersions, type ReadVersions } from '../kernel/read-versions.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { CallAttempt } from '../keys/index.ts'
import type { Caller } from '../management/index.ts'
import type { Candidates, GrantFacts } from './grant-facts.ts'

/** How a call names its grant (docs/spec/wire-protocol.md#choosing-a-grant). */
export type GrantAddress = {
  grant_id?: string
  provider_id?: string
  account?: string
  label?: string
  user_token?: string
  app_user_id?: string
}

export type ResolveDeps = {
  findGrant: (appId: string, grantId: string) => Promise<GrantFacts | undefined>
  findCandidates: (appId: string, principal: Principal, providerId: string) => Promise<Candidates>
}

/**
 * The one grant that a call uses, in reach of its caller and live; or the refusal that docs/spec/wire-protocol.md#choosing-a-grant names.
 * An app key reaches the app's own (`system`) grants and, by id, any grant; an agent reaches its own grants only. Adds every version that
 * was read to the attempt, also when resolution fails.
 */
export function createResolveGrant({ findGrant, findCandidates }: ResolveDeps) {
  return async function resolveGrant(
    { caller, readVersions }: Pick<CallAttempt, 'caller' | 'readVersions'>,
    address: GrantAddress,
    nowMs: number,
  ): Promise<GrantFacts> {
    assertAddress(address)
    if (address.user_token !== undefined) throw userTokenRefused('Nothing was sent.')
    const principal = principalOf(caller)
    if (address.grant_id !== undefined) {
      const grant = principal === null ? undefined : await findGrant(caller.appId, address.grant_id)
      if (grant !== undefined) addVersions(readVersions, grant.versions)
      if (grant === undefined || !mayNameGrantOf(grant.principal, caller)) {
        throw grantNotFound({ grant_id: address.grant_id })
      }
      assertLive(grant, caller, nowMs)
      return grant
    }
    return byProvider(caller, address, address.provider_id!, nowMs, principal, readVersions)
  }

  async function byProvider(
    caller: Caller,
    address: GrantAddress,
    providerId: string,
    nowMs: number,
    principal: Principal | null,
    readVersions: ReadVersions,
  ): Promise<GrantFacts> {
    const none = () =>
      caller.agentId === null
        ? grantNotFound({ provider_id: providerId, app_user_id: address.app_user_id ?? null })
        : new VaultError('no_delegated_grant', {
            message: `The agent has no grant on "${providerId}". Nothing was sent.`,
            fields: { provider_id: providerId, agent_id: caller.agentId, app_user_id: address.app_user_id ?? null },
          })
    // No end user is known to this app: nothing of theirs, and no account of theirs, can be in reach.
    if (principal === null || address.app_user_id !== undefined || address.account !== undefined) throw none()
    const { grants, version } = await findCandidates(caller.appId, principal, providerId)
    addVersion(readVersions, version)
    for (const grant of grants) addVersions(readVersions, grant.versions)
    const labeled = address.label === undefined ? grants : grants.filter((grant) => grant.label === address.label)
    const live = labeled.filter((grant) => deathOf(grant, nowMs) === null)
    if (live.length === 0) {
      const dead = labeled[0]
      if (dead === undefined) throw none()
      assertLive(dead, caller, nowMs)
    }
    const chosen = withoutLabelledSiblings(live, address.label)
    if (chosen.length > 1) throw ambiguous(providerId, chosen)
    return chosen[0]!
  }
}

export type ResolveGrant = ReturnType<typeof createResolveGrant>

function assertAddress(address: GrantAddress): void {
  if ((address.grant_id === undefined) === (address.provider_id === undefined)) {
    const message = 'Expected exactly one of "grant_id" and "provider_id".'
    throw new VaultError('validation_failed', {
      message,
      errors: [{ pointer: '/grant_id', code: 'exactly_one', message }],
    })
  }
  for (const member of ['label', 'account', 'app_user_id'] as const) {
    if (address[member] === undefined || address.provider_id !== undefined) continue
    const message = `"${member}" picks among grants of a provider; it needs "provider_id".`
    throw new VaultError('validation_failed', {
      message,
      errors: [{ pointer: `/${member}`, code: 'needs_provider_id', message }],
    })
  }
}

type Death = 'grant_revoked' | 'grant_expired' | 'credential_revoked' | 'grant_deleted'

function deathOf(grant: GrantFacts, nowMs: number): Death | null {
  if (grant.status === 'deleted' || grant.target.status === 'deleted') return 'grant_deleted'
  if (grant.status === 'revoked') return 'grant_revoked'
  if (grant.lifetime.expiresAtMs !== null && grant.lifetime.expiresAtMs <= nowMs) return 'grant_expired'
  if (grant.credential.status === 'revoked' || grant.credential.sealed === null) return 'credential_revoked'
  return null
}

/** Throws why a grant cannot be used. Agents are not told how access ended. */
export function assertLive(grant: GrantFacts, caller: { agentId: string | null }, nowMs: number): void {
  const death = deathOf(grant, nowMs)
  if (death === null) return
  const code = death === 'grant_revoked' && caller.agentId !== null ? 'grant_deleted' : death
  throw new VaultError(code, {
    fields: {
      grant_id: grant.grantId,
      provider_id: grant.target.providerId,
      app_user_id: null,
      agent_id: caller.agentId,
    },
  })
}

/** Without a label, one unlabeled grant of a credential hides its labeled siblings. */
function withoutLabelledSiblings(grants: readonly GrantFacts[], label: string | undefined): readonly GrantFacts[] {
  if (label !== undefined) return grants
  return grants.filter((grant) => {
    if (grant.label === null) return true
    const siblings = grants.filter((other) => other.credential.credentialId === grant.credential.credentialId)
    return siblings.filter((other) => other.label === null).length !== 1
  })
}

const grantNotFound = (fields: Record<string, unknown>): VaultError =>
  new VaultError('grant_not_found', { message: 'There is no such grant for this caller. Nothing was sent.', fields })

const MAX_CANDIDATES = 20

function ambiguous(providerId: string, grants: readonly GrantFacts[]): VaultError {
  return new VaultError('ambiguous_grant', {
    message: `${grants.length} grants on "${providerId}" fit; name one by "grant_id" or "label". Nothing was sent.`,
    fields: {
      provider_id: providerId,
      account_identifiers: [],
      app_user_ids: [],
      grant_ids: grants.slice(0, MAX_CANDIDATES).map((grant) => grant.grantId),
      candidates: grants.slice(0, MAX_CANDIDATES).map((grant) => ({
        grant_id: grant.grantId,
        label: grant.label,
        account_identifier: null,
        account_display_name: null,
      })),
      candidates_truncated: grants.length > MAX_CANDIDATES,
      account_was_provided: false,
    },
  })
}
