import Type from 'typebox'
import { apiKey } from './access.ts'
import { sdkApi } from './api.ts'
import { ApprovalResult, PendingApproval } from './approval.ts'
import { audited } from './endpoint.ts'
import {
  Exactly,
  JsonObject,
  Label,
  Nullable,
  NullWhenUnknown,
  ProviderId,
  Timestamp,
  UserToken,
  Uuid,
} from './primitives.ts'
import { CallerDecisionRecord } from './rule.ts'

/** The longest `reason` that is kept, in characters; a longer one is cut and the answer says so. */
export const REASON_MAX_LENGTH = 2_000
/** The most members and characters of the context that a caller asserts (`X-Alter-Context`). */
export const CONTEXT_MAX_MEMBERS = 20
export const CONTEXT_MAX_LENGTH = 4_096
/** The largest body of an answer that is passed on, in bytes. */
export const INLINE_BODY_MAX_BYTES = 25 * 1024 * 1024

/** Which grant a call uses: by its id, or by provider (or secret slug) and whose it is. */
const addressing = {
  grant_id: Type.Optional(Uuid),
  provider_id: Type.Optional(ProviderId),
  account: Type.Optional(Type.String({ minLength: 1, maxLength: 320 })),
  label: Type.Optional(Label),
  user_token: Type.Optional(UserToken),
  app_user_id: Type.Optional(Uuid),
}

/** Body of a proxied call (docs/spec/wire-protocol.md#proxied-calls). */
export const ProxyRequestBody = Exactly({
  /** An HTTP method; letter case does not matter. */
  method: Type.String({ minLength: 1, maxLength: 32 }),
  /** Absolute https URL. */
  url: Type.String({ minLength: 1 }),
  ...addressing,
  /** Any JSON value; sent as compact UTF-8 JSON, as a form or as text by the caller's content type. */
  body: Type.Optional(Type.Unknown()),
  headers: Type.Optional(Type.Record(Type.String(), Type.String())),
  /** Appended to the URL's own query, form-encoded. */
  query_params: Type.Optional(JsonObject),
  /** Recorded for ever and shown to approvers. */
  reason: Type.Optional(Type.String()),
  /** Answers the decision and sends nothing. */
  dry_run: Type.Optional(Type.Boolean()),
})

/** The provider's answer, whatever its status. */
export const ProxyResult = Type.Intersect([
  ApprovalResult,
  Type.Object({ reason_truncated: Type.Optional(Type.Literal(true)) }),
])

/** Refusals of steps 3 to 8 that both ways of using a credential share. */
const USE_ERRORS = [
  'agent_scope_not_allowed',
  'ambiguous_grant',
  'audit_unavailable',
  'blocked_destination',
  'cel_denied',
  'cel_failed',
  'clock_untrusted',
  'content_denied',
  'credential_revoked',
  'grant_deleted',
  'grant_expired',
  'grant_idle_exceeded',
  'grant_not_found',
  'grant_restriction',
  'grant_revoked',
  'grant_ttl_exceeded',
  'group_denied',
  'group_facts_stale',
  'group_required',
  'invalid_stored_rule',
  'jwt_validation_error',
  'no_delegated_grant',
  'operation_unclassified',
  'outside_allowed_request',
  'outside_time_window',
  'policy_denied',
  'policy_timeout',
  'policy_unavailable',
  'policy_version_drift',
  'query_too_long',
  'quota_exceeded',
  'step_up_required',
  'timezone_unknown',
  'unknown_rule_version',
] as const

