// Written by tools/generate-clients.ts from packages/contracts. Do not edit.

import { ApprovalResultBase, ApprovalStatusBase } from '../model-bases.ts'
import { FIELDS, Model, type Fields } from '../shape.ts'

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/
const TIMESTAMP = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})$/

/** A managed agent. */
export class AgentInfo extends Model<AgentInfoJson> {
  static override readonly [FIELDS]: Fields = {
    id: { type: 'string', pattern: UUID },
    name: { type: 'string', min: 1 },
    display_name: { type: 'string', nullable: true, default: null },
    type: { enum: ['agent', 'service'] },
    status: { enum: ['active', 'inactive', 'revoked'] },
    scopes: { type: 'object', values: { type: 'array', items: { type: 'string' } }, default: {} },
    scopes_pending: { type: 'object', values: { type: 'array', items: { type: 'string' } }, nullable: true, default: null },
    scopes_applies_at: { type: 'string', max: 40, pattern: TIMESTAMP, nullable: true, default: null },
    policy: { type: 'object', default: {} },
    metadata: { type: 'object', default: {} },
    rate_limit_per_minute: { type: 'integer', nullable: true, default: null },
    version: { type: 'integer' },
    created_at: { type: 'string', max: 40, pattern: TIMESTAMP },
    last_used_at: { type: 'string', max: 40, pattern: TIMESTAMP, nullable: true, default: null },
    parent_agent_id: { type: 'string', pattern: UUID, nullable: true, default: null },
    stored_legacy_managed_secret_names: { type: 'array', items: { type: 'string' }, default: [] },
  }
  declare readonly id: string
  declare readonly name: string
  declare readonly displayName: string | null
  declare readonly type: 'agent' | 'service'
  declare readonly status: 'active' | 'inactive' | 'revoked'
  /** Provider id, or `managed_secret_slugs`, to scopes. */
  declare readonly scopes: AgentScopes
  /** Scopes that will hold from `scopesAppliesAt` on. */
  declare readonly scopesPending: AgentScopes | null
  declare readonly scopesAppliesAt: string | null
  /** As stored: its keys are not translated. */
  declare readonly policy: Readonly<Record<string, unknown>>
  /** As stored: its keys are not translated. */
  declare readonly metadata: Readonly<Record<string, unknown>>
  declare readonly rateLimitPerMinute: number | null
  /** Counts changes; name it to change an agent nobody else changed meanwhile. */
  declare readonly version: number
  declare readonly createdAt: string
  declare readonly lastUsedAt: string | null
  declare readonly parentAgentId: string | null
  declare readonly storedLegacyManagedSecretNames: readonly string[]
}
export type AgentInfoJson = {
  id: string
  name: string
  display_name?: string | null
  type: 'agent' | 'service'
  status: 'active' | 'inactive' | 'revoked'
  scopes?: AgentScopes
  scopes_pending?: AgentScopes | null
  scopes_applies_at?: string | null
  policy?: Readonly<Record<string, unknown>>
  metadata?: Readonly<Record<string, unknown>>
  rate_limit_per_minute?: number | null
  version: number
  created_at: string
  last_used_at?: string | null
  parent_agent_id?: string | null
  stored_legacy_managed_secret_names?: readonly string[]
}

/** A held request at one moment. */
export class ApprovalStatus extends ApprovalStatusBase<ApprovalStatusJson> {
  static override readonly [FIELDS]: Fields = {
    approval_id: { type: 'string', pattern: UUID },
    approval_group_id: { type: 'string', pattern: UUID },
    status: { enum: ['pending', 'approved', 'executing', 'denied', 'expired', 'executed', 'failed'] },
    gates: { type: 'array', min: 1, items: { oneOf: () => [GateStatus] } },
    expires_at: { type: 'string', max: 40, pattern: TIMESTAMP },
    has_result: { type: 'boolean' },
    decided_at: { type: 'string', max: 40, pattern: TIMESTAMP, nullable: true, default: null },
    decision_reason: { type: 'string', nullable: true, default: null },
    executed_at: { type: 'string', max: 40, pattern: TIMESTAMP, nullable: true, default: null },
    execution_error: { type: 'string', nullable: true, default: null },
  }
  declare readonly approvalId: string
  declare readonly approvalGroupId: string
  /** States of a held request; the last four are final. */
  declare readonly status: ApprovalStatusValue
  declare readonly gates: readonly GateStatus[]
  declare readonly expiresAt: string
  /** The provider's answer can be fetched. */
  declare readonly hasResult: boolean
  declare readonly decidedAt: string | null
  /** What the approver wrote. */
  declare readonly decisionReason: string | null
  declare readonly executedAt: string | null
  /** Why a `failed` request could not be executed: `<code>` or `<code>: <short text>`. */
  declare readonly executionError: string | null
}
export type ApprovalStatusJson = {
  approval_id: string
  approval_group_id: string
  status: ApprovalStatusValue
  gates: readonly GateStatusJson[]
  expires_at: string
  has_result: boolean
  decided_at?: string | null
  decision_reason?: string | null
  executed_at?: string | null
  execution_error?: string | null
}

