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
  /** What every answer to this caller says in its headers: actor, rate, deprecated key (wire.md 3.4, 3.5). */
  answerHeaders: Readonly<Record<string, string>>
}

/** Who makes a management call: a member through a personal access token. */
export type Operator = {
  kind: 'pat'
  organizationId: string
  memberId: string
  patId: string
  role: 'owner' | 'admin' | 'developer' | 'auditor' | 'approver'
  /** Scopes without the `dashboard_` prefix, cut by the member's role and closed under implication. */
  scopes: readonly string[]
  /** Null: all apps of the organization. */
  appIds: readonly string[] | null
  clientIp: string
  userAgent: string | null
}
