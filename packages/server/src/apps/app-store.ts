import { type App, type AppBranding, type AppSettings, appSettings } from '@alter-vault/contracts'
import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { newestFirst } from '../db/newest-first.ts'
import type { NewRow, Row } from '../db/schema.generated.ts'
import type { Page, Placed } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'

export type AppRow = Row<'apps'>

export const appNotFound = (): VaultError => new VaultError('not_found', { message: 'There is no app with this id.' })

const undeleted = (tx: Tx, appId: string) =>
  tx.selectFrom('apps').selectAll().where('app_id', '=', appId).where('status', '<>', 'deleted')

/** An app that is not deleted. */
export async function findApp(tx: Tx, appId: string): Promise<AppRow | undefined> {
  return undeleted(tx, appId).executeTakeFirst()
}

/** Refusal: `not_found`. */
export async function getApp(tx: Tx, appId: string): Promise<AppRow> {
  const app = await findApp(tx, appId)
  if (app === undefined) throw appNotFound()
  return app
}

/**
 * The app, locked against other changes of it until the transaction ends, so that what is counted per app stays within its
 * limit. Lock order: the app before any of its rows. Refusal: `not_found`.
 */
export async function lockApp(tx: Tx, appId: string): Promise<AppRow> {
  const app = await undeleted(tx, appId).forNoKeyUpdate().executeTakeFirst()
  if (app === undefined) throw appNotFound()
  return app
}

export async function readAppSettings(tx: Tx, appId: string): Promise<AppSettings> {
  return appSettings((await getApp(tx, appId)).settings)
}

export async function insertApp(tx: Tx, row: NewRow<'apps'>): Promise<void> {
  await tx.insertInto('apps').values(row).execute()
}

/** Writes the given columns and counts the version up. */
export async function saveApp(
  tx: Tx,
  appId: string,
  columns: Partial<
    Pick<AppRow, 'name' | 'description' | 'environment' | 'website_url' | 'status' | 'archived_at'> & {
      branding: AppBranding
      settings: Partial<AppSettings>
    }
  >,
): Promise<AppRow> {
  const { branding, settings, ...plain } = columns
  return tx
    .updateTable('apps')
    .set({
      ...plain,
      branding: branding && JSON.stringify(branding),
      settings: settings && JSON.stringify(settings),
      version: sql<number>`version + 1`,
    })
    .where('app_id', '=', appId)
    .returningAll()
    .executeTakeFirstOrThrow()
}

export async function countApps(tx: Tx, organizationId: string): Promise<number> {
  const { n } = await tx
    .selectFrom('apps')
    .select(sql<number>`count(*)::int`.as('n'))
    .where('organization_id', '=', organizationId)
    .where('status', '<>', 'deleted')
    .executeTakeFirstOrThrow()
  return n
}

export async function findAppSlugs(tx: Tx, organizationId: string, slug: string): Promise<Set<string>> {
  const rows = await tx
    .selectFrom('apps')
    .select('slug')
    .where('organization_id', '=', organizationId)
    .where('slug', 'like', `${slug.slice(0, 40)}%`)
    .execute()
  return new Set(rows.map((row) => row.slug))
}

/** Every app that the organization ever had, deleted ones included. */
export async function readAppIds(tx: Tx, organizationId: string): Promise<string[]> {
  const rows = await tx
    .selectFrom('apps')
    .select('app_id')
    .where('organization_id', '=', organizationId)
    .orderBy('app_id')
    .execute()
  return rows.map((row) => row.app_id)
}

export type AppFilter = { includeArchived: boolean; search: string | undefined; appIds: readonly string[] | null }

/** Apps of the organization, newest first, one more than the page holds. */
export async function listApps(
  tx: Tx,
  organizationId: string,
  filter: AppFilter,
  page: Page,
): Promise<Placed<AppRow>[]> {
  let query = tx
    .selectFrom('apps')
    .selectAll()
    .where('organization_id', '=', organizationId)
    .where('status', 'in', filter.includeArchived ? ['live', 'archived'] : ['live'])
  if (filter.appIds !== null) query = query.where('app_id', '=', sql<string>`any(${[...filter.appIds]}::uuid[])`)
  if (filter.search !== undefined) query = query.where(sql<boolean>`strpos(lower(name), lower(${filter.search})) > 0`)
  return newestFirst(query, { id: 'app_id' }, page)
}

/** The version that every decision of the app rests on. Needs the app's own scope. */
export async function readEpoch(tx: Tx, appId: string): Promise<number> {
  const row = await tx
    .selectFrom('fences')
    .select('version')
    .where('app_id', '=', appId)
    .where('subject', '=', 'epoch')
    .executeTakeFirst()
  return row?.version ?? 0
}

export type AppCounts = { active_keys: number; active_agents: number; managed_secrets: number; live_grants: number }

/** Needs the app's own scope. */
export async function countAppObjects(tx: Tx, appId: string): Promise<AppCounts> {
  const { rows } = await sql<AppCounts>`select
    (select count(*)::int from keys where app_id = ${appId} and revoked_at is null
      and (expires_at is null or expires_at > now()) and (rotated_to is null or grace_until > now())) as active_keys,
    (select count(*)::int from agents where app_id = ${appId} and status = 'active') as active_agents,
    (select count(*)::int from managed_secrets where app_id = ${appId} and status = 'active') as managed_secrets,
    (select count(*)::int from grants where app_id = ${appId} and status = 'active'
      and (expires_at is null or expires_at > now())) as live_grants`.execute(tx)
  return rows[0]!
}

/** Moves the transaction from one app of its organization to another. */
export async function enterApp(tx: Tx, appId: string): Promise<void> {
  await sql`select set_config('vault.app', ${appId}, true)`.execute(tx)
}

/** Erases the app's data keys: whatever they sealed can never be opened again, in a backup of the rows either. */
export async function eraseDataKeys(tx: Tx, appId: string): Promise<void> {
  await tx.deleteFrom('data_keys').where('app_id', '=', appId).execute()
  await tx.deleteFrom('data_key_scopes').where('app_id', '=', appId).execute()
}

export function toApp(row: AppRow, policyEpoch: number): App {
  return {
    id: row.app_id,
    organization_id: row.organization_id,
    name: row.name,
    slug: row.slug,
    description: row.description,
    environment: row.environment,
    website_url: row.website_url,
    status: row.status === 'archived' ? 'archived' : 'live',
    branding: row.branding as AppBranding,
    settings: appSettings(row.settings),
    policy_epoch: policyEpoch,
    version: row.version,
    created_at: row.created_at.toISOString(),
    archived_at: row.archived_at?.toISOString() ?? null,
  }
}