/** The provider's answer to a proxied request. A status of 400 or above is an answer too, not an error. */
export class ApprovalResult extends ApprovalResultBase<ApprovalResultJson> {
  static override readonly [FIELDS]: Fields = {
    approval_id: { type: 'string', pattern: UUID, nullable: true, default: null },
    status_code: { type: 'integer', min: 100, max: 999 },
    headers: { type: 'object', values: { type: 'string' }, default: {} },
    body_b64: { type: 'string', pattern: /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/ },
    body_truncated: { type: 'boolean', default: false },
    duration_ms: { type: 'integer', min: 0, nullable: true, default: null },
    credential_hint: { type: 'string', pattern: /\S/, nullable: true, nullWhenUnknown: true, default: null },
  }
  /** Null when no approval was needed. */
  declare readonly approvalId: string | null
  /** The provider's HTTP status. */
  declare readonly statusCode: number
  /** Repeated headers are joined by a comma. */
  declare readonly headers: Readonly<Record<string, string>>
  /** The body in standard base64 with padding. */
  declare readonly bodyB64: string
  /** The body was longer than the vault keeps; `bodyB64` is its beginning. */
  declare readonly bodyTruncated: boolean
  declare readonly durationMs: number | null
  /** Advice of the vault when the provider refused the credential. */
  declare readonly credentialHint: string | null
}
export type ApprovalResultJson = {
  approval_id?: string | null
  status_code: number
  headers?: Readonly<Record<string, string>>
  body_b64: string
  body_truncated?: boolean
  duration_ms?: number | null
  credential_hint?: string | null
}

/** The scopes that API keys can hold. A scope is written `resource:verb`. */
export class ScopeCatalog extends Model<ScopeCatalogJson> {
  static override readonly [FIELDS]: Fields = {
    scope_version: { type: 'integer' },
    resources: { type: 'object', values: { oneOf: () => [ScopeResource] } },
    action_verbs: { type: 'array', items: { type: 'string' } },
    deprecated: { type: 'array', items: { type: 'string' }, default: [] },
  }
  declare readonly scopeVersion: number
  declare readonly resources: Readonly<Record<string, ScopeResource>>
  /** Verbs that change something or use a credential. */
  declare readonly actionVerbs: readonly string[]
  /** Scopes that are still accepted and should no longer be given. */
  declare readonly deprecated: readonly string[]
}
export type ScopeCatalogJson = {
  scope_version: number
  resources: Readonly<Record<string, ScopeResourceJson>>
  action_verbs: readonly string[]
  deprecated?: readonly string[]
}

/** One page of grants. */
export class UnifiedGrantListResult extends Model<UnifiedGrantListResultJson> {
  static override readonly [FIELDS]: Fields = {
    grants: { type: 'array', items: { oneOf: () => [OAuthGrantItem, ManagedSecretGrantItem] } },
    total: { type: 'integer' },
    limit: { type: 'integer' },
    offset: { type: 'integer' },
    has_more: { type: 'boolean' },
  }
  declare readonly grants: readonly GrantItem[]
  /** Of all pages. */
  declare readonly total: number
  declare readonly limit: number
  declare readonly offset: number
  declare readonly hasMore: boolean
}
export type UnifiedGrantListResultJson = {
  grants: readonly (OAuthGrantItemJson | ManagedSecretGrantItemJson)[]
  total: number
  limit: number
  offset: number
  has_more: boolean
}

