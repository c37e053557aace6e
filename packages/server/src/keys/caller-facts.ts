import { BlockList, isIP } from 'node:net'
import type { CallerAgent } from '../http/principals.ts'
import type { ReadVersion } from '../kernel/read-version.ts'

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

/** A set of CIDR blocks. An address that cannot be read is in none. */
export type AddressList = { contains(address: string): boolean }

/** `cidrs` were checked when they were stored. IPv4-mapped addresses are compared as IPv4. */
export function createAddressList(cidrs: readonly string[]): AddressList {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [address = '', prefix] = cidr.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    list.addSubnet(address, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family)
  }
  return {
    contains(address) {
      const family = isIP(address)
      return family !== 0 && list.check(address, family === 6 ? 'ipv6' : 'ipv4')
    },
  }
}
