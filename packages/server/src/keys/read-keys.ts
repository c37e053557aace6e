import { appSettings, type Key } from '@alter-vault/contracts'
import { getApp } from '../apps/index.ts'
import type { Database, Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { type ListPage, type Page, toPage } from '../kernel/page.ts'
import type { AppRef } from '../management/index.ts'
import { getOrganization, organizationSettings } from '../organizations/index.ts'
import { toKey } from './key.ts'
import { countKeys, getKey, type KeyCounts, type KeyFilter, listKeys } from './key-store.ts'

type Deps = { db: Pick<Database, 'forApp'>; clock: Clock }

export const keyPolicyOf = async (tx: Tx, organizationId: string) =>
  organizationSettings((await getOrganization(tx, organizationId)).settings).key_policy

/** One key without its secret. Refusal: `key_not_found`. */
export const showKey =
  ({ db, clock }: Deps) =>
  async ({ appId, organizationId }: AppRef, keyId: string): Promise<Key> =>
    db.forApp(appId, async (tx) =>
      toKey(await getKey(tx, appId, keyId), await keyPolicyOf(tx, organizationId), new Date(clock.now())),
    )

/** The keys of an app, newest first. */
export const listKeysOf =
  ({ db, clock }: Deps) =>
  async ({ appId, organizationId }: AppRef, filter: KeyFilter, page: Page): Promise<ListPage<Key>> =>
    db.forApp(appId, async (tx) => {
      const now = new Date(clock.now())
      const policy = await keyPolicyOf(tx, organizationId)
      const rows = await listKeys(tx, appId, filter, page, now)
      return toPage(rows, page, (row) => toKey(row, policy, now))
    })

export const countKeysOf =
  ({ db, clock }: Deps) =>
  async ({ appId }: AppRef): Promise<KeyCounts & { max_allowed: number }> =>
    db.forApp(appId, async (tx) => {
      const { max_active_keys: maxAllowed } = appSettings((await getApp(tx, appId)).settings)
      return { ...(await countKeys(tx, appId, new Date(clock.now()))), max_allowed: maxAllowed }
    })
