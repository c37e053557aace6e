import Type from 'typebox'
import { apiKey, operator } from './access.ts'
import { managementApi, sdkApi } from './api.ts'
import { audited, noAudit, readsConfiguration } from './endpoint.ts'
import { Author, ListOf, offsetQuery, PathId } from './list.ts'
import {
  JsonObject,
  Label,
  NeverAbsent,
  Nullable,
  NullWhenUnknown,
  ProviderId,
  Seconds,
  Timestamp,
  UserToken,
  Uuid,
} from './primitives.ts'
import { ApprovalConfig, GrantPolicyWrite, GrantRestrictions } from './rule.ts'

export const PrincipalType = Type.Enum(['user', 'group', 'system', 'agent'])
/** `expired` is derived from `expires_at`. */
export const GrantStatus = Type.Enum(['active', 'expired', 'revoked', 'deleted'])

export const GrantPolicyView = Type.Object({
  expires_at: Nullable(Timestamp),
  max_ttl_seconds: Nullable(Type.Integer()),
  default_ttl_seconds: Nullable(Type.Integer()),
  restrictions: Nullable(GrantRestrictions),
  requires_approval: Nullable(JsonObject),
})

export const Grant = Type.Object({
  id: Uuid,
  grant_kind: Type.Enum(['oauth', 'managed_secret']),
  status: GrantStatus,
  principal: Type.Object({ type: PrincipalType, id: Nullable(Uuid), name: Nullable(Type.String()) }),
  /** Provider id, or the slug of the managed secret. */
  provider_id: Type.String(),
  managed_secret_id: Nullable(Uuid),
  managed_secret_name: Nullable(Type.String()),
  credential_id: Uuid,
  credential_label: Nullable(Type.String()),
  label: Nullable(Type.String()),
  grant_policy: GrantPolicyView,
  revoked_at: Nullable(Timestamp),
  revoked_reason: Nullable(Type.String()),
  version: Type.Integer(),
  created_by: Author,
  created_at: Timestamp,
  last_used_at: Nullable(Timestamp),
})
export type Grant = Type.Static<typeof Grant>

/** What the end of a grant writes; an expired one ends when another takes its label. */
const endsGrant = ['grant.revoked', 'rule.deleted', 'approval.denied'] as const

const reads = {
  method: 'GET',
  tag: 'grants',
  access: operator({ scope: 'grants:read' }),
  audit: readsConfiguration,
} as const
const inApp = Type.Object({ app_id: PathId })
const ofSecret = Type.Object({ app_id: PathId, managed_secret_id: PathId })

export const listGrants = managementApi.defineEndpoint({
  ...reads,
  id: 'list_grants',
  path: '/api/v1/apps/:app_id/grants',
  summary: 'List grants',
  params: inApp,
  query: Type.Object({
    ...offsetQuery,
    status: Type.Optional(GrantStatus),
    provider: Type.Optional(ProviderId),
    principal_type: Type.Optional(PrincipalType),
    principal_id: Type.Optional(Uuid),
    app_user: Type.Optional(Uuid),
    agent_id: Type.Optional(Uuid),
    search: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
  }),
  success: ListOf(Grant),
})

export const showGrant = managementApi.defineEndpoint({
  ...reads,
  id: 'show_grant',
  path: '/api/v1/apps/:app_id/grants/:grant_id',
  summary: 'Show a grant',
  params: Type.Object({ app_id: PathId, grant_id: PathId }),
  success: Grant,
})

export const revokeGrant = managementApi.defineEndpoint({
  id: 'revoke_grant',
  method: 'POST',
  path: '/api/v1/apps/:app_id/grants/:grant_id/revoke',
  repeatable: true,
  summary: 'End a grant at once, with the requests that wait on it',
  tag: 'grants',
  access: operator({ scope: 'grants:admin' }),
  params: Type.Object({ app_id: PathId, grant_id: PathId }),
  body: Type.Object({ reason: Type.Optional(Type.String({ minLength: 1, maxLength: 2_000 })) }),
  example: { reason: 'The customer asked for it' },
  success: Grant,
  audit: audited(...endsGrant),
})

