import * as contract from '@alter-vault/contracts'
import type { Database } from '../db/database.ts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import type { Organisations } from './create-organisations.ts'
import { bindForOperators, refuseTokens } from './operator-endpoint.ts'
import { getOrganization, organizationSettings, toOrganization } from './organization-store.ts'

type Deps = { db: Pick<Database, 'forOrganization'>; organisations: Organisations }

/** Organisations, apps, and what of a member's own account no token may touch. */
export function createOrganisationRoutes({ db, organisations }: Deps): BoundEndpoint[] {
  const readOrganization = (organizationId: string) =>
    db.forOrganization(organizationId, (tx) => getOrganization(tx, organizationId))
  const inApp = (params: { app_id: string }, principal: { organizationId: string }) => ({
    appId: params.app_id,
    organizationId: principal.organizationId,
  })
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
    bindForOperators(contract.listApps, async ({ query, principal }) =>
      organisations.listApps(
        principal.organizationId,
        {
          includeArchived: query.include_archived ?? false,
          includeStats: query.include_stats ?? false,
          search: query.search,
          appIds: principal.appIds,
        },
        parsePage(query),
      ),
    ),
    bindForOperators(contract.createApp, async ({ body, principal }, author) => {
      const { website_url: websiteUrl, ...rest } = body
      return organisations.createApp({
        author,
        organizationId: principal.organizationId,
        authorAppIds: principal.appIds,
        ...rest,
        ...(websiteUrl === undefined ? {} : { websiteUrl }),
      })
    }),
    bindForOperators(contract.showApp, async ({ params, query, principal }) =>
      organisations.showApp(inApp(params, principal), { includeStats: query.include_stats ?? false }),
    ),
    bindForOperators(contract.updateApp, async ({ params, body, expectedVersion, principal }, author) =>
      organisations.updateApp({ app: inApp(params, principal), author, expectedVersion, change: body }),
    ),
    bindForOperators(contract.archiveApp, async ({ params, principal }, author) =>
      organisations.archiveApp({ app: inApp(params, principal), author }),
    ),
    bindForOperators(contract.unarchiveApp, async ({ params, principal }, author) =>
      organisations.unarchiveApp({ app: inApp(params, principal), author }),
    ),
    bindForOperators(contract.deleteApp, async ({ params, body, expectedVersion, principal }, author) =>
      organisations.deleteApp({ app: inApp(params, principal), author, expectedVersion, confirm: body.confirm }),
    ),
    refuseTokens(contract.listTokens),
    refuseTokens(contract.mintToken),
    refuseTokens(contract.revokeToken),
  ]
}
