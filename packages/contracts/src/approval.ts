import Type from 'typebox'
import { apiKey, operator } from './access.ts'
import { managementApi, sdkApi } from './api.ts'
import { audited, noAudit } from './endpoint.ts'
import { ListOf, pageQuery } from './list.ts'
import { Exactly, Nullable, NullWhenUnknown, Sha256Hex, Timestamp, Uuid } from './primitives.ts'

/** The longest `wait` of a status call, in seconds. */
export const APPROVAL_WAIT_MAX_SECONDS = 25
/** The largest body of a held request, in bytes, and of a stored answer; a longer answer is cut. */
export const HELD_BODY_MAX_BYTES = 1_048_576

export const ApprovalStatusValue = Type.Enum(
  ['pending', 'approved', 'executing', 'denied', 'expired', 'executed', 'failed'],
  { title: 'ApprovalStatusValue', description: 'States of a held request; the last four are final.' },
)
/** State of one gate: only its own decision. */
export const GateStatusValue = Type.Enum(['pending', 'approved', 'denied', 'expired'])
export const ApprovalDecision = Type.Enum(['approve', 'deny'])

const GateId = Type.String({ maxLength: 200 })

const closed = { additionalProperties: false } as const
const waits = {
  expires_at: Timestamp,
  expires_in: Type.Integer({ minimum: 0, description: 'Seconds until `expires_at`, as the vault counted.' }),
  approval_url: Type.String({
    minLength: 1,
    description: 'Where an approver decides. Whoever holds the link may be able to: hand it to the approver only.',
  }),
}
const PendingGate = Type.Object(
  { approval_id: Uuid, ...waits },
  {
    ...closed,
    title: 'PendingGate',
    description: 'One decision that a held request needs, with the link for its approvers.',
  },
)

/** What a proxy call answers with status 202 when it was held (docs/spec/wire-protocol.md#proxied-calls). */
export const PendingApproval = Type.Object(
  {
    approval_id: Type.With(Uuid, { description: 'The first gate. Ask for the outcome with this id.' }),
    approval_group_id: Uuid,
    status: Type.Literal('pending'),
    ...waits,
    gates: Type.Array(PendingGate, {
      minItems: 1,
      description: 'Every decision needed; more than one when several rules ask different people.',
    }),
  },
  {
    ...closed,
    title: 'PendingApproval',
    description:
      'The request was not sent: it is held until a person decides. `expires_at` is the earliest end of the gates.',
  },
)

const GateStatus = Type.Object(
  { approval_id: Uuid, status: ApprovalStatusValue, expires_at: Timestamp, decided_at: Nullable(Timestamp) },
  { ...closed, title: 'GateStatus', description: 'State of one decision of a held request.' },
)

/** Where a held request stands (docs/spec/approvals.md#states). The same for every gate id of the group. */
export const ApprovalState = Type.Object(
  {
    approval_id: Uuid,
    approval_group_id: Uuid,
    status: ApprovalStatusValue,
    gates: Type.Array(GateStatus, { minItems: 1 }),
    expires_at: Timestamp,
    has_result: Type.Boolean({ description: "The provider's answer can be fetched." }),
    decided_at: Nullable(Timestamp),
    decision_reason: Nullable(Type.String(), { description: 'What the approver wrote.' }),
    executed_at: Nullable(Timestamp),
    execution_error: Nullable(Type.String(), {
      description: 'Why a `failed` request could not be executed: `<code>` or `<code>: <short text>`.',
    }),
  },
  { ...closed, title: 'ApprovalStatus', description: 'A held request at one moment.' },
)

/** The provider's answer to a request, at once or as it was stored. */
export const ApprovalResult = Type.Object(
  {
    approval_id: Type.Optional(Nullable(Uuid, { description: 'Null when no approval was needed.' })),
    status_code: Type.Integer({ minimum: 100, maximum: 999, description: "The provider's HTTP status." }),
    headers: Type.Record(Type.String(), Type.String(), {
      default: {},
      description: 'Repeated headers are joined by a comma.',
    }),
    body_b64: Type.String({
      pattern: '^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$',
      description: 'The body in standard base64 with padding.',
    }),
    body_truncated: Type.Boolean({
      default: false,
      description: 'The body was longer than the vault keeps; `body_b64` is its beginning.',
    }),
    duration_ms: Nullable(Type.Integer({ minimum: 0 })),
    credential_hint: NullWhenUnknown(Type.String({ pattern: '\\S' }), {
      description: 'Advice of the vault when the provider refused the credential.',
    }),
  },
  {
    title: 'ApprovalResult',
    description: "The provider's answer to a proxied request. A status of 400 or above is an answer too, not an error.",
  },
)

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