/** SDK call 2: uses a credential on the caller's behalf; 202 when a human has to approve first. A dry run answers its decision. */
export const proxyRequest = sdkApi.defineEndpoint({
  id: 'proxy_request',
  method: 'POST',
  path: '/sdk/proxy',
  namesDecision: true,
  summary: 'Call a provider through the vault',
  tag: 'calls',
  access: apiKey({ scopes: ['proxy:execute'] }),
  body: ProxyRequestBody,
  example: {
    grant_id: '018f5a3c-7b21-7c4e-9a55-0c2f6d1e8b90',
    method: 'POST',
    url: 'https://api.payments.example/v1/refunds',
    body: { payment: 'pay_1001', amount: 4_900 },
    reason: 'Refund for order 17',
  },
  success: Type.Union([ProxyResult, CallerDecisionRecord]),
  accepted: PendingApproval,
  errors: [
    ...USE_ERRORS,
    'aws_signing_scope_unknown',
    'forbidden_header',
    'provider_timeout',
    'provider_unreachable',
    'reason_required',
    'too_many_pending_approvals',
  ],
  audit: audited(
    'proxy.requested',
    'proxy.executed',
    'proxy.denied',
    'proxy.refused',
    'proxy.failed',
    'approval.requested',
    'policy.simulated',
  ),
})

/** Body of a retrieval (docs/spec/wire-protocol.md#retrieving-a-credential). */
export const TokenRequestBody = Exactly({
  grant_id: addressing.grant_id,
  provider_id: addressing.provider_id,
  reason: Type.Optional(Type.String()),
  /** What the caller says it will do; recorded, and may only add refusals. */
  request: Type.Optional(
    Exactly({ method: Type.String({ minLength: 1, maxLength: 32 }), url: Type.String({ minLength: 1 }) }),
  ),
  user_token: addressing.user_token,
  app_user_id: addressing.app_user_id,
  account: addressing.account,
  label: addressing.label,
})

const RetryErrorInfo = Type.Object(
  {
    attempt: Type.Integer({ minimum: 1, description: 'Counted from 1.' }),
    error: Type.String({ maxLength: 500 }),
    error_type: Nullable(Type.String()),
    delay_s: Nullable(Type.Number(), { description: 'How long the vault waited afterwards, in seconds.' }),
    permanent: Type.Boolean({ default: false, description: 'Trying again would not have helped.' }),
  },
  { title: 'RetryErrorInfo', description: 'One attempt that failed.' },
)
const RetryInfo = Type.Object(
  {
    total_attempts: Type.Integer({ minimum: 1 }),
    successful_attempt: Nullable(Type.Integer(), { description: 'Which attempt succeeded, counted from 1.' }),
    errors: Type.Array(RetryErrorInfo, { default: [] }),
  },
  { title: 'RetryInfo', description: 'What the vault tried while it fetched a credential.' },
)
const AdditionalInjection = Type.Object(
  {
    target: Type.Enum(['header', 'query_param']),
    key: Type.String({ pattern: '^[A-Za-z][A-Za-z0-9_-]*$', maxLength: 100 }),
    value_source: Type.String({
      pattern: '^(?:token|additional_credentials\\.[a-z][a-z0-9_]*)$',
      description: '`token`, or `additional_credentials.<name>`.',
    }),
  },
  { title: 'AdditionalInjection', description: 'Where one more copy of a credential goes.', maxProperties: 3 },
)

/** A credential and how to put it on a request (docs/spec/wire-protocol.md#retrieving-a-credential). */
export const TokenResult = Type.Object(
  {
    access_token: Type.String({ pattern: '^[^\\r\\n\\0]+$' }),
    grant_id: Uuid,
    token_type: Type.String({ pattern: '^\\S(?:.*\\S)?$', maxLength: 255, default: 'Bearer' }),
    expires_in: Nullable(Type.Integer({ minimum: 0 })),
    expires_at: Nullable(Timestamp),
    scopes: Type.Array(Type.String({ pattern: '^\\S(?:.*\\S)?$' }), { default: [] }),
    provider_id: Type.String({ maxLength: 255, default: '' }),
    token_generation: Nullable(Uuid),
    scope_mismatch: Type.Boolean({ default: false }),
    injection_header: Type.String({ pattern: '^[A-Za-z][A-Za-z0-9-]*$', maxLength: 60, default: 'Authorization' }),
    injection_format: Type.String({
      pattern: '^(?:AWS4-HMAC-SHA256[^\\r\\n\\0]*|[^\\r\\n\\0]*\\{token\\}[^\\r\\n\\0]*)$',
      maxLength: 200,
      default: 'Bearer {token}',
    }),
    additional_credentials: Nullable(
      Type.Record(Type.String(), Type.String({ pattern: '\\S', maxLength: 8_192 }), { maxProperties: 10 }),
    ),
    additional_injections: Nullable(Type.Array(AdditionalInjection, { maxItems: 10 })),
    retry_info: Type.Optional(NullWhenUnknown(RetryInfo)),
  },
  { title: 'TokenResponse', description: 'A credential and how to put it on a request.' },
)

