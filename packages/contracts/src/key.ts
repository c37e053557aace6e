import Type from 'typebox'
import { apiKey, everybody, operator } from './access.ts'
import { managementApi, sdkApi } from './api.ts'
import { audited, noAudit, readsConfiguration } from './endpoint.ts'
import { Author, ListOf, offsetQuery, PathId } from './list.ts'
import { JsonObject, Name, Nullable, ShownOnce, Timestamp, Uuid } from './primitives.ts'

export const KeyStatus = Type.Enum(['active', 'deprecated', 'rotated_in_grace', 'expired', 'revoked'])

/** A key without its secret. */
export const Key = Type.Object({
  id: Uuid,
  name: Type.String(),
  key_prefix: Type.String(),
  key_type: Type.Enum(['rk', 'ak', 'dk']),
  status: KeyStatus,
  scopes: Type.Array(Type.String()),
  scope_version: Type.Integer(),
  /** The managed agent that the key is bound to. */
  agent_id: Nullable(Uuid),
  cidr_allowlist: Nullable(Type.Array(Type.String())),
  rate_limit_rpm: Nullable(Type.Integer()),
  effective_rate_limit_rpm: Type.Integer(),
  rate_limit_source: Type.Enum(['key', 'organization', 'platform_default']),
  expires_at: Nullable(Timestamp),
  deprecated_at: Nullable(Timestamp),
  revoked_at: Nullable(Timestamp),
  rotated_to: Nullable(Uuid),
  grace_until: Nullable(Timestamp),
  parent_key_id: Nullable(Uuid),
  metadata: JsonObject,
  created_at: Timestamp,
  created_by: Author,
  last_used_at: Nullable(Timestamp),
})
/** `api_key` is the key itself, shown this once; null when an earlier answer is repeated. */
export const MintedKey = Type.Object({ ...Key.properties, api_key: ShownOnce(Type.String()) })

export const KeyStatistics = Type.Object({
  /** Keys that count towards `max_allowed`: live, neither derived, nor in rotation grace, nor of a managed agent. */
  active: Type.Integer(),
  rotated_in_grace: Type.Integer(),
  total: Type.Integer(),
  max_allowed: Type.Integer(),
})

export type Key = Type.Static<typeof Key>
export type MintedKey = Type.Static<typeof MintedKey>

/** 1–50 CIDRs, host bits zero, `/0` refused. */
export const CidrAllowlist = Type.Array(Type.String({ maxLength: 64 }), {
  minItems: 1,
  maxItems: 50,
  uniqueItems: true,
})
export const RateLimitRpm = Type.Integer({ minimum: 1, maximum: 100_000 })
export const KeyScopes = Type.Array(Type.String({ maxLength: 200 }), { minItems: 1, maxItems: 100 })
/** `30d`, `12h`, `5m`. */
export const KeyLifetime = Type.String({ pattern: '^[1-9][0-9]{0,5}[dhm]$' })
/** The longest rotation grace, in seconds: 30 days. */
export const MAX_ROTATION_GRACE_SECONDS = 2_592_000

const tag = 'keys'
const reads = { method: 'GET', tag, access: operator({ scope: 'keys:read' }), audit: readsConfiguration } as const
const write = operator({ scope: 'keys:write' })
const inApp = Type.Object({ app_id: PathId })
const params = Type.Object({ app_id: PathId, key_id: PathId })

export const listKeys = managementApi.defineEndpoint({
  ...reads,
  id: 'list_keys',
  path: '/api/v1/apps/:app_id/keys',
  summary: 'List keys',
  params: inApp,
  query: Type.Object({
    ...offsetQuery,
    status: Type.Optional(KeyStatus),
    agent_id: Type.Optional(Uuid),
    parent_key_id: Type.Optional(Uuid),
  }),
  success: ListOf(Key),
})

export const showKeyStatistics = managementApi.defineEndpoint({
  ...reads,
  id: 'show_key_statistics',
  path: '/api/v1/apps/:app_id/keys/statistics',
  summary: 'Count keys',
  params: inApp,
  success: KeyStatistics,
})

export const mintKey = managementApi.defineEndpoint({
  id: 'mint_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/keys',
  repeatable: true,
  summary: 'Mint a key; it is shown once',
  tag,
  access: write,
  params: inApp,
  body: Type.Object({
    name: Name,
    scopes: KeyScopes,
    key_type: Type.Optional(Type.Enum(['runtime', 'agent'])),
    cidr_allowlist: Type.Optional(Nullable(CidrAllowlist)),
    rate_limit_rpm: Type.Optional(Nullable(RateLimitRpm)),
    expires_in: Type.Optional(KeyLifetime),
    expires_at: Type.Optional(Timestamp),
    metadata: Type.Optional(JsonObject),
  }),
  example: { name: 'Backend', scopes: ['proxy:execute', 'approvals:read'], expires_in: '30d' },
  success: MintedKey,
  status: 201,
  errors: ['cidr_too_wide', 'invalid_cidr', 'invalid_scope', 'key_limit_reached', 'key_policy_violation'],
  audit: audited('key.minted'),
})

