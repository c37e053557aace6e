import type { ManagedSecret, SecretCredential, SecretInjection } from '@alter-vault/contracts'
import type { Selectable } from 'kysely'
import type { CredentialsTable, ManagedSecretsTable } from '../db/schema.generated.ts'
import type { Injection } from '../egress/injection.ts'
import { shownAuthor } from '../organisations/index.ts'

/*
 * A managed secret says how a value is put on a request and where that may go; its credentials hold the values, sealed. A value
 * goes in and never comes out: it is replaced in place by a rotation and destroyed with its secret.
 */

export type SecretRow = Selectable<ManagedSecretsTable>
/** A stored value as far as anyone may see it. */
export type CredentialRow = Omit<Selectable<CredentialsTable>, 'sealed'>
export type SeenSecret = SecretRow & { credentials: CredentialRow[] }

/** What the column `injection` holds; the way out reads the same form. */
export const storedInjection = (row: Pick<SecretRow, 'injection'>): Injection => row.injection as Injection

export function toSecretInjection({ header, format, additional }: Injection): SecretInjection {
  return {
    header,
    format,
    additional: additional.map(({ target, key, valueSource }) => ({ target, key, value_source: valueSource })),
  }
}

export function toManagedSecret(row: SeenSecret): ManagedSecret {
  return {
    id: row.managed_secret_id,
    slug: row.slug,
    name: row.name,
    template_id: row.template_id,
    credential_type: row.credential_type,
    injection: toSecretInjection(storedInjection(row)),
    allowed_hosts: row.allowed_hosts,
    status: row.status,
    delegation_policy: row.delegation_policy as Record<string, unknown>,
    proxy_only: row.proxy_only,
    credentials: row.credentials.map(toSecretCredential),
    version: row.version,
    created_by: shownAuthor(row.created_by),
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  }
}

function toSecretCredential(row: CredentialRow): SecretCredential {
  return {
    id: row.credential_id,
    label: row.label,
    kind: row.kind,
    hint: row.hint,
    created_at: row.created_at.toISOString(),
    rotated_at: row.rotated_at?.toISOString() ?? null,
  }
}
