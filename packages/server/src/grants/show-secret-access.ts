import type { AgentScopes, SecretAccess } from '@alter-vault/contracts'
import { scopesInForce } from '../agents/index.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { AppRef } from '../management/index.ts'
import { getSecret } from '../secrets/index.ts'
import { findReachingGrants, type ReachingGrant } from './grant-store.ts'

type Deps = { db: Pick<Database, 'readForApp'>; clock: Clock }

/** Who reaches a secret now: its live grants, oldest first. Refusal: `managed_secret_not_found`. */
export const showSecretAccess =
  ({ db, clock }: Deps) =>
  async ({ appId }: AppRef, managedSecretId: string): Promise<{ items: SecretAccess[] }> =>
    db.readForApp(appId, async (tx) => {
      await getSecret(tx, appId, managedSecretId)
      const nowMs = clock.now()
      const grants = await findReachingGrants(tx, appId, managedSecretId, new Date(nowMs))
      return { items: grants.map((grant) => toAccess(grant, nowMs)) }
    })

function toAccess(grant: ReachingGrant, nowMs: number): SecretAccess {
  return {
    grant_id: grant.grant_id,
    credential_id: grant.credential_id,
    principal: { type: grant.principal_type, id: grant.principal_id, name: grant.agent_name },
    label: grant.label,
    reachable_by: reachableBy(grant),
    effective: isEffective(grant, nowMs),
    restricted: grant.restrictions !== null,
    expires_at: grant.expires_at?.toISOString() ?? null,
  }
}

function reachableBy({ principal_type: type, agent_name: name, label }: ReachingGrant): string {
  switch (type) {
    case 'system':
      return label === null
        ? 'App keys, by the grant id or by the slug.'
        : `App keys, by the grant id or by the slug with the label "${label}".`
    case 'agent':
      return `The agent "${name}" only, with its own keys or through an app key that acts as it.`
    case 'user':
      return 'The user, when the call carries their identity.'
    case 'group':
      return 'The live members of the group, when the call carries their identity.'
  }
}

/** An agent reaches what its scopes in force name, while it is not suspended. */
function isEffective(grant: ReachingGrant, nowMs: number): boolean {
  if (grant.principal_type !== 'agent') return true
  const { scopes } = scopesInForce(
    {
      scopes: grant.agent_scopes as AgentScopes,
      scopesPending: grant.agent_scopes_pending as AgentScopes | null,
      scopesAppliesAt: grant.agent_scopes_applies_at,
    },
    nowMs,
  )
  return grant.agent_status === 'active' && (scopes.managed_secret_slugs ?? []).includes(grant.slug)
}