export const showKey = managementApi.defineEndpoint({
  ...reads,
  id: 'show_key',
  path: '/api/v1/apps/:app_id/keys/:key_id',
  summary: 'Show a key without its secret',
  params,
  success: Key,
})

export const updateKey = managementApi.defineEndpoint({
  id: 'update_key',
  method: 'PATCH',
  path: '/api/v1/apps/:app_id/keys/:key_id',
  summary: 'Rename a key or replace its metadata',
  tag,
  access: write,
  params,
  body: Type.Partial(Type.Object({ name: Name, metadata: JsonObject }), { minProperties: 1 }),
  example: { name: 'Backend, Frankfurt' },
  success: Key,
  audit: audited('key.updated'),
})

export const rotateKey = managementApi.defineEndpoint({
  id: 'rotate_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/keys/:key_id/rotate',
  repeatable: true,
  summary: 'Mint the successor of a key; the old one works until its grace ends',
  tag,
  access: write,
  params,
  body: Type.Object({
    /** The same scopes, or a subset of what they imply. */
    scopes: Type.Optional(KeyScopes),
    /** 24 hours when absent. */
    grace_seconds: Type.Optional(Type.Integer({ minimum: 0, maximum: MAX_ROTATION_GRACE_SECONDS })),
  }),
  example: { grace_seconds: 86_400 },
  success: MintedKey,
  status: 201,
  errors: [
    'constraint_not_narrowing',
    'derived_key_not_rotatable',
    'invalid_scope',
    'key_policy_violation',
    'key_revoked',
  ],
  audit: audited('key.rotated'),
})

export const deprecateKey = managementApi.defineEndpoint({
  id: 'deprecate_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/keys/:key_id/deprecate',
  repeatable: true,
  summary: 'Mark a key as deprecated; it goes on working',
  tag,
  access: write,
  params,
  success: Key,
  errors: ['key_revoked'],
  audit: audited('key.deprecated'),
})

export const undeprecateKey = managementApi.defineEndpoint({
  id: 'undeprecate_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/keys/:key_id/undeprecate',
  repeatable: true,
  summary: 'Take the mark off a deprecated key',
  tag,
  access: write,
  params,
  success: Key,
  errors: ['key_revoked'],
  audit: audited('key.undeprecated'),
})

export const revokeKey = managementApi.defineEndpoint({
  id: 'revoke_key',
  method: 'POST',
  path: '/api/v1/apps/:app_id/keys/:key_id/revoke',
  repeatable: true,
  summary: 'Revoke a key and all keys derived from it, for ever and at once',
  tag,
  access: operator({ scope: 'keys:admin' }),
  params,
  body: Type.Object({ force: Type.Optional(Type.Boolean()) }),
  example: { force: true },
  success: Key,
  errors: ['last_active_key'],
  audit: audited('key.revoked'),
})

const ScopeResource = Type.Object(
  { verbs: Type.Array(Type.String()) },
  { title: 'ScopeResource', description: 'What can be done with one resource.' },
)
const ScopeCatalog = Type.Object(
  {
    scope_version: Type.Integer(),
    resources: Type.Record(Type.String(), ScopeResource),
    action_verbs: Type.Array(Type.String(), { description: 'Verbs that change something or use a credential.' }),
    deprecated: Type.Array(Type.String(), {
      description: 'Scopes that are still accepted and should no longer be given.',
      default: [],
    }),
  },
  { title: 'ScopeCatalog', description: 'The scopes that API keys can hold. A scope is written `resource:verb`.' },
)

export const listScopes = managementApi.defineEndpoint({
  id: 'list_scopes',
  method: 'GET',
  path: '/api/v1/catalog/scopes',
  summary: 'The scopes that a key can hold',
  tag: 'catalog',
  access: everybody(),
  success: ScopeCatalog,
  audit: noAudit('a static catalog'),
})

export const sdkListScopes = sdkApi.defineEndpoint({
  id: 'sdk_list_scopes',
  method: 'GET',
  path: '/sdk/scopes',
  summary: 'The scopes that a key can hold',
  tag: 'sdk',
  access: apiKey({ scopes: [] }),
  success: ScopeCatalog,
  audit: noAudit('a static catalog'),
})
