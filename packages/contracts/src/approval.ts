import Type from 'typebox'
import { apiKey, operator } from './access.ts'
import { managementApi, sdkApi } from './api.ts'
import { audited, noAudit } from './endpoint.ts'
import { ListOf, pageQuery } from './list.ts'
import { Exactly, Nullable, Sha256Hex, Timestamp, Uuid } from './primitives.ts'

/** The longest `wait` of a status call, in seconds. */
export const APPROVAL_WAIT_MAX_SECONDS = 25
/** The largest body of a held request, in bytes, and of a stored answer; a longer answer is cut. */
export const HELD_BODY_MAX_BYTES = 1_048_576

/** State of a whole held request. `denied`, `expired`, `executed` and `failed` are final. */
export const ApprovalStatusValue = Type.Enum([
  'pending',
  'approved',
  'executing',
  'denied',
  'expired',
  'executed',
  'failed',
])
/** State of one gate: only its own decision. */
export const GateStatusValue = Type.Enum(['pending', 'approved', 'denied', 'expired'])
export const ApprovalDecision = Type.Enum(['approve', 'deny'])

const GateId = Type.String({ maxLength: 200 })

/**
 * What a proxy call answers with status 202 when it was held (docs/spec/wire-protocol.md#proxied-calls). `approval_id` is the group's
 * first gate.
 */
export const PendingApproval = Exactly({
  approval_id: Uuid,
  approval_group_id: Uuid,
  status: Type.Literal('pending'),
  /** The earliest end of the gates. */
  expires_at: Timestamp,
  expires_in: Type.Integer({ minimum: 0 }),
  approval_url: Type.String({ minLength: 1 }),
  gates: Type.Array(
    Exactly({
      approval_id: Uuid,
      expires_at: Timestamp,
      expires_in: Type.Integer({ minimum: 0 }),
      approval_url: Type.String({ minLength: 1 }),
    }),
    { minItems: 1 },
  ),
})

/** Where a held request stands (docs/spec/approvals.md#states). The same for every gate id of the group. */
export const ApprovalState = Exactly({
  approval_id: Uuid,
  approval_group_id: Uuid,
  status: ApprovalStatusValue,
  gates: Type.Array(
    Exactly({
      approval_id: Uuid,
      status: GateStatusValue,
      expires_at: Timestamp,
      decided_at: Nullable(Timestamp),
    }),
    { minItems: 1 },
  ),
  expires_at: Timestamp,
  /** True only while the result can be read. */
  has_result: Type.Boolean(),
  decided_at: Nullable(Timestamp),
  decision_reason: Nullable(Type.String()),
  executed_at: Nullable(Timestamp),
  /** `<code>` or `<code>: <short text>` of a `failed` request. */
  execution_error: Nullable(Type.String()),
})

/** The provider's answer to an approved request, as it was stored. */
export const ApprovalResult = Exactly({
  approval_id: Uuid,
  status_code: Type.Integer({ minimum: 100, maximum: 599 }),
  headers: Type.Record(Type.String(), Type.String()),
  /** Standard padded base64. */
  body_b64: Type.String(),
  /** The answer was longer than what is kept. */
  body_truncated: Type.Boolean(),
  duration_ms: Nullable(Type.Integer({ minimum: 0 })),
  credential_hint: Nullable(Type.String()),
})

/** SDK call 3. With `wait` the answer comes when the request has ended or after that many seconds. */
export const readApprovalStatus = sdkApi.defineEndpoint({
  id: 'read_approval_status',
  method: 'GET',
  path: '/sdk/approvals/:approval_id',
  summary: 'Read where a held request stands',
  tag: 'approvals',
  access: apiKey({ scopes: ['approvals:read', 'proxy:execute'], anyOf: true }),
  params: Type.Object({ approval_id: GateId }),
  query: Exactly({ wait: Type.Optional(Type.Integer({ minimum: 0, maximum: APPROVAL_WAIT_MAX_SECONDS })) }),
  success: ApprovalState,
  errors: ['approval_not_found'],
  audit: noAudit('answers states and times only; the decisions themselves are rows'),
})

/** SDK call 4. */
export const readApprovalResult = sdkApi.defineEndpoint({
  id: 'read_approval_result',
  method: 'GET',
  path: '/sdk/approvals/:approval_id/result',
  namesDecision: true,
  summary: "Read the provider's answer to an approved request",
  tag: 'approvals',
  access: apiKey({ scopes: ['approvals:read', 'proxy:execute'], anyOf: true }),
  params: Type.Object({ approval_id: GateId }),
  success: ApprovalResult,
  errors: [
    'approval_denied',
    'approval_execution_failed',
    'approval_expired',
    'approval_not_executed',
    'approval_not_found',
    'approval_result_expired',
  ],
  audit: audited('approval.result_read'),
})

/** One gate as operators see it. */
export const ManagedGate = Exactly({
  approval_id: Uuid,
  status: GateStatusValue,
  quorum: Type.Integer({ minimum: 1 }),
  approvals: Type.Integer({ minimum: 0 }),
  expires_at: Timestamp,
  decided_at: Nullable(Timestamp),
  decision_reason: Nullable(Type.String()),
  link_mode: Type.Enum(['bearer', 'sign_in']),
  /** Who may decide, in words. Empty: whoever holds the link. */
  approvers: Type.Array(Type.String()),
  /** The rules that this gate answers. */
  rules: Type.Array(
    Exactly({
      rule_id: Nullable(Uuid),
      rule_version: Nullable(Type.Integer({ minimum: 1 })),
      rule_name: Nullable(Type.String()),
      target_type: Type.String(),
    }),
  ),
  decisions: Type.Array(
    Exactly({
      decision: ApprovalDecision,
      approver_kind: Type.Enum(['link', 'member', 'app_user']),
      reason: Nullable(Type.String()),
      decided_at: Timestamp,
    }),
  ),
})

