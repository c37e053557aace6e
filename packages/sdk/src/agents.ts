/** Managed agents, as the vault describes them. */
import {
  anyText,
  integer,
  jsonObject,
  oneOf,
  readFields,
  someText,
  textList,
  textListMap,
  timestamp,
  uuid,
} from './read-fields.ts'
import { type FromWire, type OnWire, toWire } from './wire-names.ts'

/** Provider id, or `managed_secret_slugs`, to scopes. */
export type AgentScopes = Readonly<Record<string, readonly string[]>>

/** A managed agent. */
export class AgentInfo {
  readonly id: string
  readonly name: string
  readonly displayName: string | null
  readonly type: 'agent' | 'service'
  readonly status: 'active' | 'inactive' | 'revoked'
  readonly scopes: AgentScopes
  /** Scopes that will hold from `scopesAppliesAt` on. */
  readonly scopesPending: AgentScopes | null
  readonly scopesAppliesAt: string | null
  /** As stored: its keys are not translated. */
  readonly policy: Readonly<Record<string, unknown>>
  readonly metadata: Readonly<Record<string, unknown>>
  readonly rateLimitPerMinute: number | null
  /** Counts changes; name it to change an agent nobody else changed meanwhile. */
  readonly version: number
  readonly createdAt: string
  readonly lastUsedAt: string | null
  readonly parentAgentId: string | null
  readonly storedLegacyManagedSecretNames: readonly string[]

  /** @throws {AlterValueError} naming the field that is not as promised. */
  constructor(fields: FromWire<AgentInfo>) {
    const read = readFields('an agent', fields)
    this.id = read.required('id', uuid)
    this.name = read.required('name', someText)
    this.displayName = read.optional('displayName', anyText)
    this.type = read.required('type', oneOf('agent', 'service'))
    this.status = read.required('status', oneOf('active', 'inactive', 'revoked'))
    this.scopes = read.optional('scopes', textListMap) ?? {}
    this.scopesPending = read.optional('scopesPending', textListMap)
    this.scopesAppliesAt = read.optional('scopesAppliesAt', timestamp)
    this.policy = read.optional('policy', jsonObject) ?? {}
    this.metadata = read.optional('metadata', jsonObject) ?? {}
    this.rateLimitPerMinute = read.optional('rateLimitPerMinute', integer)
    this.version = read.required('version', integer)
    this.createdAt = read.required('createdAt', timestamp)
    this.lastUsedAt = read.optional('lastUsedAt', timestamp)
    this.parentAgentId = read.optional('parentAgentId', uuid)
    this.storedLegacyManagedSecretNames = read.optional('storedLegacyManagedSecretNames', textList) ?? []
  }

  toJSON(): OnWire<AgentInfo> {
    return toWire(this) as OnWire<AgentInfo>
  }
}
