import type { Tx } from '../db/database.ts'
import { isUuid } from '../kernel/ids.ts'

/** What the rules on a grant meet: the slug it is used by and the agent it belongs to; undefined when the app has no such grant. */
export async function findGrantTargets(
  tx: Tx,
  appId: string,
  grantId: string,
): Promise<{ providerId: string; agentId: string | null } | undefined> {
  if (!isUuid(grantId)) return undefined
  const row = await tx
    .selectFrom('grants')
    .innerJoin('managed_secrets', (join) =>
      join
        .onRef('managed_secrets.app_id', '=', 'grants.app_id')
        .onRef('managed_secrets.managed_secret_id', '=', 'grants.managed_secret_id'),
    )
    .select(['managed_secrets.slug', 'grants.principal_type', 'grants.principal_id'])
    .where('grants.app_id', '=', appId)
    .where('grants.grant_id', '=', grantId)
    .executeTakeFirst()
  return row && { providerId: row.slug, agentId: row.principal_type === 'agent' ? row.principal_id : null }
}
