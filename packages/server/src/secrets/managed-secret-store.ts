import type { ManagedSecret, SecretInjection } from '@alter-vault/contracts'
import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { newestFirst } from '../db/newest-first.ts'
import type { NewRow, Row } from '../db/schema.generated.ts'
import { DEFAULT_INJECTION, type Injection } from '../egress/injection.ts'
import { isUuid } from '../kernel/ids.ts'
import type { Page, Placed } from '../kernel/page.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { shownAuthor } from '../management/index.ts'

/* Every statement about managed secrets and their credentials. Only this folder reads or writes `sealed`, beside the hot path. */

export type SecretRow = Row<'managed_secrets'>
export type CredentialRow = Omit<Row<'credentials'>, 'sealed'>
/** A secret with the credentials that can be used. */
export type HeldSecret = { secret: SecretRow; credentials: CredentialRow[] }

const secretNotFound = (): VaultError =>
  new VaultError('managed_secret_not_found', { message: 'There is no managed secret with this id.' })
export const credentialNotFound = (): VaultError =>
  new VaultError('credential_not_found', { message: 'The managed secret has no credential with this id.' })

const CREDENTIAL_COLUMNS = [
  'app_id',
  'credential_id',
  'source_kind',
  'source_id',
  'label',
  'kind',
  'hint',
  'field_names',
  'status',
  'created_at',
  'rotated_at',
] as const

export async function insertSecret(tx: Tx, row: NewRow<'managed_secrets'>): Promise<void> {
  await tx.insertInto('managed_secrets').values(row).execute()
}

export async function insertCredential(tx: Tx, row: NewRow<'credentials'>): Promise<void> {
  await tx.insertInto('credentials').values(row).execute()
}

/** A secret that is not deleted. Refusal: `managed_secret_not_found`. */
export async function getSecret(tx: Tx, appId: string, secretId: string, { lock = false } = {}): Promise<HeldSecret> {
  if (!isUuid(secretId)) throw secretNotFound()
  const query = tx
    .selectFrom('managed_secrets')
    .selectAll()
    .where('app_id', '=', appId)
    .where('managed_secret_id', '=', secretId)
    .where('status', '=', 'active')
  const secret = await (lock ? query.forNoKeyUpdate() : query).executeTakeFirst()
  if (secret === undefined) throw secretNotFound()
  return { secret, credentials: await findCredentials(tx, appId, [secretId]) }
}

/** The live secret that calls name by this slug. */
export async function findSecretIdBySlug(tx: Tx, appId: string, slug: string): Promise<string | undefined> {
  const row = await tx
    .selectFrom('managed_secrets')
    .select('managed_secret_id')
    .where('app_id', '=', appId)
    .where('slug', '=', slug)
    .where('status', '=', 'active')
    .executeTakeFirst()
  return row?.managed_secret_id
}

/** The slugs in use that begin like this one. */
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

async function findCredentials(tx: Tx, appId: string, secretIds: readonly string[]): Promise<CredentialRow[]> {
  if (secretIds.length === 0) return []
  return tx
    .selectFrom('credentials')
    .select(CREDENTIAL_COLUMNS)
    .where('app_id', '=', appId)
    .where('source_kind', '=', 'managed_secret')
    .where('source_id', 'in', secretIds)
    .where('status', '=', 'active')
    .orderBy('created_at')
    .orderBy('credential_id')
    .execute()
}

/** Writes the given columns and counts the version up. */
export async function saveSecret(
  tx: Tx,
  appId: string,
  secretId: string,
  columns: Partial<Pick<SecretRow, 'name' | 'allowed_hosts' | 'proxy_only' | 'status'>> & { injection?: Injection },
  at: Date,
): Promise<void> {
  const { injection, ...plain } = columns
  await tx
    .updateTable('managed_secrets')
    .set({
      ...plain,
      injection: injection && JSON.stringify(injection),
      updated_at: at,
      version: sql<number>`version + 1`,
    })
    .where('app_id', '=', appId)
    .where('managed_secret_id', '=', secretId)
    .execute()
}

