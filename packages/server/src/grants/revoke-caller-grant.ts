import type { Grant } from '@alter-vault/contracts'
import { VaultError } from '../kernel/vault-error.ts'
import { callerAuthor, type SdkCaller } from '../management/index.ts'
import type { GrantRevocation } from './revoke-grant.ts'
import { appOf, isAgent, refuseUserToken } from './sdk-caller.ts'

type Revoked = { success: true; message: string; grant_id: string; revoked_at: string }

/** Ends a grant of the app. Refusals: `app_key_required`, `grant_not_found`, `grant_revoked`, `jwt_validation_error`. */
export const revokeCallerGrant =
  ({ revokeGrant }: { revokeGrant: (input: GrantRevocation) => Promise<Grant> }) =>
  async (caller: SdkCaller, grantId: string, body: { reason?: string; user_token?: string }): Promise<Revoked> => {
    if (isAgent(caller)) throw new VaultError('app_key_required')
    refuseUserToken(body.user_token)
    const grant = await revokeGrant({
      app: appOf(caller),
      author: callerAuthor(caller),
      grantId,
      whenRevoked: 'refuse',
      reason: body.reason,
    })
    return { success: true, message: 'The grant was revoked.', grant_id: grant.id, revoked_at: grant.revoked_at! }
  }
