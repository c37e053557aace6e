import type { AddressList } from '../kernel/ip-range.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import type { CallerAgent } from '../management/index.ts'

/** What authentication reads of a key, in one snapshot with the versions it rests on. Cached; never "not found". */
export type KeyFacts = {
  appId: string
  organizationId: string
  appEnvironment: string
  appStatus: 'live' | 'archived' | 'deleted'
  organizationRpm: number
  keyId: string
  keyPrefix: string
  keyName: string
  keyType: 'rk' | 'ak' | 'dk'
  scopes: readonly string[]
  /** Null: from anywhere. */
  addresses: AddressList | null
  rateLimitRpm: number
  expiresAtMs: number | null
  revoked: boolean
  deprecated: boolean
  /** Set once the key was rotated: it works until then. */
  graceUntilMs: number | null
  /** The agent that the key belongs to. */
  agent: AgentFacts | null
  /** `epoch`, `key:<id>` and, for an agent's key, `agent:<id>`. */
  versions: readonly ReadVersion[]
}

/** What a call made as an agent rests on. */
export type AgentFacts = CallerAgent & {
  status: 'active' | 'inactive' | 'revoked'
  rateLimitPerMinute: number | null
  /** `agent:<id>`. */
  version: ReadVersion
}

/** The scope map in force now: a change that is due applies by itself, not by a timer. */
export function agentScopesAt(agent: CallerAgent, nowMs: number): Readonly<Record<string, readonly string[]>> {
  const due = agent.scopesPending !== null && agent.scopesAppliesAtMs !== null && agent.scopesAppliesAtMs <= nowMs
  return due ? agent.scopesPending! : agent.scopes
}
