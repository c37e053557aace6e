import * as contract from '@alter-vault/contracts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForOperators } from '../management/index.ts'
import type { Apps } from './create-apps.ts'

/** The apps of an organization. */
export function createAppRoutes({ apps }: { apps: Apps }): BoundEndpoint[] {
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
    bindForOperators(contract.createApp, async ({ body, principal: { organizationId, appIds } }, author) =>
      apps.createApp({ author, organizationId, authorAppIds: appIds, ...body }),
    ),
    bindForOperators(contract.showApp, async ({ app, query }) =>
      apps.showApp(app, { includeStats: query.include_stats ?? false }),
    ),
    bindForOperators(contract.updateApp, async ({ app, body, expectedVersion }, author) =>
      apps.updateApp({ app, author, expectedVersion, change: body }),
    ),
    bindForOperators(contract.archiveApp, async ({ app }, author) => apps.archiveApp({ app, author })),
    bindForOperators(contract.unarchiveApp, async ({ app }, author) => apps.unarchiveApp({ app, author })),
    bindForOperators(contract.deleteApp, async ({ app, body, expectedVersion }, author) =>
      apps.deleteApp({ app, author, expectedVersion, confirm: body.confirm }),
    ),
  ]
}
