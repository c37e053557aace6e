import Type from 'typebox'
import { operator } from './access.ts'
import { managementApi } from './api.ts'
import { audited, readsConfiguration } from './endpoint.ts'
import { Author, ListOf, PathId, pageQuery } from './list.ts'
import { JsonObject, Label, Name, Nullable, Timestamp, Uuid } from './primitives.ts'

export const CredentialType = Type.Enum(['bearer', 'api_key', 'basic', 'aws_sigv4', 'custom'])

/** How the value is put into a request. Absent members take the default of the credential type. */
export const SecretInjection = Type.Object({
  header: Type.Optional(Type.String({ minLength: 1, maxLength: 60 })),
  format: Type.Optional(Type.String({ minLength: 1, maxLength: 200 })),
  additional: Type.Optional(
    Type.Array(
      Type.Object({
        target: Type.Enum(['header', 'query_param']),
        key: Type.String({ minLength: 1, maxLength: 100 }),
        value_source: Type.String({ minLength: 1, maxLength: 100 }),
      }),
      { maxItems: 10 },
    ),
  ),
})

export const AllowedHosts = Type.Array(Type.String({ minLength: 1, maxLength: 262 }), { maxItems: 50 })

/** A stored value without the value. `hint` holds its last four characters when it has at least twenty. */
export const SecretCredential = Type.Object({
  id: Uuid,
  label: Type.String(),
  kind: Type.Enum(['developer', 'end_user']),
  hint: Nullable(Type.String()),
  created_at: Timestamp,
  rotated_at: Nullable(Timestamp),
})

export const ManagedSecret = Type.Object({
  id: Uuid,
  slug: Type.String(),
  name: Type.String(),
  template_id: Nullable(Type.String()),
  credential_type: CredentialType,
  injection: SecretInjection,
  allowed_hosts: Type.Array(Type.String()),
  status: Type.Enum(['active', 'deleted']),
  delegation_policy: JsonObject,
  proxy_only: Type.Boolean(),
  credentials: Type.Array(SecretCredential),
  version: Type.Integer(),
  created_by: Author,
  created_at: Timestamp,
  updated_at: Timestamp,
})
/** `base_grant_id` is null when none was asked for. */
export const CreatedManagedSecret = Type.Object({ ...ManagedSecret.properties, base_grant_id: Nullable(Uuid) })

/** One way to the secret. */
export const SecretAccess = Type.Object({
  grant_id: Uuid,
  credential_id: Uuid,
  principal: Type.Object({
    type: Type.Enum(['user', 'group', 'system', 'agent']),
    id: Nullable(Uuid),
    name: Nullable(Type.String()),
  }),
  label: Nullable(Type.String()),
  /** Who reaches it, in words. */
  reachable_by: Type.String(),
  /** False while the agent is suspended or does not name the slug in its scopes. */
  effective: Type.Boolean(),
  restricted: Type.Boolean(),
  expires_at: Nullable(Timestamp),
})

export type CredentialType = Type.Static<typeof CredentialType>
export type SecretInjection = Type.Static<typeof SecretInjection>
export type ManagedSecret = Type.Static<typeof ManagedSecret>
export type SecretAccess = Type.Static<typeof SecretAccess>

const tag = 'managed-secrets'
const reads = { method: 'GET', tag, access: operator({ scope: 'secrets:read' }), audit: readsConfiguration } as const
const write = operator({ scope: 'secrets:write' })
const inApp = Type.Object({ app_id: PathId })
const params = Type.Object({ app_id: PathId, managed_secret_id: PathId })
/** Write-only: `{token}`, `{username, password}` or `{encoded}`, AWS keys, or `{token, fields}`, by credential type. */
const Value = JsonObject

export const listManagedSecrets = managementApi.defineEndpoint({
  ...reads,
  id: 'list_managed_secrets',
  path: '/api/v1/apps/:app_id/managed-secrets',
  summary: 'List managed secrets without their values',
  params: inApp,
  query: Type.Object({ ...pageQuery, search: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })) }),
  success: ListOf(ManagedSecret),
})

