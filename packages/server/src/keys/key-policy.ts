import { type KeyPolicy, scopesImply } from '@alter-vault/contracts'
import { parseFutureInstant } from '../kernel/instant.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'

const UNIT_MS = { d: 86_400_000, h: 3_600_000, m: 60_000 } as const
const DAY_MS = UNIT_MS.d

/**
 * When a key ends: `expires_in` (`30d`, `12h`, `5m`) or `expires_at`, not both; null for never. Refusal: `validation_failed`.
 */
export function parseExpiry(
  input: { expires_in?: string | undefined; expires_at?: string | undefined },
  nowMs: number,
): Date | null {
  if (input.expires_in !== undefined && input.expires_at !== undefined) {
    throw invalidField('/expires_at', '"expires_in" and "expires_at" exclude each other.', 'conflict')
  }
  if (input.expires_in !== undefined) {
    const lengthMs = Number.parseInt(input.expires_in, 10) * UNIT_MS[input.expires_in.at(-1) as keyof typeof UNIT_MS]
    return new Date(nowMs + lengthMs)
  }
  if (input.expires_at === undefined) return null
  return parseFutureInstant(input.expires_at, '/expires_at', nowMs)
}

type Minted = {
  scopes: readonly string[]
  cidr_allowlist: readonly string[] | null
  rate_limit_rpm: number | null
  expires_at: Date | null
}

/** What an organization asks of a new key. Refusal: `key_policy_violation` naming the field. */
export function assertWithinKeyPolicy(key: Minted, policy: KeyPolicy, nowMs: number): void {
  const { allowed_scopes: allowed, max_key_ttl_days: maxDays, max_rate_limit_rpm: maxRpm } = policy
  if ((policy.require_expiry || maxDays !== null) && key.expires_at === null) {
    throw violation('expires_at', 'Keys of this organization must expire.')
  }
  if (maxDays !== null && key.expires_at !== null && key.expires_at.getTime() > nowMs + maxDays * DAY_MS) {
    throw violation('expires_at', `Keys of this organization live for at most ${maxDays} days.`)
  }
  if (policy.require_cidr && key.cidr_allowlist === null) {
    throw violation('cidr_allowlist', 'Keys of this organization must name the addresses they are used from.')
  }
  if (maxRpm !== null && key.rate_limit_rpm !== null && key.rate_limit_rpm > maxRpm) {
    throw violation('rate_limit_rpm', `Keys of this organization make at most ${maxRpm} requests a minute.`)
  }
  const outside = allowed === null ? [] : key.scopes.filter((scope) => !scopesImply(allowed, scope))
  if (outside.length > 0) throw violation('scopes', `Keys of this organization may not hold "${outside[0]}".`)
}

/** Refusal: `key_policy_violation`. */
export function assertGraceAllowed(graceSeconds: number, policy: KeyPolicy): void {
  const maxDays = policy.max_rotation_grace_days
  if (graceSeconds * 1_000 > maxDays * DAY_MS) {
    throw violation('grace_seconds', `Rotated keys of this organization work for at most ${maxDays} more days.`)
  }
}

function violation(field: string, message: string): VaultError {
  return new VaultError('key_policy_violation', { message, fields: { field } })
}