/** SDK call 1: hands the credential to the SDK's memory. */
export const retrieveToken = sdkApi.defineEndpoint({
  id: 'retrieve_token',
  method: 'POST',
  path: '/sdk/token',
  namesDecision: true,
  summary: 'Retrieve a credential for a direct call',
  tag: 'calls',
  access: apiKey({ scopes: ['tokens:retrieve'] }),
  body: TokenRequestBody,
  example: {
    grant_id: '018f5a3c-7b21-7c4e-9a55-0c2f6d1e8b90',
    reason: 'Nightly report',
    request: { method: 'GET', url: 'https://api.payments.example/v1/charges' },
  },
  success: TokenResult,
  errors: [...USE_ERRORS, 'hitl_grant_requires_proxy', 'restricted_grant_requires_proxy'],
  audit: audited('token.requested', 'token.retrieved', 'token.denied', 'token.refused'),
})

/** Body of SDK call 5: what the SDK did with a retrieved credential. Telemetry: unknown members are ignored. */
export const ApiCallReport = Type.Object(
  {
    grant_id: Uuid,
    provider_id: Type.Optional(
      Type.String({ maxLength: 255, default: '', description: 'Empty when the vault named no provider.' }),
    ),
    token_generation: Type.Optional(Nullable(Type.String({ maxLength: 64 }))),
    method: Type.String({ minLength: 1, maxLength: 32 }),
    url: Type.String({
      minLength: 1,
      maxLength: 65_536,
      description: 'Without injected parameters and those given apart from the URL.',
    }),
    request_headers: Type.Optional(Type.Record(Type.String(), Type.String(), { default: {} })),
    request_body: Type.Optional(
      Type.Unknown({ description: 'JSON, text, or a note such as `<binary body: 12 bytes>`.' }),
    ),
    response_status: Type.Integer({ minimum: 0, maximum: 999, description: '0 when there was no answer.' }),
    response_headers: Type.Optional(Type.Record(Type.String(), Type.String(), { default: {} })),
    response_body: Type.Optional(Type.String({ default: '' })),
    latency_ms: Type.Number({ minimum: 0 }),
    reason: Type.Optional(Nullable(Type.String())),
    context: Type.Optional(Nullable(JsonObject)),
  },
  {
    title: 'APICallAuditLog',
    description:
      "A provider call as its caller reports it. It is the client's word: only proxied calls are recorded by the vault.",
  },
)

export const reportApiCall = sdkApi.defineEndpoint({
  id: 'report_api_call',
  method: 'POST',
  path: '/sdk/oauth/audit/api-call',
  summary: 'Report a direct call made with a retrieved credential',
  tag: 'calls',
  access: apiKey({ scopes: ['audit:emit'], inactiveAgent: true }),
  body: ApiCallReport,
  example: {
    grant_id: '018f5a3c-7b21-7c4e-9a55-0c2f6d1e8b90',
    method: 'GET',
    url: 'https://api.payments.example/v1/charges',
    response_status: 200,
    latency_ms: 84,
  },
  success: Type.Object({ success: Type.Literal(true), event_id: Uuid }),
  errors: ['grant_not_found', 'audit_unavailable'],
  audit: audited('call.reported'),
  lenient: true,
})

export type ProxyRequestBody = Type.Static<typeof ProxyRequestBody>
export type ProxyResult = Type.Static<typeof ProxyResult>
export type TokenRequestBody = Type.Static<typeof TokenRequestBody>
export type TokenResult = Type.Static<typeof TokenResult>
export type ApiCallReport = Type.Static<typeof ApiCallReport>
