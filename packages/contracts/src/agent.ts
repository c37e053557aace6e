import Type from 'typebox'
import { apiKey, operator } from './access.ts'
import { managementApi, sdkApi } from './api.ts'
import type { AuditEventName } from './audit-events.ts'
import { audited, noAudit, readsConfiguration } from './endpoint.ts'
import { KeyStatus } from './key.ts'
import { Author, ListOf, offsetQuery, PathId } from './list.ts'
import { JsonObject, Name, Nullable, ProviderId, ShownOnce, Timestamp, Uuid } from './primitives.ts'
import { ApprovalConfig, GrantRestrictions, IpAllowlistBody, TimeWindowBody, When } from './rule.ts'

export const AgentType = Type.Enum(['agent', 'service'])
export const AgentStatus = Type.Enum(['active', 'inactive', 'revoked'])

/** Provider id → provider scopes; `managed_secret_slugs` → slugs. Empty: the agent reaches nothing yet. */
export const AgentScopes = Type.Record(
  Type.String({ pattern: '^.{1,255}$' }),
  Type.Array(Type.String({ minLength: 1, maxLength: 512, pattern: '^\\S.*$' }), { minItems: 1, maxItems: 500 }),
)
export const AGENT_SCOPES_MAX_BYTES = 12_288
export const AGENT_METADATA_MAX_BYTES = 8_192

/** Rules of an agent, replaced as a whole. Each member becomes a read-only rule. */
export const AgentPolicy = Type.Object({
  requires_approval: Type.Optional(
    Type.Object({ ...ApprovalConfig.properties, when: Type.Optional(When) }, { additionalProperties: false }),
  ),
  ip_allowlist: Type.Optional(IpAllowlistBody),
  time_window: Type.Optional(TimeWindowBody),
  restrictions: Type.Optional(GrantRestrictions),
})

const ScopeMap = Type.Record(Type.String(), Type.Array(Type.String()), {
  title: 'AgentScopes',
  description: 'Provider id, or `managed_secret_slugs`, to scopes.',
})
const AsStored = Type.With(JsonObject, { default: {}, description: 'As stored: its keys are not translated.' })

const agent = {
  id: Uuid,
  name: Type.String({ minLength: 1 }),
  display_name: Nullable(Type.String()),
  type: AgentType,
  status: AgentStatus,
  scopes: Type.With(ScopeMap, { default: {} }),
  scopes_pending: Nullable(ScopeMap, { description: 'Scopes that will hold from `scopes_applies_at` on.' }),
  scopes_applies_at: Nullable(Timestamp),
  policy: AsStored,
  metadata: AsStored,
  rate_limit_per_minute: Nullable(Type.Integer()),
  version: Type.Integer({
    description: 'Counts changes; name it to change an agent nobody else changed meanwhile.',
  }),
  created_at: Timestamp,
  last_used_at: Nullable(Timestamp),
}

export const Agent = Type.Object({ ...agent, created_by: Type.Optional(Author) })

/** An agent as SDKs read it. This server never sends the last two members. */
const AgentInfo = Type.Object(
  {
    ...agent,
    parent_agent_id: Type.Optional(Nullable(Uuid)),
    stored_legacy_managed_secret_names: Type.Optional(Type.Array(Type.String(), { default: [] })),
  },
  { title: 'AgentInfo', description: 'A managed agent.' },
)

/** `api_key` is shown this once; null when an earlier creation is repeated under its idempotency key. */
export const CreatedAgent = Type.Object({ ...Agent.properties, api_key: ShownOnce(Type.String()), key_id: Uuid })

export const AgentKey = Type.Object({
  key_id: Uuid,
  key_prefix: Type.String(),
  name: Type.String(),
  status: KeyStatus,
  created_at: Timestamp,
  deprecated_at: Nullable(Timestamp),
  revoked_at: Nullable(Timestamp),
  last_used_at: Nullable(Timestamp),
})
export const MintedAgentKey = Type.Object({ ...AgentKey.properties, api_key: ShownOnce(Type.String()) })

