import type { SecretAccess } from '@alter-vault/contracts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { AppRef } from '../management/index.ts'
import { getSecret } from '../secrets/index.ts'
import { findReachingGrants, type ReachingGrant } from './grant-store.ts'
import { principalKinds } from './principals.ts'

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
  const kind = principalKinds[grant.principal_type]
  return {
    grant_id: grant.grant_id,
    credential_id: grant.credential_id,
    principal: { type: grant.principal_type, id: grant.principal_id, name: grant.agent_name },
    label: grant.label,
    reachable_by: kind.reachableBy(grant),
    effective: kind.isEffective(grant, nowMs),
    restricted: grant.restrictions !== null,
    expires_at: grant.expires_at?.toISOString() ?? null,
  }
}