/** A grant that was made. */
export class CreateGrantResult extends Model<CreateGrantResultJson> {
  static override readonly [FIELDS]: Fields = {
    grant_id: { type: 'string', min: 1 },
    principal_type: { type: 'string', min: 1 },
    label: { type: 'string', nullable: true },
    created_at: { type: 'string', min: 1 },
    credential_id: { type: 'string', nullable: true, default: null },
  }
  declare readonly grantId: string
  declare readonly principalType: string
  declare readonly label: string | null
  declare readonly createdAt: string
  declare readonly credentialId: string | null
}
export type CreateGrantResultJson = {
  grant_id: string
  principal_type: string
  label: string | null
  created_at: string
  credential_id?: string | null
}

/** Who a managed-secret grant is for. */
export type Principal = UserPrincipal | GroupPrincipal | SystemPrincipal | AgentPrincipal

/** Limits of a new grant, in seconds or as an ISO 8601 time. */
export type GrantPolicyInput = {
  expiresAt?: string
  maxTtlSeconds?: number
  defaultTtlSeconds?: number
}

/** A provider call as its caller reports it. It is the client's word: only proxied calls are recorded by the vault. */
export class APICallAuditLog extends Model<APICallAuditLogJson> {
  static override readonly [FIELDS]: Fields = {
    grant_id: { type: 'string', pattern: UUID },
    provider_id: { type: 'string', max: 255, default: '' },
    token_generation: { type: 'string', max: 64, nullable: true, default: null },
    method: { type: 'string', min: 1, max: 32 },
    url: { type: 'string', min: 1, max: 65536 },
    request_headers: { type: 'object', values: { type: 'string' }, default: {} },
    request_body: { nullable: true, default: null },
    response_status: { type: 'integer', min: 0, max: 999 },
    response_headers: { type: 'object', values: { type: 'string' }, default: {} },
    response_body: { type: 'string', default: '' },
    latency_ms: { type: 'number', min: 0 },
    reason: { type: 'string', nullable: true, default: null },
    context: { type: 'object', nullable: true, default: null },
  }
  declare readonly grantId: string
  /** Empty when the vault named no provider. */
  declare readonly providerId: string
  declare readonly tokenGeneration: string | null
  declare readonly method: string
  /** Without injected parameters and those given apart from the URL. */
  declare readonly url: string
  declare readonly requestHeaders: Readonly<Record<string, string>>
  /** JSON, text, or a note such as `<binary body: 12 bytes>`. */
  declare readonly requestBody: unknown
  /** 0 when there was no answer. */
  declare readonly responseStatus: number
  declare readonly responseHeaders: Readonly<Record<string, string>>
  declare readonly responseBody: string
  declare readonly latencyMs: number
  declare readonly reason: string | null
  declare readonly context: Readonly<Record<string, unknown>> | null
}
export type APICallAuditLogJson = {
  grant_id: string
  provider_id?: string
  token_generation?: string | null
  method: string
  url: string
  request_headers?: Readonly<Record<string, string>>
  request_body?: unknown
  response_status: number
  response_headers?: Readonly<Record<string, string>>
  response_body?: string
  latency_ms: number
  reason?: string | null
  context?: Readonly<Record<string, unknown>> | null
}

/** A grant that was ended. */
export class RevokeGrantResult extends Model<RevokeGrantResultJson> {
  static override readonly [FIELDS]: Fields = {
    success: { type: 'boolean' },
    message: { type: 'string', min: 1 },
    grant_id: { type: 'string', min: 1 },
    revoked_at: { type: 'string', min: 1 },
  }
  declare readonly success: boolean
  declare readonly message: string
  declare readonly grantId: string
  declare readonly revokedAt: string
}
export type RevokeGrantResultJson = {
  success: boolean
  message: string
  grant_id: string
  revoked_at: string
}

