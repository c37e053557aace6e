/** Calls that list, create and revoke grants. */
import {
  type CreateSecretGrantInput,
  type ListGrantsInput,
  listGrants as list,
  type RevokeGrantInput,
  revokeGrant as revoke,
} from './generated/calls.ts'
import { AlterValueError } from './generated/errors.ts'
import type { RevokeGrantResult, UnifiedGrantListResult } from './generated/models.ts'
import type { Session } from './session.ts'
import { isUuid } from './shape.ts'

/** Options of `listGrants`. */
export type ListGrantsOptions = Omit<ListGrantsInput, 'userToken'> & {
  /** Token of the user whose grants are meant. */
  endUserToken?: string
}

/** Options of `createManagedSecretGrant`. */
export type CreateManagedSecretGrantOptions = Omit<CreateSecretGrantInput, 'managedSecretId'>

/** Options of `revokeGrant`. */
export type RevokeGrantOptions = Pick<RevokeGrantInput, 'reason'>

/** One page of the grants that this key, agent or user may use. */
export async function listGrants(session: Session, options: ListGrantsOptions): Promise<UnifiedGrantListResult> {
  const { endUserToken, ...filter } = options
  const userToken = session.kind === 'app' ? await session.userToken(endUserToken) : endUserToken
  return session.invoke(list, { ...filter, userToken })
}

/** Ends a grant for good. */
export async function revokeGrant(
  session: Session,
  grantId: string,
  { reason }: RevokeGrantOptions,
): Promise<RevokeGrantResult> {
  if (!isUuid(grantId)) throw new AlterValueError('The grant id must be a UUID')
  return session.invoke(revoke, {
    grantId: grantId.toLowerCase(),
    reason,
    userToken: await session.userToken(undefined),
  })
}
