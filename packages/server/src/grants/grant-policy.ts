import type { GrantRestrictions } from '@alter-vault/contracts'
import { parseInstant } from '../kernel/instant.ts'
import { type FieldError, invalidField, VaultError } from '../kernel/vault-error.ts'
import { checkGrantRestrictions } from '../policy/grant-restrictions.ts'
import type { Lifetime } from './grant.ts'

/** What a request says of a lifetime. Null takes a member off, which only a change can. */
type LifetimeWrite = { [member in keyof Lifetime]?: (member extends 'expires_at' ? string : number) | null }

const MAX_TTL_SECONDS = 31_536_000

/** The lifetime of a new grant: from now, as long as the default says, else the maximum. Refusal: `invalid_grant_policy`. */
export function newLifetime(write: LifetimeWrite, nowMs: number): Lifetime {
  const { max_ttl_seconds = null, default_ttl_seconds = null } = write
  assertTtls(max_ttl_seconds, default_ttl_seconds)
  const ends = [
    endAfter(max_ttl_seconds, nowMs),
    endAfter(default_ttl_seconds, nowMs),
    parseEnd(write.expires_at, nowMs),
  ]
  return { expires_at: earliest(ends), max_ttl_seconds, default_ttl_seconds }
}

/**
 * The lifetime after a change: members that were not written stay. An end that was written, or that a new maximum moves, is at
 * most that maximum away from now. Refusal: `invalid_grant_policy`.
 */
export function changedLifetime(present: Lifetime, write: LifetimeWrite, nowMs: number): Lifetime {
  const { max_ttl_seconds = present.max_ttl_seconds, default_ttl_seconds = present.default_ttl_seconds } = write
  assertTtls(max_ttl_seconds, default_ttl_seconds)
  const isBounded = write.expires_at !== undefined || max_ttl_seconds !== present.max_ttl_seconds
  const end = write.expires_at === undefined ? present.expires_at : parseEnd(write.expires_at, nowMs)
  const expires_at = isBounded ? earliest([end, endAfter(max_ttl_seconds, nowMs)]) : end
  return { expires_at, max_ttl_seconds, default_ttl_seconds }
}

/** Refusal: `invalid_grant_policy`, every fault with its place. */
export function assertRestrictions(restrictions: GrantRestrictions | null | undefined): void {
  if (restrictions === null || restrictions === undefined) return
  const faults = checkGrantRestrictions(restrictions)
  if (faults.length === 0) return
  throw invalidPolicy(faults.map((fault) => ({ ...fault, pointer: `/grant_policy/restrictions${fault.pointer}` })))
}

function assertTtls(maxTtlSeconds: number | null, defaultTtlSeconds: number | null): void {
  const errors: FieldError[] = []
  for (const [name, value] of [
    ['max_ttl_seconds', maxTtlSeconds],
    ['default_ttl_seconds', defaultTtlSeconds],
  ] as const) {
    if (value === null || value <= MAX_TTL_SECONDS) continue
    const message = `"${name}" is ${value}; at most ${MAX_TTL_SECONDS} seconds, one year.`
    errors.push({ pointer: `/grant_policy/${name}`, code: 'out_of_range', message })
  }
  if (maxTtlSeconds !== null && defaultTtlSeconds !== null && defaultTtlSeconds > maxTtlSeconds) {
    const message = `"default_ttl_seconds" is ${defaultTtlSeconds}, more than "max_ttl_seconds", ${maxTtlSeconds}.`
    errors.push({ pointer: '/grant_policy/default_ttl_seconds', code: 'out_of_range', message })
  }
  if (errors.length > 0) throw invalidPolicy(errors)
}

function parseEnd(text: string | null | undefined, nowMs: number): Date | null {
  if (text === null || text === undefined) return null
  const pointer = '/grant_policy/expires_at'
  const ms = parseInstant(text)
  if (ms === undefined) throw invalidField(pointer, '"expires_at" must be a time that exists, with a zone.')
  if (ms <= nowMs) {
    throw invalidPolicy([{ pointer, code: 'out_of_range', message: '"expires_at" must be in the future.' }])
  }
  return new Date(ms)
}

const endAfter = (seconds: number | null, nowMs: number): Date | null =>
  seconds === null ? null : new Date(nowMs + seconds * 1_000)

const earliest = (ends: readonly (Date | null)[]): Date | null =>
  ends.reduce((first, end) => (end !== null && (first === null || end < first) ? end : first), null)

function invalidPolicy(errors: FieldError[]): VaultError {
  return new VaultError('invalid_grant_policy', { message: errors[0]!.message, errors })
}