/** The request was not sent: it is held until a person decides. `expiresAt` is the earliest end of the gates. */
export class PendingApproval extends Model<PendingApprovalJson> {
  static override readonly [FIELDS]: Fields = {
    approval_id: { type: 'string', pattern: UUID },
    approval_group_id: { type: 'string', pattern: UUID },
    status: { enum: ['pending'] },
    expires_at: { type: 'string', max: 40, pattern: TIMESTAMP },
    expires_in: { type: 'integer', min: 0 },
    approval_url: { type: 'string', min: 1 },
    gates: { type: 'array', min: 1, items: { oneOf: () => [PendingGate] } },
  }
  /** The first gate. Ask for the outcome with this id. */
  declare readonly approvalId: string
  declare readonly approvalGroupId: string
  declare readonly status: 'pending'
  declare readonly expiresAt: string
  /** Seconds until `expiresAt`, as the vault counted. */
  declare readonly expiresIn: number
  /** Where an approver decides. Whoever holds the link may be able to: hand it to the approver only. */
  declare readonly approvalUrl: string
  /** Every decision needed; more than one when several rules ask different people. */
  declare readonly gates: readonly PendingGate[]
}
export type PendingApprovalJson = {
  approval_id: string
  approval_group_id: string
  status: 'pending'
  expires_at: string
  expires_in: number
  approval_url: string
  gates: readonly PendingGateJson[]
}

/** A credential and how to put it on a request. */
export class TokenResponse extends Model<TokenResponseJson> {
  static override readonly [FIELDS]: Fields = {
    access_token: { type: 'string', pattern: /^[^\r\n\0]+$/ },
    grant_id: { type: 'string', pattern: UUID },
    token_type: { type: 'string', max: 255, pattern: /^\S(?:.*\S)?$/, default: 'Bearer' },
    expires_in: { type: 'integer', min: 0, nullable: true, default: null },
    expires_at: { type: 'string', max: 40, pattern: TIMESTAMP, nullable: true, default: null },
    scopes: { type: 'array', items: { type: 'string', pattern: /^\S(?:.*\S)?$/ }, default: [] },
    provider_id: { type: 'string', max: 255, default: '' },
    token_generation: { type: 'string', pattern: UUID, nullable: true, default: null },
    scope_mismatch: { type: 'boolean', default: false },
    injection_header: { type: 'string', max: 60, pattern: /^[A-Za-z][A-Za-z0-9-]*$/, default: 'Authorization' },
    injection_format: { type: 'string', max: 200, pattern: /^(?:AWS4-HMAC-SHA256[^\r\n\0]*|[^\r\n\0]*\{token\}[^\r\n\0]*)$/, default: 'Bearer {token}' },
    additional_credentials: { type: 'object', max: 10, values: { type: 'string', max: 8192, pattern: /\S/ }, nullable: true, default: null },
    additional_injections: { type: 'array', max: 10, items: { type: 'object', max: 3, oneOf: () => [AdditionalInjection] }, nullable: true, default: null },
    retry_info: { oneOf: () => [RetryInfo], nullable: true, nullWhenUnknown: true, default: null },
  }
  declare readonly accessToken: string
  declare readonly grantId: string
  declare readonly tokenType: string
  declare readonly expiresIn: number | null
  declare readonly expiresAt: string | null
  declare readonly scopes: readonly string[]
  declare readonly providerId: string
  declare readonly tokenGeneration: string | null
  declare readonly scopeMismatch: boolean
  declare readonly injectionHeader: string
  declare readonly injectionFormat: string
  declare readonly additionalCredentials: Readonly<Record<string, string>> | null
  declare readonly additionalInjections: readonly AdditionalInjection[] | null
  declare readonly retryInfo: RetryInfo | null
}
export type TokenResponseJson = {
  access_token: string
  grant_id: string
  token_type?: string
  expires_in?: number | null
  expires_at?: string | null
  scopes?: readonly string[]
  provider_id?: string
  token_generation?: string | null
  scope_mismatch?: boolean
  injection_header?: string
  injection_format?: string
  additional_credentials?: Readonly<Record<string, string>> | null
  additional_injections?: readonly AdditionalInjectionJson[] | null
  retry_info?: RetryInfoJson | null
}

/** Provider id, or `managed_secret_slugs`, to scopes. */
export type AgentScopes = Readonly<Record<string, readonly string[]>>

