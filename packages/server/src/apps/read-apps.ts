import type { App } from '@alter-vault/contracts'
import type { Database, Tx } from '../db/database.ts'
import { type ListPage, type Page, toPage } from '../kernel/page.ts'
import type { AppRef } from '../management/index.ts'
import {
  type AppCounts,
  type AppFilter,
  type AppRow,
  countAppObjects,
  enterApp,
  getApp,
  listApps,
  readEpoch,
  toApp,
} from './app-store.ts'

type Deps = { db: Pick<Database, 'forApp' | 'forOrganization'> }
export type AppWithStats = App & { stats?: AppCounts }

/** One app. Refusal: `not_found`. */
export const showApp =
  ({ db }: Deps) =>
  async ({ appId }: AppRef, { includeStats }: { includeStats: boolean }): Promise<AppWithStats> =>
    db.forApp(appId, async (tx) => read(tx, await getApp(tx, appId), includeStats))

/** The apps of an organization, newest first. */
export const listAppsOf =
  ({ db }: Deps) =>
  async (
    organizationId: string,
    filter: AppFilter & { includeStats: boolean },
    page: Page,
  ): Promise<ListPage<AppWithStats>> =>
    db.forOrganization(organizationId, async (tx) => {
      const rows = await listApps(tx, organizationId, filter, page)
      const apps = new Map<string, AppWithStats>()
      // What counts per app is behind the app's own row-level security: one short visit each.
      for (const row of rows.slice(0, page.limit)) {
        await enterApp(tx, row.app_id)
        apps.set(row.app_id, await read(tx, row, filter.includeStats))
      }
      return toPage(rows, page, (row) => apps.get(row.app_id)!)
    })

async function read(tx: Tx, row: AppRow, includeStats: boolean): Promise<AppWithStats> {
  const app = toApp(row, await readEpoch(tx, row.app_id))
  return includeStats ? { ...app, stats: await countAppObjects(tx, row.app_id) } : app
}