export const listSecretGrants = managementApi.defineEndpoint({
  id: 'list_secret_grants',
  method: 'GET',
  path: '/api/v1/apps/:app_id/managed-secrets/:managed_secret_id/grants',
  summary: 'List the grants of a managed secret',
  tag: 'managed-secrets',
  access: operator({ scope: 'secrets:read' }),
  params: ofSecret,
  query: Type.Object({ ...offsetQuery, status: Type.Optional(GrantStatus), agent_id: Type.Optional(Uuid) }),
  success: ListOf(Grant),
  audit: readsConfiguration,
})

export const createSecretGrant = managementApi.defineEndpoint({
  id: 'create_secret_grant',
  method: 'POST',
  path: '/api/v1/apps/:app_id/managed-secrets/:managed_secret_id/grants',
  repeatable: true,
  summary: 'Let a principal use a managed secret',
  tag: 'managed-secrets',
  access: operator({ scope: 'secrets:write' }),
  params: ofSecret,
  body: Type.Object({
    /** `id` for every type but `system`. */
    principal: Type.Object({ type: PrincipalType, id: Type.Optional(Uuid) }),
    label: Type.Optional(Nullable(Label)),
    credential_id: Type.Optional(Uuid),
    grant_policy: Type.Optional(GrantPolicyWrite),
  }),
  example: {
    principal: { type: 'system' },
    label: 'read only',
    grant_policy: { restrictions: { allowed_methods: ['GET'] } },
  },
  success: Grant,
  status: 201,
  errors: [
    'conflict',
    'credential_id_required',
    'end_user_credential_not_assignable',
    'group_grants_unsupported',
    'cidr_too_wide',
    'invalid_cidr',
    'invalid_grant_policy',
    'invalid_rule_body',
    'sibling_label_conflict',
  ],
  audit: audited('grant.created', 'rule.created', ...endsGrant),
})

export const updateSecretGrant = managementApi.defineEndpoint({
  id: 'update_secret_grant',
  method: 'PATCH',
  path: '/api/v1/apps/:app_id/managed-secrets/:managed_secret_id/grants/:grant_id',
  summary: 'Change the label or the policy of a grant; policy members set to null are taken off',
  tag: 'managed-secrets',
  access: operator({ scope: 'secrets:write' }),
  params: Type.Object({ app_id: PathId, managed_secret_id: PathId, grant_id: PathId }),
  body: Type.Partial(
    Type.Object({
      label: Nullable(Label),
      grant_policy: Type.Object({
        expires_at: Type.Optional(Nullable(Timestamp)),
        max_ttl_seconds: Type.Optional(Nullable(Seconds)),
        default_ttl_seconds: Type.Optional(Nullable(Seconds)),
        restrictions: Type.Optional(Nullable(GrantRestrictions)),
        requires_approval: Type.Optional(Nullable(ApprovalConfig)),
      }),
    }),
    { minProperties: 1 },
  ),
  example: { grant_policy: { restrictions: { allowed_methods: ['GET'] } } },
  success: Grant,
  errors: [
    'cidr_too_wide',
    'conflict',
    'grant_revoked',
    'invalid_cidr',
    'invalid_grant_policy',
    'invalid_rule_body',
    'sibling_label_conflict',
  ],
  audit: audited('grant.updated', 'rule.created', 'rule.updated', ...endsGrant),
})

