import type { Organization, OrganizationSettings } from '@alter-vault/contracts'
import type { Tx } from '../db/database.ts'
import type { NewRow, Row } from '../db/schema.generated.ts'
import { VaultError } from '../kernel/vault-error.ts'

export type OrganizationRow = Row<'organizations'>

const DEFAULT_RATE_LIMIT_RPM = 60_000
const DEFAULT_KEY_POLICY: OrganizationSettings['key_policy'] = {
  max_key_ttl_days: null,
  require_expiry: false,
  require_cidr: false,
  max_rate_limit_rpm: null,
  max_derived_key_ttl_hours: 24,
  max_rotation_grace_days: 30,
  allowed_scopes: null,
  max_pat_ttl_days: 365,
}

/** The settings of an organization with every default filled in. */
export function organizationSettings(column: unknown): OrganizationSettings {
  const stored = (column ?? {}) as Partial<OrganizationSettings>
  return {
    agent_scope_widening_delay_seconds: stored.agent_scope_widening_delay_seconds ?? 0,
    key_policy: { ...DEFAULT_KEY_POLICY, ...stored.key_policy },
    rate_limit_rpm: stored.rate_limit_rpm ?? DEFAULT_RATE_LIMIT_RPM,
  }
}

export async function insertOrganization(tx: Tx, row: NewRow<'organizations'>): Promise<void> {
  await tx.insertInto('organizations').values(row).execute()
}

/** Refusal: `not_found`. */
export async function getOrganization(tx: Tx, organizationId: string): Promise<OrganizationRow> {
  const query = tx.selectFrom('organizations').selectAll().where('organization_id', '=', organizationId)
  const row = await query.executeTakeFirst()
  if (row === undefined) throw new VaultError('not_found', { message: 'There is no organization with this id.' })
  return row
}

export async function readOrganizationIds(tx: Tx): Promise<string[]> {
  const rows = await tx.selectFrom('organizations').select('organization_id').orderBy('organization_id').execute()
  return rows.map((row) => row.organization_id)
}

/** Lets one transaction at a time make what is counted per organization. */
export async function lockOrganization(tx: Tx, organizationId: string): Promise<OrganizationRow> {
  return tx
    .selectFrom('organizations')
    .selectAll()
    .where('organization_id', '=', organizationId)
    .forNoKeyUpdate()
    .executeTakeFirstOrThrow()
}

export function toOrganization(row: OrganizationRow): Organization {
  return {
    id: row.organization_id,
    name: row.name,
    slug: row.slug,
    settings: organizationSettings(row.settings),
    version: row.version,
    created_at: row.created_at.toISOString(),
  }
}