export type AgentScopes = Type.Static<typeof AgentScopes>
export type AgentPolicy = Type.Static<typeof AgentPolicy>
export type Agent = Type.Static<typeof Agent>
export type CreatedAgent = Type.Static<typeof CreatedAgent>
export type AgentKey = Type.Static<typeof AgentKey>

const tag = 'agents'
const reads = { method: 'GET', tag, access: operator({ scope: 'agents:read' }), audit: readsConfiguration } as const
const write = operator({ scope: 'agents:write' })
const admin = operator({ scope: 'agents:admin' })
const inApp = Type.Object({ app_id: PathId })
const params = Type.Object({ app_id: PathId, agent_id: PathId })
const keyParams = Type.Object({ app_id: PathId, agent_id: PathId, key_id: PathId })
const DisplayName = Nullable(Type.String({ minLength: 1, maxLength: 100 }))
const RateLimit = Nullable(Type.Integer({ minimum: 1, maximum: 100_000 }))

export const listAgents = managementApi.defineEndpoint({
  ...reads,
  id: 'list_agents',
  path: '/api/v1/apps/:app_id/agents',
  summary: 'List agents',
  params: inApp,
  query: Type.Object({
    ...offsetQuery,
    status: Type.Optional(AgentStatus),
    type: Type.Optional(AgentType),
    provider: Type.Optional(ProviderId),
    search: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  }),
  success: ListOf(Agent),
})

export const createAgent = managementApi.defineEndpoint({
  id: 'create_agent',
  method: 'POST',
  path: '/api/v1/apps/:app_id/agents',
  repeatable: true,
  summary: 'Create an agent and its first key',
  tag,
  access: write,
  params: inApp,
  body: Type.Object({
    name: Type.String({ pattern: '^[a-z0-9][a-z0-9_-]{0,62}$' }),
    display_name: Type.Optional(DisplayName),
    type: Type.Optional(AgentType),
    scopes: Type.Optional(AgentScopes),
    metadata: Type.Optional(JsonObject),
    policy: Type.Optional(AgentPolicy),
    rate_limit_per_minute: Type.Optional(RateLimit),
  }),
  example: { name: 'support-bot', display_name: 'Support bot', scopes: { managed_secret_slugs: ['payments'] } },
  success: CreatedAgent,
  status: 201,
  errors: [
    'agent_name_exists',
    'cidr_too_wide',
    'conflict',
    'idempotency_key_agent_inactive',
    'idempotency_key_agent_revoked',
    'invalid_cidr',
    'invalid_rule_body',
  ],
  audit: audited('agent.created', 'key.minted'),
  versioned: true,
})

export const showAgent = managementApi.defineEndpoint({
  ...reads,
  id: 'show_agent',
  path: '/api/v1/apps/:app_id/agents/:agent_id',
  summary: 'Show an agent',
  params,
  success: Agent,
  versioned: true,
})

export const updateAgent = managementApi.defineEndpoint({
  id: 'update_agent',
  method: 'PATCH',
  path: '/api/v1/apps/:app_id/agents/:agent_id',
  summary: 'Change an agent; narrowing its scopes waits a grace',
  tag,
  access: write,
  params,
  body: Type.Partial(
    Type.Object({
      display_name: DisplayName,
      /** The whole desired map. */
      scopes: AgentScopes,
      metadata: JsonObject,
      /** Replaces the policy as a whole. */
      policy: AgentPolicy,
      rate_limit_per_minute: RateLimit,
      /** How long scopes that this change removes go on working; 24 hours when absent, 0 is now. */
      grace_seconds: Type.Integer({ minimum: 0, maximum: 604_800 }),
    }),
    { minProperties: 1 },
  ),
  example: { display_name: 'Support bot', rate_limit_per_minute: 60 },
  success: Agent,
  errors: [
    'cidr_too_wide',
    'conflict',
    'idempotency_key_agent_inactive',
    'idempotency_key_agent_revoked',
    'invalid_cidr',
    'invalid_rule_body',
  ],
  audit: audited('agent.updated'),
  versioned: true,
})