/** State of one decision of a held request. */
export class GateStatus extends Model<GateStatusJson> {
  static override readonly [FIELDS]: Fields = {
    approval_id: { type: 'string', pattern: UUID },
    status: { enum: ['pending', 'approved', 'executing', 'denied', 'expired', 'executed', 'failed'] },
    expires_at: { type: 'string', max: 40, pattern: TIMESTAMP },
    decided_at: { type: 'string', max: 40, pattern: TIMESTAMP, nullable: true, default: null },
  }
  declare readonly approvalId: string
  /** States of a held request; the last four are final. */
  declare readonly status: ApprovalStatusValue
  declare readonly expiresAt: string
  declare readonly decidedAt: string | null
}
export type GateStatusJson = {
  approval_id: string
  status: ApprovalStatusValue
  expires_at: string
  decided_at?: string | null
}

/** States of a held request; the last four are final. */
export type ApprovalStatusValue = 'pending' | 'approved' | 'executing' | 'denied' | 'expired' | 'executed' | 'failed'

/** What can be done with one resource. */
export class ScopeResource extends Model<ScopeResourceJson> {
  static override readonly [FIELDS]: Fields = {
    verbs: { type: 'array', items: { type: 'string' } },
  }
  declare readonly verbs: readonly string[]
}
export type ScopeResourceJson = {
  verbs: readonly string[]
}

