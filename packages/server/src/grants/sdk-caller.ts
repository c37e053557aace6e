import type { AppRef, SdkCaller } from '../management/index.ts'
import { userTokenRefused } from './principals.ts'

/* What the SDK's calls about grants ask of their caller (docs/spec/wire-protocol.md#life-of-a-grant). */

export const appOf = ({ appId, organizationId }: SdkCaller): AppRef => ({ appId, organizationId })

/** A key of agent type, or one that acts as an agent. */
export const isAgent = (caller: SdkCaller): boolean => caller.agentId !== null || caller.keyType === 'ak'

/** No app has an identity provider that could vouch for a user. */
export function refuseUserToken(token: string | undefined): void {
  if (token !== undefined) throw userTokenRefused('Nothing was done.')
}
