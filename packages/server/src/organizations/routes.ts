import * as contract from '@alter-vault/contracts'
import type { Database } from '../db/database.ts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForOperators } from '../management/index.ts'
import { getOrganization, organizationSettings, toOrganization } from './organization-store.ts'

/** Organizations, as far as a token may read them. */
export function createOrganizationRoutes({ db }: { db: Pick<Database, 'forOrganization'> }): BoundEndpoint[] {
  const readOrganization = (organizationId: string) =>
    db.forOrganization(organizationId, (tx) => getOrganization(tx, organizationId))
  return [
    bindForOperators(contract.listOrganizations, async ({ query, principal }) => {
      parsePage(query)
      const items = [toOrganization(await readOrganization(principal.organizationId))]
      return { items: query.cursor === undefined ? items : [], has_more: false, next_cursor: null }
    }),
    bindForOperators(contract.showOrganization, async ({ params }) =>
      toOrganization(await readOrganization(params.organization_id)),
    ),
    bindForOperators(contract.showKeyPolicy, async ({ params }) => {
      const organization = await readOrganization(params.organization_id)
      return organizationSettings(organization.settings).key_policy
    }),
  ]
}