/* Grants as SDKs read them: ids and times are texts of the vault's choosing. */
const Text = Type.String({ minLength: 1 })
const sdkGrant = {
  grant_id: Text,
  status: Type.With(Text, { description: 'Open set; `active`, `revoked` and `expired` are known.' }),
  created_at: Text,
  credential_id: Nullable(Type.String()),
  account_identifier: Nullable(Type.String()),
  label: Nullable(Type.String()),
  grant_policy: Nullable(JsonObject, { description: 'As stored: its keys are not translated.' }),
  expires_at: Nullable(Type.String(), { description: 'When the access token ends.' }),
  grant_expires_at: Nullable(Type.String(), { description: 'When the grant itself ends.' }),
  last_used_at: Nullable(Type.String()),
  delegated_at: Nullable(Type.String()),
  parent_grant_id: Nullable(Type.String()),
  depth: Type.Integer({ default: 0, description: 'How many hands it went through; 0 for the grant a user gave.' }),
  delegable: Type.Boolean({ default: false }),
  scope_constraint: Nullable(Type.Array(Type.String())),
}

/** No grant of this server is of this kind yet. */
const SdkOAuthGrant = Type.Object(
  {
    grant_kind: Type.Literal('oauth'),
    ...sdkGrant,
    provider_id: Text,
    principal_type: Type.Enum(['user', 'system', 'agent']),
    scopes: Type.Array(Type.String(), { default: [] }),
    account_display_name: Nullable(Type.String()),
    api_base_url: NullWhenUnknown(
      Type.String({
        pattern: '^https://[a-z0-9]([a-z0-9-]*[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$',
        maxLength: 270,
      }),
      { description: 'Where calls go, as a bare `https://host`; null when the provider has no single host.' },
    ),
    scope_mismatch: Type.Boolean({
      default: false,
      description: 'The connection lacks scopes that the app now asks for.',
    }),
    needs_reconnect: Type.Boolean({ default: false }),
    delegated_agent_ids: Type.Array(Type.String(), { default: [] }),
    access_via: Type.Enum(['ownership', 'oauth_delegation'], { default: 'ownership' }),
  },
  { title: 'OAuthGrantItem', description: 'A connection of a user, or of the app, to an OAuth provider.' },
)

export const SdkManagedSecretGrant = Type.Object(
  {
    grant_kind: Type.Literal('managed_secret'),
    ...sdkGrant,
    principal_type: PrincipalType,
    managed_secret_id: Text,
    managed_secret_slug: Type.String(),
    managed_secret_name: Type.String(),
    agent_id: Nullable(Type.String()),
    credential_kind: NullWhenUnknown(Type.Enum(['developer', 'end_user'])),
    credential_label: Nullable(Type.String()),
    access_via: Type.Enum(['ownership', 'ms_delegation'], { default: 'ownership' }),
  },
  { title: 'ManagedSecretGrantItem', description: 'Access to a secret that an operator keeps in the vault.' },
)

export const sdkListGrants = sdkApi.defineEndpoint({
  id: 'sdk_list_grants',
  method: 'POST',
  path: '/sdk/grants/list',
  summary: 'List the grants that the caller reaches',
  tag: 'sdk',
  access: apiKey({ scopes: ['grants:read'], instances: true }),
  body: Type.Object({
    limit: Type.Optional(
      Type.Integer({ minimum: 1, maximum: 1_000, default: 100, description: 'Items per page; 100 unless said.' }),
    ),
    offset: Type.Optional(Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, default: 0 })),
    provider_id: Type.Optional(ProviderId),
    status: Type.Optional(
      Type.String({ minLength: 1, maxLength: 40, description: 'For example `active`, `revoked`, `expired`.' }),
    ),
    account: Type.Optional(Type.String({ minLength: 1, maxLength: 320 })),
    label: Type.Optional(Label),
    user_token: Type.Optional(UserToken),
  }),
  example: { limit: 100, offset: 0 },
  success: Type.Object(
    {
      grants: Type.Array(
        Type.Union([SdkOAuthGrant, SdkManagedSecretGrant], {
          title: 'GrantItem',
          description: 'Either kind; branch on `grant_kind`.',
        }),
      ),
      total: Type.Integer({ description: 'Of all pages.' }),
      limit: Type.Integer(),
      offset: Type.Integer(),
      has_more: Type.Boolean(),
    },
    { title: 'UnifiedGrantListResult', description: 'One page of grants.' },
  ),
  errors: ['jwt_validation_error'],
  audit: noAudit('lists what the caller may use; opens no credential'),
})

