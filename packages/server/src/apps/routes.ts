import * as contract from '@alter-vault/contracts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForOperators } from '../management/index.ts'
import type { Apps } from './create-apps.ts'

/** The apps of an organization. */
export function createAppRoutes({ apps }: { apps: Apps }): BoundEndpoint[] {
  const inApp = (params: { app_id: string }, principal: { organizationId: string }) => ({
    appId: params.app_id,
    organizationId: principal.organizationId,
  })
  return [
    bindForOperators(contract.listApps, async ({ query, principal }) =>
      apps.listApps(
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
      return apps.createApp({
        author,
        organizationId: principal.organizationId,
        authorAppIds: principal.appIds,
        ...rest,
        ...(websiteUrl === undefined ? {} : { websiteUrl }),
      })
    }),
    bindForOperators(contract.showApp, async ({ params, query, principal }) =>
      apps.showApp(inApp(params, principal), { includeStats: query.include_stats ?? false }),
    ),
    bindForOperators(contract.updateApp, async ({ params, body, expectedVersion, principal }, author) =>
      apps.updateApp({ app: inApp(params, principal), author, expectedVersion, change: body }),
    ),
    bindForOperators(contract.archiveApp, async ({ params, principal }, author) =>
      apps.archiveApp({ app: inApp(params, principal), author }),
    ),
    bindForOperators(contract.unarchiveApp, async ({ params, principal }, author) =>
      apps.unarchiveApp({ app: inApp(params, principal), author }),
    ),
    bindForOperators(contract.deleteApp, async ({ params, body, expectedVersion, principal }, author) =>
      apps.deleteApp({ app: inApp(params, principal), author, expectedVersion, confirm: body.confirm }),
    ),
  ]
}
