import Type from 'typebox'
import { apiKey } from './access.ts'
import { sdkApi } from './api.ts'
import { PendingApproval } from './approval.ts'
import { audited } from './endpoint.ts'
import { Exactly, JsonObject, Label, Nullable, ProviderId, Timestamp, UserToken, Uuid } from './primitives.ts'
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
export const ProxyResult = Type.Object({
  status_code: Type.Integer({ minimum: 100, maximum: 599 }),
  /** Standard padded base64. */
  body_b64: Type.String(),
  /** Repeated headers are joined by a comma. */
  headers: Type.Record(Type.String(), Type.String()),
  body_truncated: Type.Boolean(),
  duration_ms: Nullable(Type.Integer({ minimum: 0 })),
  credential_hint: Nullable(Type.String()),
  reason_truncated: Type.Optional(Type.Literal(true)),
})

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
  ...addressing,
  reason: Type.Optional(Type.String()),
  /** What the caller says it will do; recorded, and may only add refusals. */
  request: Type.Optional(
    Exactly({ method: Type.String({ minLength: 1, maxLength: 32 }), url: Type.String({ minLength: 1 }) }),
  ),
})

/** A credential and how to put it on a request. */
export const TokenResult = Type.Object({
  access_token: Type.String({ minLength: 1 }),
  grant_id: Uuid,
  token_type: Type.String(),
  expires_in: Nullable(Type.Integer({ minimum: 0 })),
  expires_at: Nullable(Timestamp),
  scopes: Type.Array(Type.String()),
  provider_id: Type.String(),
  token_generation: Nullable(Uuid),
  scope_mismatch: Type.Boolean(),
  injection_header: Type.String(),
  injection_format: Type.String(),
  additional_credentials: Nullable(Type.Record(Type.String(), Type.String())),
  additional_injections: Nullable(
    Type.Array(
      Exactly({ target: Type.Enum(['header', 'query_param']), key: Type.String(), value_source: Type.String() }),
    ),
  ),
})

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

const ReportedText = Type.Unknown()

/** Body of SDK call 5: what the SDK did with a retrieved credential. Telemetry: unknown members are ignored. */
export const ApiCallReport = Type.Object({
  grant_id: Uuid,
  provider_id: Type.Optional(Nullable(Type.String({ maxLength: 255 }))),
  token_generation: Type.Optional(Nullable(Type.String({ maxLength: 64 }))),
  method: Type.String({ minLength: 1, maxLength: 32 }),
  url: Type.String({ minLength: 1, maxLength: 65_536 }),
  request_headers: Type.Optional(Nullable(Type.Record(Type.String(), Type.String()))),
  request_body: Type.Optional(ReportedText),
  /** 0: the provider was not reached. */
  response_status: Type.Integer({ minimum: 0, maximum: 599 }),
  response_headers: Type.Optional(Nullable(Type.Record(Type.String(), Type.String()))),
  response_body: Type.Optional(ReportedText),
  latency_ms: Type.Number({ minimum: 0 }),
  reason: Type.Optional(Nullable(Type.String())),
  context: Type.Optional(Nullable(JsonObject)),
})

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