/** A connection of a user, or of the app, to an OAuth provider. */
export class OAuthGrantItem extends Model<OAuthGrantItemJson> {
  static override readonly [FIELDS]: Fields = {
    grant_kind: { enum: ['oauth'] },
    grant_id: { type: 'string', min: 1 },
    status: { type: 'string', min: 1 },
    created_at: { type: 'string', min: 1 },
    credential_id: { type: 'string', nullable: true, default: null },
    account_identifier: { type: 'string', nullable: true, default: null },
    label: { type: 'string', nullable: true, default: null },
    grant_policy: { type: 'object', nullable: true, default: null },
    expires_at: { type: 'string', nullable: true, default: null },
    grant_expires_at: { type: 'string', nullable: true, default: null },
    last_used_at: { type: 'string', nullable: true, default: null },
    delegated_at: { type: 'string', nullable: true, default: null },
    parent_grant_id: { type: 'string', nullable: true, default: null },
    depth: { type: 'integer', default: 0 },
    delegable: { type: 'boolean', default: false },
    scope_constraint: { type: 'array', items: { type: 'string' }, nullable: true, default: null },
    provider_id: { type: 'string', min: 1 },
    principal_type: { enum: ['user', 'system', 'agent'] },
    scopes: { type: 'array', items: { type: 'string' }, default: [] },
    account_display_name: { type: 'string', nullable: true, default: null },
    api_base_url: { type: 'string', max: 270, pattern: /^https:\/\/[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/, nullable: true, nullWhenUnknown: true, default: null },
    scope_mismatch: { type: 'boolean', default: false },
    needs_reconnect: { type: 'boolean', default: false },
    delegated_agent_ids: { type: 'array', items: { type: 'string' }, default: [] },
    access_via: { enum: ['ownership', 'oauth_delegation'], default: 'ownership' },
  }
  declare readonly grantKind: 'oauth'
  declare readonly grantId: string
  /** Open set; `active`, `revoked` and `expired` are known. */
  declare readonly status: string
  declare readonly createdAt: string
  declare readonly credentialId: string | null
  declare readonly accountIdentifier: string | null
  declare readonly label: string | null
  /** As stored: its keys are not translated. */
  declare readonly grantPolicy: Readonly<Record<string, unknown>> | null
  /** When the access token ends. */
  declare readonly expiresAt: string | null
  /** When the grant itself ends. */
  declare readonly grantExpiresAt: string | null
  declare readonly lastUsedAt: string | null
  declare readonly delegatedAt: string | null
  declare readonly parentGrantId: string | null
  /** How many hands it went through; 0 for the grant a user gave. */
  declare readonly depth: number
  declare readonly delegable: boolean
  declare readonly scopeConstraint: readonly string[] | null
  declare readonly providerId: string
  declare readonly principalType: 'user' | 'system' | 'agent'
  declare readonly scopes: readonly string[]
  declare readonly accountDisplayName: string | null
  /** Where calls go, as a bare `https://host`; null when the provider has no single host. */
  declare readonly apiBaseUrl: string | null
  /** The connection lacks scopes that the app now asks for. */
  declare readonly scopeMismatch: boolean
  declare readonly needsReconnect: boolean
  declare readonly delegatedAgentIds: readonly string[]
  declare readonly accessVia: 'ownership' | 'oauth_delegation'
}
export type OAuthGrantItemJson = {
  grant_kind: 'oauth'
  grant_id: string
  status: string
  created_at: string
  credential_id?: string | null
  account_identifier?: string | null
  label?: string | null
  grant_policy?: Readonly<Record<string, unknown>> | null
  expires_at?: string | null
  grant_expires_at?: string | null
  last_used_at?: string | null
  delegated_at?: string | null
  parent_grant_id?: string | null
  depth?: number
  delegable?: boolean
  scope_constraint?: readonly string[] | null
  provider_id: string
  principal_type: 'user' | 'system' | 'agent'
  scopes?: readonly string[]
  account_display_name?: string | null
  api_base_url?: string | null
  scope_mismatch?: boolean
  needs_reconnect?: boolean
  delegated_agent_ids?: readonly string[]
  access_via?: 'ownership' | 'oauth_delegation'
}

/** Access to a secret that an operator keeps in the vault. */
export class ManagedSecretGrantItem extends Model<ManagedSecretGrantItemJson> {
  static override readonly [FIELDS]: Fields = {
    grant_kind: { enum: ['managed_secret'] },
    grant_id: { type: 'string', min: 1 },
    status: { type: 'string', min: 1 },
    created_at: { type: 'string', min: 1 },
    credential_id: { type: 'string', nullable: true, default: null },
    account_identifier: { type: 'string', nullable: true, default: null },
    label: { type: 'string', nullable: true, default: null },
    grant_policy: { type: 'object', nullable: true, default: null },
    expires_at: { type: 'string', nullable: true, default: null },
    grant_expires_at: { type: 'string', nullable: true, default: null },
    last_used_at: { type: 'string', nullable: true, default: null },
    delegated_at: { type: 'string', nullable: true, default: null },
    parent_grant_id: { type: 'string', nullable: true, default: null },
    depth: { type: 'integer', default: 0 },
    delegable: { type: 'boolean', default: false },
    scope_constraint: { type: 'array', items: { type: 'string' }, nullable: true, default: null },
    principal_type: { enum: ['user', 'group', 'system', 'agent'] },
    managed_secret_id: { type: 'string', min: 1 },
    managed_secret_slug: { type: 'string' },
    managed_secret_name: { type: 'string' },
    agent_id: { type: 'string', nullable: true, default: null },
    credential_kind: { enum: ['developer', 'end_user'], nullable: true, nullWhenUnknown: true, default: null },
    credential_label: { type: 'string', nullable: true, default: null },
    access_via: { enum: ['ownership', 'ms_delegation'], default: 'ownership' },
  }
  declare readonly grantKind: 'managed_secret'
  declare readonly grantId: string
  /** Open set; `active`, `revoked` and `expired` are known. */
  declare readonly status: string
  declare readonly createdAt: string
  declare readonly credentialId: string | null
  declare readonly accountIdentifier: string | null
  declare readonly label: string | null
  /** As stored: its keys are not translated. */
  declare readonly grantPolicy: Readonly<Record<string, unknown>> | null
  /** When the access token ends. */
  declare readonly expiresAt: string | null
  /** When the grant itself ends. */
  declare readonly grantExpiresAt: string | null
  declare readonly lastUsedAt: string | null
  declare readonly delegatedAt: string | null
  declare readonly parentGrantId: string | null
  /** How many hands it went through; 0 for the grant a user gave. */
  declare readonly depth: number
  declare readonly delegable: boolean
  declare readonly scopeConstraint: readonly string[] | null
  declare readonly principalType: 'user' | 'group' | 'system' | 'agent'
  declare readonly managedSecretId: string
  declare readonly managedSecretSlug: string
  declare readonly managedSecretName: string
  declare readonly agentId: string | null
  declare readonly credentialKind: 'developer' | 'end_user' | null
  declare readonly credentialLabel: string | null
  declare readonly accessVia: 'ownership' | 'ms_delegation'
}
export type ManagedSecretGrantItemJson = {
  grant_kind: 'managed_secret'
  grant_id: string
  status: string
  created_at: string
  credential_id?: string | null
  account_identifier?: string | null
  label?: string | null
  grant_policy?: Readonly<Record<string, unknown>> | null
  expires_at?: string | null
  grant_expires_at?: string | null
  last_used_at?: string | null
  delegated_at?: string | null
  parent_grant_id?: string | null
  depth?: number
  delegable?: boolean
  scope_constraint?: readonly string[] | null
  principal_type: 'user' | 'group' | 'system' | 'agent'
  managed_secret_id: string
  managed_secret_slug: string
  managed_secret_name: string
  agent_id?: string | null
  credential_kind?: 'developer' | 'end_user' | null
  credential_label?: string | null
  access_via?: 'ownership' | 'ms_delegation'
}

/** Either kind; branch on `grantKind`. */
export type GrantItem = OAuthGrantItem | ManagedSecretGrantItem

/** A user, identified by a token of the app's identity provider. */
export type UserPrincipal = {
  type: 'user'
  userToken: string
  label: string
}

/** A group of the app's identity provider. */
export type GroupPrincipal = {
  type: 'group'
  externalGroupId: string
  idpId: string
  label: string
}

/** The app itself. */
export type SystemPrincipal = {
  type: 'system'
  label?: string
}

/** The agent that the call acts as, which `X-Alter-Caller` names. */
export type AgentPrincipal = {
  type: 'agent'
  label?: string
}

/** One decision that a held request needs, with the link for its approvers. */
export class PendingGate extends Model<PendingGateJson> {
  static override readonly [FIELDS]: Fields = {
    approval_id: { type: 'string', pattern: UUID },
    expires_at: { type: 'string', max: 40, pattern: TIMESTAMP },
    expires_in: { type: 'integer', min: 0 },
    approval_url: { type: 'string', min: 1 },
  }
  declare readonly approvalId: string
  declare readonly expiresAt: string
  /** Seconds until `expiresAt`, as the vault counted. */
  declare readonly expiresIn: number
  /** Where an approver decides. Whoever holds the link may be able to: hand it to the approver only. */
  declare readonly approvalUrl: string
}
export type PendingGateJson = {
  approval_id: string
  expires_at: string
  expires_in: number
  approval_url: string
}

/** Where one more copy of a credential goes. */
export class AdditionalInjection extends Model<AdditionalInjectionJson> {
  static override readonly [FIELDS]: Fields = {
    target: { enum: ['header', 'query_param'] },
    key: { type: 'string', max: 100, pattern: /^[A-Za-z][A-Za-z0-9_-]*$/ },
    value_source: { type: 'string', pattern: /^(?:token|additional_credentials\.[a-z][a-z0-9_]*)$/ },
  }
  declare readonly target: 'header' | 'query_param'
  declare readonly key: string
  /** `token`, or `additional_credentials.<name>`. */
  declare readonly valueSource: string
}
export type AdditionalInjectionJson = {
  target: 'header' | 'query_param'
  key: string
  value_source: string
}

/** What the vault tried while it fetched a credential. */
export class RetryInfo extends Model<RetryInfoJson> {
  static override readonly [FIELDS]: Fields = {
    total_attempts: { type: 'integer', min: 1 },
    successful_attempt: { type: 'integer', nullable: true, default: null },
    errors: { type: 'array', items: { oneOf: () => [RetryErrorInfo] }, default: [] },
  }
  declare readonly totalAttempts: number
  /** Which attempt succeeded, counted from 1. */
  declare readonly successfulAttempt: number | null
  declare readonly errors: readonly RetryErrorInfo[]
}
export type RetryInfoJson = {
  total_attempts: number
  successful_attempt?: number | null
  errors?: readonly RetryErrorInfoJson[]
}

/** One attempt that failed. */
export class RetryErrorInfo extends Model<RetryErrorInfoJson> {
  static override readonly [FIELDS]: Fields = {
    attempt: { type: 'integer', min: 1 },
    error: { type: 'string', max: 500 },
    error_type: { type: 'string', nullable: true, default: null },
    delay_s: { type: 'number', nullable: true, default: null },
    permanent: { type: 'boolean', default: false },
  }
  /** Counted from 1. */
  declare readonly attempt: number
  declare readonly error: string
  declare readonly errorType: string | null
  /** How long the vault waited afterwards, in seconds. */
  declare readonly delayS: number | null
  /** Trying again would not have helped. */
  declare readonly permanent: boolean
}
export type RetryErrorInfoJson = {
  attempt: number
  error: string
  error_type?: string | null
  delay_s?: number | null
  permanent?: boolean
}
