import Type from 'typebox'
import { apiKey, operator } from './access.ts'
import { managementApi, sdkApi } from './api.ts'
import { audited, noAudit, readsConfiguration } from './endpoint.ts'
import { Author, ListOf, offsetQuery, PathId } from './list.ts'
import { JsonObject, Label, Nullable, ProviderId, Timestamp, UserToken, Uuid } from './primitives.ts'
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
        max_ttl_seconds: Type.Optional(Nullable(Type.Integer({ minimum: 1 }))),
        default_ttl_seconds: Type.Optional(Nullable(Type.Integer({ minimum: 1 }))),
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

/** A grant of a managed secret as the SDK reads it. */
export const SdkManagedSecretGrant = Type.Object({
  grant_kind: Type.Literal('managed_secret'),
  grant_id: Uuid,
  status: Type.String(),
  principal_type: PrincipalType,
  managed_secret_id: Uuid,
  managed_secret_slug: Type.String(),
  managed_secret_name: Type.String(),
  agent_id: Nullable(Uuid),
  credential_kind: Type.Enum(['developer', 'end_user']),
  credential_label: Nullable(Type.String()),
  access_via: Type.Literal('ownership'),
  account_identifier: Type.Null(),
  label: Nullable(Type.String()),
  credential_id: Uuid,
  grant_policy: Type.Object({ expires_at: Nullable(Timestamp), created_by: Author, created_at: Timestamp }),
  expires_at: Type.Null(),
  grant_expires_at: Nullable(Timestamp),
  last_used_at: Nullable(Timestamp),
  delegated_at: Type.Null(),
  parent_grant_id: Type.Null(),
  depth: Type.Literal(0),
  delegable: Type.Literal(false),
  scope_constraint: Type.Null(),
  created_at: Timestamp,
})

export const sdkListGrants = sdkApi.defineEndpoint({
  id: 'sdk_list_grants',
  method: 'POST',
  path: '/sdk/grants/list',
  summary: 'List the grants that the caller reaches',
  tag: 'sdk',
  access: apiKey({ scopes: ['grants:read'], instances: true }),
  body: Type.Object({
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    offset: Type.Optional(Type.Integer({ minimum: 0 })),
    provider_id: Type.Optional(ProviderId),
    status: Type.Optional(Type.String({ minLength: 1, maxLength: 40 })),
    account: Type.Optional(Type.String({ minLength: 1, maxLength: 320 })),
    label: Type.Optional(Label),
    user_token: Type.Optional(UserToken),
  }),
  example: { limit: 100, offset: 0 },
  success: Type.Object({
    grants: Type.Array(SdkManagedSecretGrant),
    total: Type.Integer(),
    limit: Type.Integer(),
    offset: Type.Integer(),
    has_more: Type.Boolean(),
  }),
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
    principal: Type.Union([
      Type.Object({ type: Type.Literal('user'), user_token: UserToken, label: Label }),
      Type.Object({
        type: Type.Literal('group'),
        external_group_id: Type.String({ minLength: 1, maxLength: 255 }),
        idp_id: Type.String({ minLength: 1, maxLength: 255 }),
        label: Label,
      }),
      Type.Object({ type: Type.Literal('system'), label: Type.Optional(Nullable(Label)) }),
      Type.Object({ type: Type.Literal('agent'), label: Type.Optional(Nullable(Label)) }),
    ]),
    grant_policy: Type.Optional(
      Type.Object({
        expires_at: Type.Optional(Timestamp),
        max_ttl_seconds: Type.Optional(Type.Integer({ minimum: 1 })),
        default_ttl_seconds: Type.Optional(Type.Integer({ minimum: 1 })),
      }),
    ),
    credential_id: Type.Optional(Uuid),
  }),
  example: { principal: { type: 'system', label: 'nightly report' }, grant_policy: {} },
  success: Type.Object({
    grant_id: Uuid,
    principal_type: PrincipalType,
    label: Nullable(Type.String()),
    created_at: Timestamp,
    credential_id: Uuid,
  }),
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
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 2_000 })),
    user_token: Type.Optional(UserToken),
  }),
  example: { reason: 'The customer asked for it' },
  success: Type.Object({
    success: Type.Literal(true),
    message: Type.String(),
    grant_id: Uuid,
    revoked_at: Timestamp,
  }),
  errors: ['grant_not_found', 'grant_revoked', 'jwt_validation_error'],
  audit: audited(...endsGrant),
})
