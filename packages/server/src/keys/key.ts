import type { AgentKey, Key, KeyPolicy } from '@alter-vault/contracts'
import type { Row } from '../db/schema.generated.ts'
import { shownAuthor } from '../management/index.ts'

/*
 * The life of a key. A state is derived, never stored:
 *
 *   active ──deprecate──▶ deprecated ──undeprecate──▶ active         both work; a deprecated one says so in each answer
 *   active | deprecated ──rotate──▶ rotated_in_grace ──grace ends──▶ expired
 *   active | deprecated ──expires_at──▶ expired
 *   any ──revoke──▶ revoked                                          final, with every key derived from it
 */

export type KeyRow = Row<'keys'>
/** A key with when it was last used. */
export type SeenKey = KeyRow & { last_used_at: Date | null }

export type KeyState = Key['status']

/** Requests a minute of a key for which nobody chose a limit. */
export const DEFAULT_KEY_RPM = 6_000

type Lived = Pick<KeyRow, 'revoked_at' | 'rotated_to' | 'grace_until' | 'expires_at' | 'deprecated_at'>

export function keyState(key: Lived, now: Date): KeyState {
  if (key.revoked_at !== null) return 'revoked'
  if (key.expires_at !== null && key.expires_at <= now) return 'expired'
  if (key.rotated_to !== null) return key.grace_until !== null && key.grace_until > now ? 'rotated_in_grace' : 'expired'
  return key.deprecated_at === null ? 'active' : 'deprecated'
}

/** A key that can still be used for calls. */
export const isLive = (key: Lived, now: Date): boolean => !['revoked', 'expired'].includes(keyState(key, now))

/** The limit in force and where it comes from. */
export function rateLimitOf(
  key: Pick<KeyRow, 'rate_limit_rpm'>,
  policy: Pick<KeyPolicy, 'max_rate_limit_rpm'>,
): Pick<Key, 'effective_rate_limit_rpm' | 'rate_limit_source'> {
  if (key.rate_limit_rpm !== null) return { effective_rate_limit_rpm: key.rate_limit_rpm, rate_limit_source: 'key' }
  const ceiling = policy.max_rate_limit_rpm
  if (ceiling !== null && ceiling < DEFAULT_KEY_RPM) {
    return { effective_rate_limit_rpm: ceiling, rate_limit_source: 'organization' }
  }
  return { effective_rate_limit_rpm: DEFAULT_KEY_RPM, rate_limit_source: 'platform_default' }
}

const iso = (time: Date | null): string | null => time?.toISOString() ?? null

export function toKey(row: SeenKey, policy: KeyPolicy, now: Date): Key {
  return {
    id: row.key_id,
    name: row.name,
    key_prefix: row.key_prefix,
    key_type: row.key_type,
    status: keyState(row, now),
    scopes: row.scopes,
    scope_version: row.scope_version,
    agent_id: row.agent_id,
    cidr_allowlist: row.cidr_allowlist,
    rate_limit_rpm: row.rate_limit_rpm,
    ...rateLimitOf(row, policy),
    expires_at: iso(row.expires_at),
    deprecated_at: iso(row.deprecated_at),
    revoked_at: iso(row.revoked_at),
    rotated_to: row.rotated_to,
    grace_until: iso(row.grace_until),
    parent_key_id: row.parent_key_id,
    metadata: row.metadata as Record<string, unknown>,
    created_at: row.created_at.toISOString(),
    created_by: shownAuthor(row.created_by),
    last_used_at: iso(row.last_used_at),
  }
}

export function toAgentKey(row: SeenKey, now: Date): AgentKey {
  return {
    key_id: row.key_id,
    key_prefix: row.key_prefix,
    name: row.name,
    status: keyState(row, now),
    created_at: row.created_at.toISOString(),
    deprecated_at: iso(row.deprecated_at),
    revoked_at: iso(row.revoked_at),
    last_used_at: iso(row.last_used_at),
  }
}
