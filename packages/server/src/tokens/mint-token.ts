import { randomBytes } from 'node:crypto'
import {
  formatKey,
  KEY_RANDOM_LENGTH,
  keyPrefixOf,
  keyRandomFrom,
  parseTokenScope,
  roleTokenScopes,
} from '@alter-vault/contracts'
import { type AuditLog, organizationScope } from '../audit/index.ts'
import { Secret } from '../crypto/secret.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { invalidField, VaultError } from '../kernel/vault-error.ts'
import { type ChangeAuthor, changeRow, changesBetween } from '../management/index.ts'
import { findMember } from '../members/index.ts'
import { lockOrganization, organizationSettings } from '../organizations/index.ts'
import { countLiveTokens, insertToken, markTokenRevoked } from './token-store.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; keyDigest: (plain: string) => Buffer }

export const MAX_LIVE_TOKENS_PER_MEMBER = 25
const DEFAULT_LIFETIME_DAYS = 90
const DAY_MS = 86_400_000

export type NewToken = {
  author: ChangeAuthor
  organizationId: string
  memberId: string
  name: string
  /** With their prefix, as on the wire: `dashboard_keys:write`. */
  scopes: readonly string[]
  appIds?: readonly string[] | null
  expiresInDays?: number
}

export type MintedToken = {
  id: string
  /** Shown once. */
  token: Secret
  tokenPrefix: string
  expiresAt: Date
}

/**
 * Mints a member's token. Refusals: `not_found` for the member, `invalid_scope`, `role_insufficient` for a role without
 * tokens, `conflict` at 25 live ones, `key_policy_violation` for a life longer than the organization allows.
 */
export const mintPersonalAccessToken =
  ({ audit, clock, keyDigest }: Deps) =>
  async (input: NewToken): Promise<MintedToken> => {
    const { organizationId, memberId, author, name } = input
    const scopes = parseScopes(input.scopes)
    const lifetimeDays = input.expiresInDays ?? DEFAULT_LIFETIME_DAYS
    const token = new Secret(formatKey('pat', keyRandomFrom(randomBytes(KEY_RANDOM_LENGTH))))
    return audit.change(organizationScope(organizationId), async (tx, record) => {
      const organization = await lockOrganization(tx, organizationId)
      const member = await findMember(tx, organizationId, memberId)
      if (member === undefined) throw new VaultError('not_found', { message: 'There is no member with this id.' })
      if (roleTokenScopes[member.role].length === 0) {
        throw new VaultError('role_insufficient', { message: `A member with the role "${member.role}" has no tokens.` })
      }
      const { max_pat_ttl_days: maxDays } = organizationSettings(organization.settings).key_policy
      if (!Number.isInteger(lifetimeDays) || lifetimeDays < 1 || lifetimeDays > maxDays) {
        throw new VaultError('key_policy_violation', {
          message: `"expires_in" must be from 1 to ${maxDays} days in this organization.`,
          fields: { field: 'expires_in' },
        })
      }
      const createdAt = new Date(clock.now())
      if ((await countLiveTokens(tx, organizationId, memberId, createdAt)) >= MAX_LIVE_TOKENS_PER_MEMBER) {
        throw new VaultError('conflict', { message: `A member has at most ${MAX_LIVE_TOKENS_PER_MEMBER} live tokens.` })
      }
      const id = newId(clock.now())
      const tokenPrefix = keyPrefixOf(token.reveal())
      const expiresAt = new Date(clock.now() + lifetimeDays * DAY_MS)
      await insertToken(tx, {
        organization_id: organizationId,
        pat_id: id,
        member_id: memberId,
        name,
        token_prefix: tokenPrefix,
        digest: keyDigest(token.reveal()),
        scopes,
        app_ids: input.appIds == null ? null : [...input.appIds],
        expires_at: expiresAt,
        created_at: createdAt,
      })
      const changes = changesBetween({}, { name, scopes, app_ids: input.appIds ?? null, expires_at: expiresAt })
      record(changeRow(author, { event: 'pat.minted', type: 'pat', id, changes }))
      return { id, token, tokenPrefix, expiresAt }
    })
  }

/** Ends a token at once. Revoking twice changes nothing. */
export const revokePersonalAccessToken =
  ({ audit, clock }: Pick<Deps, 'audit' | 'clock'>) =>
  async ({
    organizationId,
    patId,
    author,
  }: {
    organizationId: string
    patId: string
    author: ChangeAuthor
  }): Promise<void> =>
    audit.change(organizationScope(organizationId), async (tx, record) => {
      const revoked = await markTokenRevoked(tx, organizationId, patId, new Date(clock.now()))
      if (revoked) record(changeRow(author, { event: 'pat.revoked', type: 'pat', id: patId }))
    })

function parseScopes(texts: readonly string[]): string[] {
  if (texts.length === 0) throw invalidField('/scopes', '"scopes" must name at least one scope.', 'too_few')
  const scopes = new Set<string>()
  const unknown: string[] = []
  for (const text of texts) {
    const scope = parseTokenScope(text)
    if (scope === undefined) unknown.push(text.slice(0, 80))
    else scopes.add(scope)
  }
  if (unknown.length > 0) {
    const message = `"${unknown[0]}" is not a token scope.`
    throw new VaultError('invalid_scope', { message, fields: { invalid: unknown } })
  }
  return [...scopes]
}
