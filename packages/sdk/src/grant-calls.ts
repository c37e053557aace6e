/** Calls that list, create and revoke grants. */
import { AlterValueError } from './errors.ts'
import {
  CreateGrantResult,
  type GrantPolicyInput,
  type Principal,
  RevokeGrantResult,
  UnifiedGrantListResult,
} from './grants.ts'
import { isUuid } from './read-fields.ts'
import { readAnswer, type Session } from './session.ts'
import { encodeStrictly } from './signing.ts'
import { type FromWire, toWire } from './wire-names.ts'

/** Options of `listGrants`. */
export type ListGrantsOptions = {
  providerId?: string
  /** For example `active`, `revoked`, `expired`. */
  status?: string
  account?: string
  label?: string
  /** Token of the user whose grants are meant. */
  endUserToken?: string
  /** Items per page, 1 to 1,000; 100 unless said. */
  limit?: number
  offset?: number
}

/** Options of `createManagedSecretGrant`. */
export type CreateManagedSecretGrantOptions = {
  principal: Principal
  grantPolicy?: GrantPolicyInput
  /** Which credential of the secret, when it holds several. */
  credentialId?: string
}

/** Options of `revokeGrant`. */
export type RevokeGrantOptions = {
  /** For the audit log. */
  reason?: string
}

const MAX_PAGE = 1_000
const MAX_TEXT = 255
const MAX_USER_TOKEN = 8_192

/** One page of the grants that this key, agent or user may use. */
export async function listGrants(session: Session, options: ListGrantsOptions): Promise<UnifiedGrantListResult> {
  const { providerId, status, account, label, endUserToken, limit = 100, offset = 0 } = options
  if (!Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE) {
    throw new AlterValueError(`"limit" must be an integer from 1 to ${MAX_PAGE}`)
  }
  if (!Number.isInteger(offset) || offset < 0) throw new AlterValueError('"offset" must be an integer of at least 0')
  const userToken = session.kind === 'app' ? await session.userToken(endUserToken) : endUserToken
  const answer = await session.call({
    method: 'POST',
    path: '/sdk/grants/list',
    body: toWire({ limit, offset, providerId, status, account, label, userToken }),
  })
  return readAnswer(answer, (body) => new UnifiedGrantListResult(body as FromWire<UnifiedGrantListResult>))
}

/** Gives a principal access to a managed secret. */
export async function createManagedSecretGrant(
  session: Session,
  managedSecretId: string,
  { principal, grantPolicy = {}, credentialId }: CreateManagedSecretGrantOptions,
): Promise<CreateGrantResult> {
  if (typeof managedSecretId !== 'string' || managedSecretId === '') {
    throw new AlterValueError('The id of the managed secret must be a non-empty string')
  }
  const answer = await session.call({
    method: 'POST',
    path: `/sdk/managed-secrets/${encodeStrictly(managedSecretId)}/grants`,
    body: toWire({ principal: writePrincipal(principal), grantPolicy: writeGrantPolicy(grantPolicy), credentialId }),
  })
  return readAnswer(answer, (body) => new CreateGrantResult(body as FromWire<CreateGrantResult>))
}

/** Ends a grant for good. */
export async function revokeGrant(
  session: Session,
  grantId: string,
  { reason }: RevokeGrantOptions,
): Promise<RevokeGrantResult> {
  if (!isUuid(grantId)) throw new AlterValueError('The grant id must be a UUID')
  const answer = await session.call({
    method: 'POST',
    path: `/sdk/oauth/grants/${grantId.toLowerCase()}/revoke`,
    body: toWire({ reason, userToken: await session.userToken(undefined) }),
  })
  return readAnswer(answer, (body) => new RevokeGrantResult(body as FromWire<RevokeGrantResult>))
}

function writePrincipal(principal: Principal): Record<string, unknown> {
  switch (principal.type) {
    case 'user':
      assertText('userToken', principal.userToken, MAX_USER_TOKEN)
      assertText('label', principal.label, MAX_TEXT)
      return toWire({ type: 'user', userToken: principal.userToken, label: principal.label })
    case 'group':
      assertText('externalGroupId', principal.externalGroupId, MAX_TEXT)
      assertText('idpId', principal.idpId, MAX_TEXT)
      assertText('label', principal.label, MAX_TEXT)
      return toWire({
        type: 'group',
        externalGroupId: principal.externalGroupId,
        idpId: principal.idpId,
        label: principal.label,
      })
    case 'system':
    case 'agent':
      if (principal.label !== undefined) assertText('label', principal.label, MAX_TEXT)
      return toWire({ type: principal.type, label: principal.label ?? null })
    default:
      throw new AlterValueError('The type of a principal is "user", "group", "system" or "agent"')
  }
}

function writeGrantPolicy(policy: GrantPolicyInput): Record<string, unknown> {
  const { expiresAt, maxTtlSeconds, defaultTtlSeconds, ...rest } = policy
  const [unknown] = Object.keys(rest)
  if (unknown !== undefined) throw new AlterValueError(`A grant policy has no "${unknown}"`)
  for (const [name, value] of Object.entries({ maxTtlSeconds, defaultTtlSeconds })) {
    if (value !== undefined && (!Number.isInteger(value) || value <= 0)) {
      throw new AlterValueError(`"${name}" must be a positive integer of seconds`)
    }
  }
  return toWire({ expiresAt, maxTtlSeconds, defaultTtlSeconds })
}

function assertText(name: string, value: unknown, maxLength: number): void {
  if (typeof value !== 'string' || value === '' || value.length > maxLength) {
    throw new AlterValueError(`"${name}" of a principal must have 1 to ${maxLength} characters`)
  }
}
