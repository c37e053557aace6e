import * as contract from '@alter-vault/contracts'
import type { AuditLog } from '../audit/index.ts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import type { Clock } from '../kernel/clock.ts'
import { refuseTokens } from '../management/index.ts'
import { mintPersonalAccessToken, revokePersonalAccessToken } from './mint-token.ts'

export { createPatAuthenticator } from './authenticate-operator.ts'
export type { MintedToken, NewToken } from './mint-token.ts'

export type Tokens = ReturnType<typeof createTokens>

/** Personal access tokens of members. */
export function createTokens(deps: {
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  keyDigest: (plain: string) => Buffer
}) {
  return {
    mintPersonalAccessToken: mintPersonalAccessToken(deps),
    revokePersonalAccessToken: revokePersonalAccessToken(deps),
  }
}

/** What of a member's own tokens no token may touch. */
export function createTokenRoutes(): BoundEndpoint[] {
  return [contract.listTokens, contract.mintToken, contract.revokeToken].map(refuseTokens)
}
