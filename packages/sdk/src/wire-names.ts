/**
 * The one place where names change between TypeScript and the wire.
 *
 * Only names listed here are ever translated, and only on objects whose shape the protocol fixes. Keys inside metadata,
 * policy bodies, agent scopes, contexts, query parameters, headers and provider bodies belong to the user: such values
 * pass through whole.
 */
const WIRE_NAMES = {
  accessToken: 'access_token',
  accessVia: 'access_via',
  account: 'account',
  accountDisplayName: 'account_display_name',
  accountIdentifier: 'account_identifier',
  actionVerbs: 'action_verbs',
  additionalCredentials: 'additional_credentials',
  additionalInjections: 'additional_injections',
  agentId: 'agent_id',
  apiBaseUrl: 'api_base_url',
  apiEndpoint: 'api_endpoint',
  approvalGroupId: 'approval_group_id',
  approvalId: 'approval_id',
  approvalUrl: 'approval_url',
  appUserId: 'app_user_id',
  attempt: 'attempt',
  body: 'body',
  bodyB64: 'body_b64',
  bodyTruncated: 'body_truncated',
  context: 'context',
  createdAt: 'created_at',
  credentialHint: 'credential_hint',
  credentialId: 'credential_id',
  credentialKind: 'credential_kind',
  credentialLabel: 'credential_label',
  decidedAt: 'decided_at',
  decisionReason: 'decision_reason',
  defaultTtlSeconds: 'default_ttl_seconds',
  delaySeconds: 'delay_s',
  delegable: 'delegable',
  delegatedAgentIds: 'delegated_agent_ids',
  delegatedAt: 'delegated_at',
  deprecated: 'deprecated',
  depth: 'depth',
  detectionSource: 'detection_source',
  displayName: 'display_name',
  durationMs: 'duration_ms',
  error: 'error',
  errors: 'errors',
  errorType: 'error_type',
  executedAt: 'executed_at',
  executionError: 'execution_error',
  expiresAt: 'expires_at',
  expiresIn: 'expires_in',
  externalGroupId: 'external_group_id',
  gates: 'gates',
  grantExpiresAt: 'grant_expires_at',
  grantId: 'grant_id',
  grantKind: 'grant_kind',
  grantPolicy: 'grant_policy',
  grants: 'grants',
  hasMore: 'has_more',
  hasResult: 'has_result',
  headers: 'headers',
  id: 'id',
  idpId: 'idp_id',
  injectionFormat: 'injection_format',
  injectionHeader: 'injection_header',
  label: 'label',
  lastUsedAt: 'last_used_at',
  latencyMs: 'latency_ms',
  limit: 'limit',
  managedSecretId: 'managed_secret_id',
  managedSecretName: 'managed_secret_name',
  managedSecretSlug: 'managed_secret_slug',
  maxTtlSeconds: 'max_ttl_seconds',
  message: 'message',
  metadata: 'metadata',
  method: 'method',
  missingScopes: 'missing_scopes',
  name: 'name',
  needsReconnect: 'needs_reconnect',
  offset: 'offset',
  parentAgentId: 'parent_agent_id',
  parentGrantId: 'parent_grant_id',
  permanent: 'permanent',
  policy: 'policy',
  principal: 'principal',
  principalType: 'principal_type',
  providerErrorCode: 'provider_error_code',
  providerId: 'provider_id',
  providerStatusCode: 'provider_status_code',
  queryParams: 'query_params',
  rateLimitPerMinute: 'rate_limit_per_minute',
  rawWwwAuthenticate: 'raw_www_authenticate',
  reason: 'reason',
  request: 'request',
  requestBody: 'request_body',
  requestHeaders: 'request_headers',
  resources: 'resources',
  responseBody: 'response_body',
  responseHeaders: 'response_headers',
  responseStatus: 'response_status',
  retryInfo: 'retry_info',
  revokedAt: 'revoked_at',
  ruleBody: 'rule_body',
  ruleType: 'rule_type',
  scopeConstraint: 'scope_constraint',
  scopeMismatch: 'scope_mismatch',
  scopes: 'scopes',
  scopesAppliesAt: 'scopes_applies_at',
  scopesPending: 'scopes_pending',
  scopeVersion: 'scope_version',
  sdkCorrelationId: 'sdk_correlation_id',
  status: 'status',
  statusCode: 'status_code',
  storedLegacyManagedSecretNames: 'stored_legacy_managed_secret_names',
  success: 'success',
  successfulAttempt: 'successful_attempt',
  tokenGeneration: 'token_generation',
  tokenType: 'token_type',
  total: 'total',
  totalAttempts: 'total_attempts',
  type: 'type',
  url: 'url',
  userToken: 'user_token',
  version: 'version',
} as const

type WireNames = typeof WIRE_NAMES

/** A name that this SDK knows how to write on the wire. */
export type FieldName = keyof WireNames

type WireValue<V> = V extends { toJSON(): infer J }
  ? J
  : V extends ReadonlyArray<infer E>
    ? ReadonlyArray<WireValue<E>>
    : V

/** The JSON form of a class of this SDK: its known fields under their wire names. */
export type OnWire<T> = { [K in keyof T as K extends FieldName ? WireNames[K] : never]: WireValue<T[K]> }

type NullableKeys<T> = { [K in keyof T]-?: null extends T[K] ? K : never }[keyof T]

/** What a class of this SDK can be constructed from: its JSON form, where fields that may be null may also be absent. */
export type FromWire<T> = Omit<OnWire<T>, NullableKeys<OnWire<T>>> &
  Partial<Pick<OnWire<T>, NullableKeys<OnWire<T>> & keyof OnWire<T>>>

/** The name of a field on the wire. */
export function wireName(field: FieldName): string {
  return WIRE_NAMES[field]
}

/**
 * Writes an object under wire names. `undefined` is left out, `null` is kept; members with a `toJSON` of their own, also
 * inside lists, write themselves; every other value passes through untouched.
 */
export function toWire(fields: { readonly [K in FieldName]?: unknown }): Record<string, unknown> {
  const wire: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(fields)) {
    if (value !== undefined) wire[WIRE_NAMES[field as FieldName]] = writeValue(value)
  }
  return wire
}

function writeValue(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(writeValue)
  if (typeof value === 'object' && value !== null && 'toJSON' in value && typeof value.toJSON === 'function') {
    return value.toJSON()
  }
  return value
}
