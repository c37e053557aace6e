import type { ApiKeyNeeds } from '@alter-vault/contracts'
import type { Authenticator, Presented } from '../http/authenticators.ts'
import { bindFor } from '../http/bind-endpoint.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import { VaultError } from '../kernel/vault-error.ts'

/** Who makes an SDK call: a key, and the agent it acts as. Made by the keys slice from a verified signature. */
export type SdkCaller = {
  appId: string
  organizationId: string
  appEnvironment: string
  keyId: string
  keyPrefix: string
  keyName: string
  keyType: 'rk' | 'ak' | 'dk'
  /** The agent the call is made as: the key's own, or the one that `X-Alter-Caller` names. */
  agentId: string | null
  agentName: string | null
  /** True when an app key acts as the agent. */
  impersonated: boolean
  caller: string | null
  callerType: string | null
  actorId: string | null
  context: Readonly<Record<string, string>>
  clientIp: string
  userAgent: string | null
  traceId: string
  /** The scopes in force after attenuation. */
  scopes: readonly string[]
  /** The one-off rule as presented (`X-Alter-Request-Rule`), verified as part of the signature, not yet parsed. */
  requestRule: string | null
  /** The request's nonce: settled with the write that the call makes. */
  nonce: { ts: number; digest: Buffer }
  /** What every answer to this caller says in its headers: actor, rate, deprecated key (docs/spec/wire-protocol.md#refusals). */
  answerHeaders: Readonly<Record<string, string>>
  /** The versions that this authentication rests on. */
  fences: readonly ReadVersion[]
}

/** Binds an endpoint that SDK callers use. */
export const bindForCallers = bindFor<'api_key', SdkCaller>()

/** Lets in whom `identify` finds. Refuses agents with the endpoint's own code where it is not for them. */
export const callerAuthenticator =
  (identify: (presented: Presented, needs: ApiKeyNeeds) => Promise<SdkCaller>): Authenticator<ApiKeyNeeds, SdkCaller> =>
  async (presented, needs) => {
    const caller = await identify(presented, needs)
    const isAgent = caller.agentId !== null || caller.keyType === 'ak'
    if (needs.refusesAgents !== undefined && isAgent) throw new VaultError(needs.refusesAgents)
    return { principal: caller, answerHeaders: caller.answerHeaders }
  }
