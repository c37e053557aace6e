import {
  type OperatorNeeds,
  type OperatorRole,
  parseKey,
  roleTokenScopes,
  TOKEN_SCOPE_PREFIX,
  tokenScopesInForce,
} from '@alter-vault/contracts'
import { appNotFound, findApp } from '../apps/index.ts'
import type { Database } from '../db/database.ts'
import type { Authenticator } from '../http/authenticators.ts'
import type { Clock } from '../kernel/clock.ts'
import { isUuid } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { admitOperator, type Operator, tokenSession } from '../management/index.ts'
import { createCallMeter } from './call-meter.ts'
import { findTokenRoute, findTokenWithMember, noteTokenUse } from './token-store.ts'

type Deps = {
  db: Pick<Database, 'forOrganization' | 'unscoped'>
  clock: Clock
  keyDigest: (plain: string) => Buffer
  /** Calls of one member in a minute; 600 when absent. */
  callsPerMinute?: number
}

const USE_NOTED_AFTER_MS = 60_000

/**
 * Makes an operator of a presented personal access token. Refusals: `authentication_required` for a missing or unknown token,
 * `token_expired`, `token_revoked` (also when its member left), `rate_limit_exceeded`, `role_insufficient` and
 * `insufficient_scope` for what it may not do, `not_found` for an app or organization outside its reach,
 * `interactive_session_required` where only a person may call.
 */
export function createPatAuthenticator({
  db,
  clock,
  keyDigest,
  callsPerMinute = 600,
}: Deps): Authenticator<OperatorNeeds, Operator> {
  const meter = createCallMeter(clock, callsPerMinute)
  return async (presented, access) => {
    const plain = bearerToken(presented.headers.authorization)
    const digest = keyDigest(plain)
    const route = await db.unscoped((tx) => findTokenRoute(tx, digest))
    if (route === undefined) throw unauthenticated('This token is not known.')
    const operator = await db.forOrganization(route.organizationId, async (tx) => {
      const token = await findTokenWithMember(tx, route.organizationId, route.patId)
      // Removing a member revokes their tokens at once.
      if (token === undefined || token.revoked_at !== null || token.removed_at !== null) {
        throw new VaultError('token_revoked', { message: 'This token was revoked.' })
      }
      const now = clock.now()
      if (token.expires_at.getTime() <= now)
        throw new VaultError('token_expired', { message: 'This token has expired.' })
      if (now - (token.last_used_at?.getTime() ?? 0) >= USE_NOTED_AFTER_MS) {
        await noteTokenUse(tx, route.organizationId, route.patId, new Date(now))
      }
      const made: Operator = {
        session: tokenSession,
        organizationId: route.organizationId,
        memberId: token.member_id,
        patId: token.pat_id,
        role: token.role,
        scopes: tokenScopesInForce(token.scopes, token.role),
        appIds: bothLimits(token.app_ids, token.member_app_ids),
        clientIp: presented.clientIp,
        userAgent: headerText(presented.headers['user-agent']),
      }
      if (access.scope !== null) assertScope(made, token.scopes, access.scope)
      const { app_id: appId, organization_id: organizationId } = presented.params
      if (organizationId !== undefined && organizationId !== made.organizationId) {
        throw new VaultError('not_found', { message: 'There is no organization with this id.' })
      }
      if (appId !== undefined) {
        const isInReach = isUuid(appId) && (made.appIds === null || made.appIds.includes(appId))
        const app = isInReach ? await findApp(tx, appId) : undefined
        if (app?.organization_id !== made.organizationId) throw appNotFound()
      }
      return made
    })
    meter.charge(operator.memberId)
    return admitOperator(operator, presented, access)
  }
}

/** RFC 6750, 2.1; the scheme's name is case-insensitive (RFC 9110, 11.1). */
function bearerToken(authorization: string | string[] | undefined): string {
  const match = typeof authorization === 'string' ? /^Bearer +([^\s,]+)$/i.exec(authorization.trim()) : null
  const plain = match?.[1]
  if (plain === undefined) throw unauthenticated('Send a personal access token as "Authorization: Bearer alter_pat_…".')
  const parsed = parseKey(plain)
  if (parsed?.form !== 'scoped' || parsed.type !== 'pat') throw unauthenticated('This is not a personal access token.')
  return plain
}

const unauthenticated = (message: string): VaultError => new VaultError('authentication_required', { message })

function assertScope(operator: Operator, tokenScopes: readonly string[], scope: string): void {
  if (operator.scopes.includes(scope)) return
  const role: OperatorRole = operator.role
  if (!roleTokenScopes[role].includes(scope)) {
    throw new VaultError('role_insufficient', { message: `The role "${role}" may not do this.` })
  }
  const required = `${TOKEN_SCOPE_PREFIX}${scope}`
  throw new VaultError('insufficient_scope', {
    message: `This token lacks the scope "${required}".`,
    hint: `Mint a token that holds "${required}".`,
    fields: {
      required: [required],
      granted: tokenScopes.map((granted) => `${TOKEN_SCOPE_PREFIX}${granted}`),
      missing: [required],
    },
  })
}

/** A token reaches the apps that both it and its member are limited to. */
function bothLimits(token: readonly string[] | null, member: readonly string[] | null): readonly string[] | null {
  if (token === null || member === null) return token ?? member
  return token.filter((appId) => member.includes(appId))
}

function headerText(value: string | string[] | undefined): string | null {
  return typeof value === 'string' ? value.slice(0, 255) : null
}
