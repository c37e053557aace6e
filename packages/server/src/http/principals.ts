import type { ReadVersion } from '../kernel/read-version.ts'

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