const managed = {
  approval_group_id: Uuid,
  /** The group's first gate. */
  approval_id: Uuid,
  status: ApprovalStatusValue,
  /** Method, host and path. */
  action: Type.String(),
  action_hash: Sha256Hex,
  provider_id: Type.String(),
  grant_id: Uuid,
  key_id: Uuid,
  agent_id: Nullable(Uuid),
  app_user_id: Nullable(Uuid),
  reason: Nullable(Type.String()),
  trace_id: Type.String(),
  requested_at: Timestamp,
  expires_at: Timestamp,
  decided_at: Nullable(Timestamp),
  decision_reason: Nullable(Type.String()),
  executed_at: Nullable(Timestamp),
  execution_error: Nullable(Type.String()),
  has_result: Type.Boolean(),
  /** The request ended longer ago than the app's `retain_body_days` and is no longer kept. */
  request_erased: Type.Boolean(),
  gates: Type.Array(ManagedGate, { minItems: 1 }),
}

/** A held request in a list. */
export const ManagedApproval = Exactly(managed)

/** A held request by itself: what would be sent, without any value that may be private. */
export const ManagedApprovalDetail = Exactly({
  ...managed,
  /** Null when it was erased. */
  request: Nullable(
    Exactly({
      method: Type.String(),
      /** Values of the query left out. */
      url: Type.String(),
      query_names: Type.Array(Type.String()),
      header_names: Type.Array(Type.String()),
      body: Exactly({
        content_type: Nullable(Type.String()),
        size_bytes: Type.Integer({ minimum: 0 }),
        sha256: Sha256Hex,
      }),
    }),
  ),
})

const appParams = Type.Object({ app_id: Type.String({ maxLength: 200 }) })
const approvalParams = Type.Object({ app_id: Type.String({ maxLength: 200 }), approval_id: GateId })

export const listApprovals = managementApi.defineEndpoint({
  id: 'list_approvals',
  method: 'GET',
  path: '/api/v1/apps/:app_id/approvals',
  summary: 'List held requests, newest first',
  tag: 'approvals',
  access: operator({ scope: 'approvals:read' }),
  params: appParams,
  query: Exactly({
    status: Type.Optional(ApprovalStatusValue),
    agent_id: Type.Optional(Uuid),
    grant_id: Type.Optional(Uuid),
    ...pageQuery,
  }),
  success: ListOf(ManagedApproval),
  audit: noAudit('a list of states without any content of the requests'),
})

export const getApproval = managementApi.defineEndpoint({
  id: 'get_approval',
  method: 'GET',
  path: '/api/v1/apps/:app_id/approvals/:approval_id',
  summary: 'Show one held request, redacted',
  tag: 'approvals',
  access: operator({ scope: 'approvals:read' }),
  params: approvalParams,
  success: ManagedApprovalDetail,
  errors: ['approval_not_found'],
  audit: noAudit('shows names and sizes of the request, no value of it'),
})

/** Withdraws a pending request. Repeating it on one that was cancelled changes nothing. */
export const cancelApproval = managementApi.defineEndpoint({
  id: 'cancel_approval',
  method: 'POST',
  path: '/api/v1/apps/:app_id/approvals/:approval_id/cancel',
  summary: 'Withdraw a pending request',
  tag: 'approvals',
  access: operator({ scope: 'approvals:write' }),
  params: approvalParams,
  success: ManagedApproval,
  errors: ['approval_not_found', 'approval_not_pending'],
  audit: audited('approval.cancelled'),
})

/** Deciding needs a person who is signed in: a token is always refused. */
export const decideApprovalAsOperator = managementApi.defineEndpoint({
  id: 'decide_approval_as_operator',
  method: 'POST',
  path: '/api/v1/apps/:app_id/approvals/:approval_id/decide',
  summary: 'Approve or deny a held request as a signed-in member',
  tag: 'approvals',
  access: operator({ scope: null, inPerson: true }),
  params: approvalParams,
  body: Exactly({
    decision: ApprovalDecision,
    action_hash: Sha256Hex,
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: 500 })),
  }),
  example: {
    decision: 'deny',
    action_hash: '0000000000000000000000000000000000000000000000000000000000000000',
    reason: 'Wrong customer',
  },
  success: ManagedApproval,
  audit: noAudit('never succeeds for a token, and only tokens reach it'),
})

export type ApprovalStatusValue = Type.Static<typeof ApprovalStatusValue>
export type GateStatusValue = Type.Static<typeof GateStatusValue>
export type ApprovalDecision = Type.Static<typeof ApprovalDecision>
export type PendingApproval = Type.Static<typeof PendingApproval>
export type ApprovalState = Type.Static<typeof ApprovalState>
export type ApprovalResult = Type.Static<typeof ApprovalResult>
export type ManagedApproval = Type.Static<typeof ManagedApproval>
export type ManagedApprovalDetail = Type.Static<typeof ManagedApprovalDetail>
