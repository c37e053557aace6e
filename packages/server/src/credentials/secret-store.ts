import { type Insertable, sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import type { CredentialsTable, ManagedSecretsTable } from '../db/schema.generated.ts'
import type { Injection } from '../egress/injection.ts'
import { isUuid } from '../kernel/ids.ts'
import type { Page } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { CredentialRow, SecretRow, SeenSecret } from './managed-secret.ts'

export const managedSecretNotFound = (): VaultError =>
  new VaultError('managed_secret_not_found', { message: 'There is no managed secret with this id.' })

export async function insertSecret(
  tx: Tx,
  row: Omit<Insertable<ManagedSecretsTable>, 'injection'> & { injection: Injection },
): Promise<void> {
  await tx
    .insertInto('managed_secrets')
    .values({ ...row, injection: JSON.stringify(row.injection) })
    .execute()
}

export async function insertCredential(tx: Tx, row: Insertable<CredentialsTable>): Promise<void> {
  await tx.insertInto('credentials').values(row).execute()
}

/** A secret that is not deleted, with its live credentials; undefined when the app has none with this id. */
export async function findSecret(
  tx: Tx,
  appId: string,
  managedSecretId: string,
  options: { lock?: boolean } = {},
): Promise<SeenSecret | undefined> {
  if (!isUuid(managedSecretId)) return undefined
  let query = tx
    .selectFrom('managed_secrets')
    .selectAll()
    .where('app_id', '=', appId)
    .where('managed_secret_id', '=', managedSecretId)
    .where('status', '=', 'active')
  if (options.lock) query = query.forNoKeyUpdate()
  const row = await query.executeTakeFirst()
  if (row === undefined) return undefined
  return (await withCredentials(tx, appId, [row]))[0]
}

/** Refusal: `managed_secret_not_found`. */
export async function getSecret(
  tx: Tx,
  appId: string,
  managedSecretId: string,
  options: { lock?: boolean } = {},
): Promise<SeenSecret> {
  const secret = await findSecret(tx, appId, managedSecretId, options)
  if (secret === undefined) throw managedSecretNotFound()
  return secret
}

/** Whether a live secret of the app has this slug. */
export async function secretSlugExists(tx: Tx, appId: string, slug: string): Promise<boolean> {
  const row = await tx
    .selectFrom('managed_secrets')
    .select('slug')
    .where('app_id', '=', appId)
    .where('slug', '=', slug)
    .where('status', '=', 'active')
    .executeTakeFirst()
  return row !== undefined
}

/** The live slugs that begin like this one. */
export async function findSecretSlugs(tx: Tx, appId: string, slug: string): Promise<Set<string>> {
  const rows = await tx
    .selectFrom('managed_secrets')
    .select('slug')
    .where('app_id', '=', appId)
    .where('status', '=', 'active')
    .where('slug', 'like', `${slug.slice(0, 40)}%`)
    .execute()
  return new Set(rows.map((row) => row.slug))
}

/** Writes the given columns and counts the version up. */
export async function saveSecret(
  tx: Tx,
  appId: string,
  managedSecretId: string,
  columns: Partial<Pick<SecretRow, 'name' | 'allowed_hosts' | 'proxy_only' | 'status'>> & { injection?: Injection },
  at: Date,
): Promise<void> {
  const { injection, ...plain } = columns
  await tx
    .updateTable('managed_secrets')
    .set({
      ...plain,
      ...(injection === undefined ? {} : { injection: JSON.stringify(injection) }),
      updated_at: at,
      version: sql<number>`version + 1`,
    })
    .where('app_id', '=', appId)
    .where('managed_secret_id', '=', managedSecretId)
    .execute()
}

/** Puts a new sealed value in the place of the old one, which is gone. False when the credential has ended. */
export async function replaceSealed(
  tx: Tx,
  appId: string,
  credentialId: string,
  columns: { sealed: Buffer; hint: string | null; field_names: string[]; rotated_at: Date },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('credentials')
    .set(columns)
    .where('app_id', '=', appId)
    .where('credential_id', '=', credentialId)
    .where('status', '=', 'active')
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** Destroys every live value of a secret. Returns the ids of their credentials. */
export async function destroyCredentialsOf(tx: Tx, appId: string, managedSecretId: string): Promise<string[]> {
  const rows = await tx
    .updateTable('credentials')
    .set({ status: 'revoked', sealed: null, hint: null })
    .where('app_id', '=', appId)
    .where('managed_secret_id', '=', managedSecretId)
    .where('status', '=', 'active')
    .returning('credential_id')
    .execute()
  return rows.map((row) => row.credential_id).sort()
}

/** Secrets of the app that are not deleted, newest first, one more than the page holds. */
export async function listSecrets(
  tx: Tx,
  appId: string,
  filter: { search?: string | undefined },
  page: Page,
): Promise<(SeenSecret & { place_at: string })[]> {
  let query = tx
    .selectFrom('managed_secrets')
    .selectAll()
    .select(sql<string>`created_at::text`.as('place_at'))
    .where('app_id', '=', appId)
    .where('status', '=', 'active')
  if (filter.search !== undefined) {
    query = query.where(
      sql<boolean>`(strpos(lower(name), lower(${filter.search})) > 0 or strpos(slug, lower(${filter.search})) > 0)`,
    )
  }
  if (page.after !== undefined) {
    query = query.where(
      sql<boolean>`(created_at, managed_secret_id) < (${page.after.at}::timestamptz, ${page.after.id}::uuid)`,
    )
  }
  const rows = await query
    .orderBy('created_at', 'desc')
    .orderBy('managed_secret_id', 'desc')
    .limit(page.limit + 1)
    .execute()
  return withCredentials(tx, appId, rows)
}

/** The ids of the app's secrets that are not deleted. */
export async function findLiveSecretIds(tx: Tx, appId: string): Promise<string[]> {
  const rows = await tx
    .selectFrom('managed_secrets')
    .select('managed_secret_id')
    .where('app_id', '=', appId)
    .where('status', '=', 'active')
    .orderBy('managed_secret_id')
    .execute()
  return rows.map((row) => row.managed_secret_id)
}

/** Without the sealed bytes: whoever lists secrets has no use for them. */
const SEEN_COLUMNS = [
  'app_id',
  'credential_id',
  'managed_secret_id',
  'label',
  'kind',
  'hint',
  'field_names',
  'status',
  'created_at',
  'rotated_at',
] as const

async function withCredentials<Row extends SecretRow>(
  tx: Tx,
  appId: string,
  secrets: readonly Row[],
): Promise<(Row & { credentials: CredentialRow[] })[]> {
  if (secrets.length === 0) return []
  const ids = secrets.map((secret) => secret.managed_secret_id)
  const credentials = await tx
    .selectFrom('credentials')
    .select(SEEN_COLUMNS)
    .where('app_id', '=', appId)
    .where('managed_secret_id', '=', sql<string>`any(${ids}::uuid[])`)
    .where('status', '=', 'active')
    .orderBy('created_at')
    .orderBy('credential_id')
    .execute()
  return secrets.map((secret) => ({
    ...secret,
    credentials: credentials.filter((one) => one.managed_secret_id === secret.managed_secret_id),
  }))
}
