import type { Grant } from '@alter-vault/contracts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { type ListPage, type Page, toPage } from '../kernel/page.ts'
import type { AppRef } from '../management/index.ts'
import { getSecret } from '../secrets/index.ts'
import { toGrant } from './grant.ts'
import { type GrantFilter, getGrant, listGrants } from './grant-store.ts'

type Deps = { db: Pick<Database, 'forApp'>; clock: Clock }

/** One grant in any state. Refusal: `grant_not_found`. */
export const showGrant =
  ({ db, clock }: Deps) =>
  async ({ appId }: AppRef, grantId: string): Promise<Grant> =>
    db.forApp(appId, async (tx) => toGrant(await getGrant(tx, appId, grantId), new Date(clock.now())))

/** The grants of an app, newest first. With `sourceId` refuses `managed_secret_not_found`. */
export const listGrantsOf =
  ({ db, clock }: Deps) =>
  async ({ appId }: AppRef, filter: GrantFilter, page: Page): Promise<ListPage<Grant>> =>
    db.forApp(appId, async (tx) => {
      if (filter.sourceId !== undefined) await getSecret(tx, appId, filter.sourceId)
      const now = new Date(clock.now())
      const rows = await listGrants(tx, appId, filter, page, now)
      return toPage(rows, page, (row) => toGrant(row, now))
    })
