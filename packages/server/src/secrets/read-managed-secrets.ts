import type { ManagedSecret } from '@alter-vault/contracts'
import type { Database } from '../db/database.ts'
import { type ListPage, type Page, toPage } from '../kernel/page.ts'
import type { AppRef } from '../management/index.ts'
import { getSecret, listSecrets, toManagedSecret } from './managed-secret-store.ts'

type Deps = { db: Pick<Database, 'forApp'> }

/** One secret without its values. Refusal: `managed_secret_not_found`. */
export const showManagedSecret =
  ({ db }: Deps) =>
  async ({ appId }: AppRef, managedSecretId: string): Promise<ManagedSecret> =>
    db.forApp(appId, async (tx) => toManagedSecret(await getSecret(tx, appId, managedSecretId)))

/** The secrets of an app, newest first. */
export const listManagedSecretsOf =
  ({ db }: Deps) =>
  async ({ appId }: AppRef, filter: { search?: string | undefined }, page: Page): Promise<ListPage<ManagedSecret>> =>
    db.forApp(appId, async (tx) => toPage(await listSecrets(tx, appId, filter, page), page, toManagedSecret))