export const createManagedSecret = managementApi.defineEndpoint({
  id: 'create_managed_secret',
  method: 'POST',
  path: '/api/v1/apps/:app_id/managed-secrets',
  repeatable: true,
  summary: 'Store a credential and say where it may be sent',
  tag,
  access: write,
  params: inApp,
  body: Type.Object({
    name: Name,
    credential_type: CredentialType,
    value: Value,
    /** Of the first credential; `default` when absent. */
    credential_label: Type.Optional(Label),
    injection: Type.Optional(SecretInjection),
    allowed_hosts: AllowedHosts,
    proxy_only: Type.Optional(Type.Boolean()),
    /** Do not make the grant by which app keys reach the secret. */
    no_base_grant: Type.Optional(Type.Boolean()),
  }),
  example: {
    name: 'Payments',
    credential_type: 'bearer',
    value: { token: 'the token of the payments API' },
    allowed_hosts: ['api.payments.example'],
  },
  success: CreatedManagedSecret,
  status: 201,
  errors: ['allowed_hosts_required', 'conflict', 'forbidden_header'],
  audit: audited('secret.created', 'grant.created'),
  versioned: true,
})

export const showManagedSecret = managementApi.defineEndpoint({
  ...reads,
  id: 'show_managed_secret',
  path: '/api/v1/apps/:app_id/managed-secrets/:managed_secret_id',
  summary: 'Show a managed secret without its value',
  params,
  success: ManagedSecret,
  versioned: true,
})

export const updateManagedSecret = managementApi.defineEndpoint({
  id: 'update_managed_secret',
  method: 'PATCH',
  path: '/api/v1/apps/:app_id/managed-secrets/:managed_secret_id',
  summary: 'Change the name, injection or mode of a managed secret; its slug never changes',
  tag,
  access: write,
  params,
  body: Type.Partial(Type.Object({ name: Name, injection: SecretInjection, proxy_only: Type.Boolean() }), {
    minProperties: 1,
  }),
  example: { name: 'Payments', proxy_only: true },
  success: ManagedSecret,
  errors: ['forbidden_header'],
  audit: audited('secret.updated'),
  versioned: true,
})

export const setAllowedHosts = managementApi.defineEndpoint({
  id: 'set_allowed_hosts',
  method: 'PUT',
  path: '/api/v1/apps/:app_id/managed-secrets/:managed_secret_id/allowed-hosts',
  summary: 'Replace the hosts that a managed secret may be sent to',
  tag,
  access: write,
  params,
  body: Type.Object({ allowed_hosts: AllowedHosts }),
  example: { allowed_hosts: ['api.payments.example'] },
  success: ManagedSecret,
  errors: ['allowed_hosts_required'],
  audit: audited('secret.updated'),
  versioned: true,
})

export const rotateManagedSecret = managementApi.defineEndpoint({
  id: 'rotate_managed_secret',
  method: 'POST',
  path: '/api/v1/apps/:app_id/managed-secrets/:managed_secret_id/rotate',
  repeatable: true,
  summary: 'Replace a stored value in place; the old one is destroyed at once',
  tag,
  access: write,
  params,
  body: Type.Object({ value: Value, credential_id: Type.Optional(Uuid) }),
  example: { value: { token: 'the next token of the payments API' } },
  success: ManagedSecret,
  errors: ['credential_id_required'],
  audit: audited('credential.rotated'),
  versioned: true,
})

export const deleteManagedSecret = managementApi.defineEndpoint({
  id: 'delete_managed_secret',
  method: 'DELETE',
  path: '/api/v1/apps/:app_id/managed-secrets/:managed_secret_id',
  summary: 'Delete a managed secret: its values are destroyed, its grants revoked',
  tag,
  access: operator({ scope: 'secrets:delete' }),
  params,
  /** `confirm` is the slug. `force` revokes live grants of users, groups and agents too. */
  body: Type.Object({ confirm: Type.String({ maxLength: 200 }), force: Type.Optional(Type.Boolean()) }),
  example: { confirm: 'payments' },
  success: Type.Object({ id: Uuid, deleted: Type.Literal(true), grants_revoked: Type.Integer() }),
  errors: ['confirm_mismatch', 'has_dependants'],
  audit: audited('secret.deleted', 'grant.revoked', 'credential.revoked', 'rule.deleted', 'approval.denied'),
  versioned: true,
})

export const showSecretAccess = managementApi.defineEndpoint({
  ...reads,
  id: 'show_secret_access',
  path: '/api/v1/apps/:app_id/managed-secrets/:managed_secret_id/access',
  summary: 'Who reaches a managed secret now',
  params,
  success: Type.Object({ items: Type.Array(SecretAccess) }),
})