/** Replaces a stored value; the old one is gone with the commit. */
export async function replaceSealed(
  tx: Tx,
  appId: string,
  credentialId: string,
  value: { sealed: Buffer; hint: string | null; fieldNames: readonly string[]; at: Date },
): Promise<void> {
  await tx
    .updateTable('credentials')
    .set({ sealed: value.sealed, hint: value.hint, field_names: [...value.fieldNames], rotated_at: value.at })
    .where('app_id', '=', appId)
    .where('credential_id', '=', credentialId)
    .execute()
}

/** Destroys the values of a secret, or of the whole app. Returns the ids of those that were live. */
export async function destroyCredentials(tx: Tx, appId: string, secretId?: string): Promise<string[]> {
  let query = tx
    .updateTable('credentials')
    .set({ sealed: null, hint: null, field_names: [], status: 'revoked' })
    .where('app_id', '=', appId)
    .where('status', '=', 'active')
  if (secretId !== undefined)
    query = query.where('source_kind', '=', 'managed_secret').where('source_id', '=', secretId)
  const rows = await query.returning('credential_id').execute()
  return rows.map((row) => row.credential_id).sort()
}

export async function markSecretsDeleted(tx: Tx, appId: string, at: Date): Promise<string[]> {
  const rows = await tx
    .updateTable('managed_secrets')
    .set({ status: 'deleted', updated_at: at, version: sql<number>`version + 1` })
    .where('app_id', '=', appId)
    .where('status', '=', 'active')
    .returning('managed_secret_id')
    .execute()
  return rows.map((row) => row.managed_secret_id).sort()
}

/** Secrets of an app, newest first, one more than the page holds. */
export async function listSecrets(
  tx: Tx,
  appId: string,
  filter: { search?: string | undefined },
  page: Page,
): Promise<Placed<HeldSecret>[]> {
  let query = tx.selectFrom('managed_secrets').selectAll().where('app_id', '=', appId).where('status', '=', 'active')
  if (filter.search !== undefined) {
    query = query.where(
      sql<boolean>`(strpos(lower(name), lower(${filter.search})) > 0 or strpos(slug, lower(${filter.search})) > 0)`,
    )
  }
  const rows = await newestFirst(query, { id: 'managed_secret_id' }, page)
  const ids = rows.map((row) => row.managed_secret_id)
  const credentials = await findCredentials(tx, appId, ids)
  return rows.map((row) => ({
    secret: row,
    credentials: credentials.filter((credential) => credential.source_id === row.managed_secret_id),
    place_at: row.place_at,
    place_id: row.place_id,
  }))
}

/** The injection of a row with its defaults. */
export function storedInjection(column: unknown): Injection {
  return { ...DEFAULT_INJECTION, ...(column as Partial<Injection> | null) }
}

export function toManagedSecret({ secret, credentials }: HeldSecret): ManagedSecret {
  const { header, format, additional } = storedInjection(secret.injection)
  const injection: SecretInjection = {
    header,
    format,
    additional: additional.map(({ target, key, valueSource }) => ({ target, key, value_source: valueSource })),
  }
  return {
    id: secret.managed_secret_id,
    slug: secret.slug,
    name: secret.name,
    template_id: secret.template_id,
    credential_type: secret.credential_type,
    injection,
    allowed_hosts: secret.allowed_hosts,
    status: secret.status,
    delegation_policy: secret.delegation_policy as Record<string, unknown>,
    proxy_only: secret.proxy_only,
    credentials: credentials.map((credential) => ({
      id: credential.credential_id,
      label: credential.label,
      kind: credential.kind,
      hint: credential.hint,
      created_at: credential.created_at.toISOString(),
      rotated_at: credential.rotated_at?.toISOString() ?? null,
    })),
    version: secret.version,
    created_by: shownAuthor(secret.created_by),
    created_at: secret.created_at.toISOString(),
    updated_at: secret.updated_at.toISOString(),
  }
}