const move = <const I extends string, const V extends string>(
  id: I,
  verb: V,
  summary: string,
  access: typeof write | typeof admin,
  event: AuditEventName,
) =>
  managementApi.defineEndpoint({
    id,
    method: 'POST',
    path: `/api/v1/apps/:app_id/agents/:agent_id/${verb}`,
    repeatable: true,
    summary,
    tag,
    access,
    params,
    success: Agent,
    errors: ['conflict'],
    audit: audited(event),
    versioned: true,
  })

export const suspendAgent = move('suspend_agent', 'suspend', 'Stop an agent; reversible', write, 'agent.suspended')
export const resumeAgent = move('resume_agent', 'resume', 'Let a suspended agent work again', write, 'agent.resumed')
export const revokeAgent = move(
  'revoke_agent',
  'revoke',
  'End an agent for ever, with its keys, grants and waiting approvals',
  admin,
  'agent.revoked',
)

export const listAgentKeys = managementApi.defineEndpoint({
  ...reads,
  id: 'list_agent_keys',
  path: '/api/v1/apps/:app_id/agents/:agent_id/keys',
  summary: 'List the keys of an agent',
  params,
  success: Type.Object({ items: Type.Array(AgentKey), has_more: Type.Literal(false), next_cursor: Type.Null() }),
})

export const mintAgentKey = managementApi.defineEndpoint({
  id: 'mint_agent_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/agents/:agent_id/keys',
  repeatable: true,
  summary: 'Mint another key for an agent; it is shown once',
  tag,
  access: write,
  params,
  body: Type.Object({ name: Type.Optional(Name) }),
  example: { name: 'Second worker' },
  success: MintedAgentKey,
  status: 201,
  errors: ['agent_key_limit_reached', 'conflict'],
  audit: audited('key.minted'),
})

export const deprecateAgentKey = managementApi.defineEndpoint({
  id: 'deprecate_agent_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/agents/:agent_id/keys/:key_id/deprecate',
  repeatable: true,
  summary: 'Mark a key of an agent as deprecated',
  tag,
  access: write,
  params: keyParams,
  success: AgentKey,
  errors: ['key_revoked'],
  audit: audited('key.deprecated'),
})

export const undeprecateAgentKey = managementApi.defineEndpoint({
  id: 'undeprecate_agent_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/agents/:agent_id/keys/:key_id/undeprecate',
  repeatable: true,
  summary: 'Take the mark off a deprecated key of an agent',
  tag,
  access: write,
  params: keyParams,
  success: AgentKey,
  errors: ['key_revoked'],
  audit: audited('key.undeprecated'),
})

export const revokeAgentKey = managementApi.defineEndpoint({
  id: 'revoke_agent_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/agents/:agent_id/keys/:key_id/revoke',
  repeatable: true,
  summary: 'Revoke a key of an agent; the last live one needs force',
  tag,
  access: admin,
  params: keyParams,
  body: Type.Object({ force: Type.Optional(Type.Boolean()) }),
  example: { force: false },
  success: AgentKey,
  errors: ['last_active_key'],
  audit: audited('key.revoked'),
})

export const sdkShowOwnAgent = sdkApi.defineEndpoint({
  id: 'sdk_show_own_agent',
  method: 'GET',
  path: '/sdk/agents/me',
  summary: 'The agent that calls',
  tag: 'sdk',
  access: apiKey({ scopes: [], inactiveAgent: true }),
  success: AgentInfo,
  errors: ['agent_not_found', 'me_requires_agent_key'],
  audit: noAudit('an agent reads itself'),
})