export const sdkCreateSecretGrant = sdkApi.defineEndpoint({
  id: 'sdk_create_secret_grant',
  method: 'POST',
  path: '/sdk/managed-secrets/:managed_secret_id/grants',
  summary: 'Let a principal use a managed secret',
  tag: 'sdk',
  access: apiKey({ scopes: ['secrets:write'] }),
  params: Type.Object({ managed_secret_id: PathId }),
  body: Type.Object({
    principal: Type.Union(
      [
        Type.Object(
          { type: Type.Literal('user'), user_token: UserToken, label: Label },
          { title: 'UserPrincipal', description: "A user, identified by a token of the app's identity provider." },
        ),
        Type.Object(
          {
            type: Type.Literal('group'),
            external_group_id: Type.String({ minLength: 1, maxLength: 255 }),
            idp_id: Type.String({ minLength: 1, maxLength: 255 }),
            label: Label,
          },
          { title: 'GroupPrincipal', description: "A group of the app's identity provider." },
        ),
        Type.Object(
          { type: Type.Literal('system'), label: Type.Optional(Type.With(Label, { default: null })) },
          { title: 'SystemPrincipal', description: 'The app itself.' },
        ),
        Type.Object(
          { type: Type.Literal('agent'), label: Type.Optional(Type.With(Label, { default: null })) },
          {
            title: 'AgentPrincipal',
            description: 'The agent that the call acts as, which `X-Alter-Caller` names.',
          },
        ),
      ],
      { title: 'Principal', description: 'Who a managed-secret grant is for.' },
    ),
    grant_policy: Type.Optional(
      Type.Object(
        {
          expires_at: Type.Optional(Timestamp),
          max_ttl_seconds: Type.Optional(Seconds),
          default_ttl_seconds: Type.Optional(Seconds),
        },
        {
          title: 'GrantPolicyInput',
          description: 'Limits of a new grant, in seconds or as an ISO 8601 time.',
          default: {},
        },
      ),
    ),
    credential_id: Type.Optional(
      Type.With(Uuid, { description: 'Which credential of the secret, when it holds several.' }),
    ),
  }),
  example: { principal: { type: 'system', label: 'nightly report' }, grant_policy: {} },
  success: Type.Object(
    {
      grant_id: Text,
      principal_type: Text,
      label: NeverAbsent(Type.String()),
      created_at: Text,
      credential_id: Nullable(Type.String()),
    },
    { title: 'CreateGrantResult', description: 'A grant that was made.' },
  ),
  errors: [
    'agent_principal_requires_agent',
    'app_key_required',
    'credential_id_required',
    'credential_not_found',
    'end_user_credential_not_assignable',
    'group_grants_unsupported',
    'invalid_grant_policy',
    'jwt_validation_error',
    'managed_secret_not_found',
    'sibling_label_conflict',
  ],
  audit: audited('grant.created', ...endsGrant),
})

export const sdkRevokeGrant = sdkApi.defineEndpoint({
  id: 'sdk_revoke_grant',
  method: 'POST',
  path: '/sdk/oauth/grants/:grant_id/revoke',
  summary: 'End a grant at once',
  tag: 'sdk',
  access: apiKey({ scopes: ['grants:write'], refusesAgents: 'app_key_required' }),
  params: Type.Object({ grant_id: PathId }),
  body: Type.Object({
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 2_000, description: 'For the audit log.' })),
    user_token: Type.Optional(UserToken),
  }),
  example: { reason: 'The customer asked for it' },
  success: Type.Object(
    { success: Type.Boolean(), message: Text, grant_id: Text, revoked_at: Text },
    { title: 'RevokeGrantResult', description: 'A grant that was ended.' },
  ),
  errors: ['grant_not_found', 'grant_revoked', 'jwt_validation_error'],
  audit: audited(...endsGrant),
})
