import type { Grant, SdkManagedSecretGrant } from '@alter-vault/contracts'
import type Type from 'typebox'
import type { Row } from '../db/schema.generated.ts'
import { shownAuthor } from '../management/index.ts'

/*
 * The life of a grant (docs/spec/wire-protocol.md#life-of-a-grant). `expired` is derived, never stored:
 *
 *   active ──expires_at──▶ expired ──a later expires_at──▶ active
 *   active | expired ──revoke──▶ revoked                             final; what waits for an approval on it ends with it
 */

export type GrantRow = Row<'grants'>

/** How long a grant lives. The earliest of all ends wins (docs/spec/wire-protocol.md#life-of-a-grant). */
export type Lifetime = Pick<GrantRow, 'expires_at' | 'max_ttl_seconds' | 'default_ttl_seconds'>

/** A grant with the names that lists show of it. */
export type GrantView = GrantRow & {
  /** Null where the source has no row of its own. */
  source_name: string | null
  credential_label: string
  credential_kind: 'developer' | 'end_user'
  agent_name: string | null
  /** The approval configuration of the rule that stands for `requires_approval`. */
  requires_approval: Record<string, unknown> | null
  last_used_at: Date | null
}

export type GrantState = Grant['status']

export function grantState(row: Pick<GrantRow, 'status' | 'expires_at'>, now: Date): GrantState {
  if (row.status !== 'active') return row.status
  return row.expires_at !== null && row.expires_at <= now ? 'expired' : 'active'
}

const iso = (time: Date | null): string | null => time?.toISOString() ?? null

export function toGrant(row: GrantView, now: Date): Grant {
  return {
    id: row.grant_id,
    grant_kind: row.grant_kind,
    status: grantState(row, now),
    principal: { type: row.principal_type, id: row.principal_id, name: row.agent_name },
    provider_id: row.provider_id,
    managed_secret_id: row.grant_kind === 'managed_secret' ? row.source_id : null,
    managed_secret_name: row.source_name,
    credential_id: row.credential_id,
    credential_label: row.credential_label,
    label: row.label,
    grant_policy: {
      expires_at: iso(row.expires_at),
      max_ttl_seconds: row.max_ttl_seconds,
      default_ttl_seconds: row.default_ttl_seconds,
      restrictions: row.restrictions as Grant['grant_policy']['restrictions'],
      requires_approval: row.requires_approval,
    },
    revoked_at: iso(row.revoked_at),
    revoked_reason: row.revoked_reason,
    version: row.version,
    created_by: shownAuthor(row.created_by),
    created_at: row.created_at.toISOString(),
    last_used_at: iso(row.last_used_at),
  }
}

/** As the SDK reads it. */
export function toSdkGrant(row: GrantView, now: Date): Type.Static<typeof SdkManagedSecretGrant> {
  const createdAt = row.created_at.toISOString()
  return {
    grant_kind: 'managed_secret',
    grant_id: row.grant_id,
    status: grantState(row, now),
    principal_type: row.principal_type,
    managed_secret_id: row.source_id,
    managed_secret_slug: row.provider_id,
    managed_secret_name: row.source_name ?? row.provider_id,
    agent_id: row.principal_type === 'agent' ? row.principal_id : null,
    credential_kind: row.credential_kind,
    credential_label: row.credential_label,
    access_via: 'ownership',
    account_identifier: null,
    label: row.label,
    credential_id: row.credential_id,
    grant_policy: { expires_at: iso(row.expires_at), created_by: shownAuthor(row.created_by), created_at: createdAt },
    expires_at: null,
    grant_expires_at: iso(row.expires_at),
    last_used_at: iso(row.last_used_at),
    delegated_at: null,
    parent_grant_id: null,
    depth: 0,
    delegable: false,
    scope_constraint: null,
    created_at: createdAt,
  }
}
