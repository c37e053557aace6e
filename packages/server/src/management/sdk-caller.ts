import type { ApiKeyNeeds } from '@alter-vault/contracts'
import type { Authenticator, Presented } from '../http/authenticators.ts'
import { bindFor } from '../http/bind-endpoint.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { PolicyContext } from '../policy/policy-context.ts'

/** The agent that a call is made as. */
export type CallerAgent = {
  agentId: string
  name: string
  type: 'agent' | 'service'
  scopes: Readonly<Record<string, readonly string[]>>
  scopesPending: Readonly<Record<string, readonly string[]>> | null
  scopesAppliesAtMs: number | null
}

/** Who asks for something: all that rules and audit rows see of them. */
export type Caller = {
  appId: string
  organizationId: string
  appEnvironment: string
  /** Null where nobody presented a key: in a simulation. */
  keyId: string | null
  keyPrefix: string | null
  keyName: string | null
  keyType: 'rk' | 'ak' | 'dk'
  /** The agent the call is made as: the key's own, or the one that `X-Alter-Caller` names. */
  agentId: string | null
  agent: CallerAgent | null
  /** The end user on whose behalf the call is made. */
  user: PolicyContext['user']
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
}

/** Who makes an SDK call that uses no credential. */
export type SdkCaller = Caller & {
  keyId: string
  keyPrefix: string
  /** What every answer to this caller says in its headers: actor, rate, deprecated key (docs/spec/wire-protocol.md#refusals). */
  answerHeaders: Readonly<Record<string, string>>
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
