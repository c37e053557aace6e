import Type from 'typebox'
import { approvalLink } from './access.ts'
import { approvalPageApi } from './api.ts'
import {
  ApprovalStatusValue as ApprovalStatus,
  ApprovalDecision as Decision,
  GateStatusValue as GateStatus,
} from './approval.ts'
import { audited, noAudit } from './endpoint.ts'
import { Exactly, Nullable, ProviderStatus, Sha256Hex, Timestamp, Uuid } from './primitives.ts'

/** Body text shown inline, in bytes: the first part and the last; the rest is read on demand with `?body=whole`. */
export const SHOWN_HEAD_BYTES = 49_152
export const SHOWN_TAIL_BYTES = 16_384
/** Values of a body that are listed by themselves, and the characters that are shown of each. */
export const LISTED_VALUES = 100
export const LISTED_VALUE_CHARACTERS = 200
/** The longest reason a person may give with a decision, in characters. */
export const DECISION_REASON_MAX_CHARACTERS = 500
/** Request header that carries the link token of `{PUBLIC_URL}/wallet/approvals/<id>#t=<token>`. */
export const LINK_TOKEN_HEADER = 'x-alter-link-token'

/** Why a request ended although nobody decided it. */
const WithdrawnReason = Type.Enum([
  'cancelled',
  'grant_revoked',
  'agent_revoked',
  'key_revoked',
  'user_not_active',
  'app_archived',
])

/**
 * Why nobody can say how the provider reads a body; rules then take what is in it for unknown. `content_type`: neither plain JSON nor a
 * plain form. `malformed`: not what its type says. `ambiguous`: it has several readings, such as a member named twice.
 */
export const BodyDoubt = Type.Enum([
  'content_type',
  'content_encoding',
  'too_long',
  'not_utf8',
  'malformed',
  'ambiguous',
])

/**
 * A body as a person reads it.
 *
 * `utf8`: `content` is the exact text of the bytes, byte order mark included. `base64`: the bytes were not valid UTF-8.
 * `json`, `form` and `text` are always `utf8`; `binary` is always `base64`. A cut `utf8` body is cut at character borders.
 * `hidden` (every rule of the gate says `show_body: false`) and `empty` carry no content. `json` and `form` are what rules read too.
 */
export const BodyView = Exactly({
  kind: Type.Enum(['json', 'form', 'text', 'binary', 'empty', 'hidden']),
  content_type: Nullable(Type.String()),
  size_bytes: Type.Integer({ minimum: 0 }),
  /** Of the whole body, also when some of it is left out. */
  sha256: Sha256Hex,
  encoding: Nullable(Type.Enum(['utf8', 'base64'])),
  /** The whole body, or its first part. */
  content: Nullable(Type.String()),
  /** The last part of a body of which some is left out. */
  tail: Nullable(Type.String()),
  /** Bytes between `content` and `tail`. */
  omitted_bytes: Type.Integer({ minimum: 0 }),
  doubt: Nullable(BodyDoubt),
  /** Members of the JSON value, or fields of the form, of the whole body and in order; values as they are written, cut when long. */
  values: Type.Array(Exactly({ name: Type.String(), value: Type.String(), cut: Type.Boolean() }), {
    maxItems: LISTED_VALUES,
  }),
  /** How many there are, listed or not. */
  values_total: Type.Integer({ minimum: 0 }),
})

const NameAndValue = Exactly({ name: Type.String(), value: Type.String() })

/** The frozen request without its secrets. Everything here is what will be sent, or the name of what the vault adds. */
export const RequestView = Exactly({
  method: Type.String({ minLength: 1 }),
  /** Canonical URL, whole, as it is frozen (without what the vault adds to the query). */
  url: Type.String({ minLength: 1 }),
  /** The parts of `url`. */
  url_parts: Exactly({
    scheme: Type.Enum(['https', 'http']),
    /** ASCII form, IPv6 in brackets; what is resolved and dialled. */
    host: Type.String({ minLength: 1 }),
    /** Unicode form when a label is punycode and decodes, else null. */
    host_unicode: Nullable(Type.String()),
    /** Null for the scheme's own port. */
    port: Nullable(Type.Integer({ minimum: 1, maximum: 65_535 })),
    /** As sent, percent-encoded. */
    path: Type.String(),
    /** How a server may read the path otherwise: decoded, without doubled slashes and path parameters. Null when all read it as sent. */
    path_reads: Nullable(Type.String()),
  }),
  /** Decoded, in order, repeats kept. */
  query: Type.Array(NameAndValue),
  /** Readers may find other names and values in the query. */
  query_ambiguous: Type.Boolean(),
  /** A parameter such as `_method` is there, by which frameworks take a request for one of another method. */
  names_other_method: Type.Boolean(),
  /** Headers whose values may be seen, lower-case names, in sending order, repeats kept. */
  headers: Type.Array(NameAndValue),
  /** Names whose values only the vault knows or sets: injected credentials, `authorization`, `cookie`, signatures. */
  added_by_vault: Type.Array(Exactly({ place: Type.Enum(['header', 'query', 'body']), name: Type.String() })),
  body: BodyView,
})

/** A person (or the bearer of the link) who decided. */
export const Decider = Exactly({
  kind: Type.Enum(['link', 'app_user', 'member']),
  /** Display name or e-mail; null for `link`. */
  name: Nullable(Type.String()),
  /** The reader of this answer. For `link`: the reader holds the same link. */
  is_you: Type.Boolean(),
})

const GateDecision = Exactly({
  decision: Decision,
  by: Decider,
  decided_at: Timestamp,
  reason: Nullable(Type.String()),
})

/** One gate of the group. The gate whose link was opened has `is_this`. */
export const GateView = Exactly({
  gate_id: Uuid,
  is_this: Type.Boolean(),
  status: GateStatus,
  quorum: Type.Integer({ minimum: 1 }),
  approvals: Type.Integer({ minimum: 0 }),
  expires_at: Timestamp,
  /** Who may decide, in words ("ann@acme.com", "group Finance"). Empty: whoever holds the link. */
  approvers: Type.Array(Type.String()),
  decisions: Type.Array(GateDecision),
})

/** How the page is dressed. Colors are those of the app's `branding`; the page computes readable foregrounds itself. */
export const PageBranding = Exactly({
  display_name: Type.String({ minLength: 1 }),
  primary_color: Nullable(Type.String({ pattern: '^#[0-9a-fA-F]{6}$' })),
  background_color: Nullable(Type.String({ pattern: '^#[0-9a-fA-F]{6}$' })),
  support_email: Nullable(Type.String()),
})

const always = {
  /** The gate whose link was opened. */
  approval_id: Uuid,
  approval_group_id: Uuid,
  status: ApprovalStatus,
  gate_status: GateStatus,
  gates: Type.Array(GateView, { minItems: 1 }),
  branding: PageBranding,
  created_at: Timestamp,
  /** The earliest end of the gates. */
  expires_at: Timestamp,
  /** The server's clock when it answered: countdowns count from here, not from the reader's clock. */
  server_now: Timestamp,
}

/** A reason why current policy would refuse the execution although the approval is given. */
const WouldBeDeniedReason = Exactly({
  code: Type.String(),
  message: Type.String(),
  rule_name: Nullable(Type.String()),
})

/** The page while this gate is pending: everything a person decides on. */
export const OpenApprovalPage = Exactly({
  view: Type.Literal('open'),
  ...always,
  /** SHA-256 of the canonical frozen request; sent back with the decision. The page shows its first 12 characters. */
  action_hash: Sha256Hex,
  request: RequestView,
  /** One sentence from the provider's description of the operation ("Refund 450.00 EUR of ch_3…"), never from the requester. */
  meaning: Nullable(Type.String()),
  /** The requester's own words, unchecked. */
  reason: Nullable(Type.String()),
  requester: Exactly({
    app: Exactly({ id: Uuid, name: Type.String() }),
    agent: Nullable(Exactly({ id: Uuid, name: Type.String(), type: Type.String() })),
    /** Of `X-Alter-Caller`; said by the requester. */
    caller: Nullable(Type.String()),
    run_id: Nullable(Type.String()),
    thread_id: Nullable(Type.String()),
    parent_agent: Nullable(Type.String()),
    /** The person for whom the agent acts. */
    user: Nullable(Exactly({ id: Uuid, name: Nullable(Type.String()), email: Nullable(Type.String()) })),
  }),
  credential: Exactly({
    kind: Type.Enum(['oauth', 'managed_secret']),
    /** Provider id or secret slug. */
    provider_id: Type.String(),
    /** Name of the provider, or of the managed secret. */
    name: Type.String(),
    account: Nullable(Type.String()),
    grant_id: Uuid,
    grant_label: Nullable(Type.String()),
    scopes: Type.Array(Type.String()),
  }),
  /** The rules that this gate answers. */
  held_by: Type.Array(
    Exactly({
      rule_id: Nullable(Uuid),
      name: Type.String(),
      source: Type.Enum(['organization', 'app', 'provider', 'agent', 'grant', 'key', 'request', 'own_limit']),
    }),
    { minItems: 1 },
  ),
  /** At most five earlier requests of the same agent (or key) to the same method, host and path, newest first. */
  history: Type.Array(
    Exactly({
      approval_id: Uuid,
      action: Type.String(),
      status: ApprovalStatus,
      decided_by: Nullable(Type.String()),
      created_at: Timestamp,
    }),
    { maxItems: 5 },
  ),
  /** Null unless current policy would refuse the execution. */
  would_be_denied: Nullable(Exactly({ reasons: Type.Array(WouldBeDeniedReason, { minItems: 1 }) })),
  options: Exactly({
    decision_reason: Type.Enum(['optional', 'on_deny', 'always']),
    /** `sign_in`: the link only opens the page; deciding needs a signed-in approver. */
    link_mode: Type.Enum(['bearer', 'sign_in']),
    show_body: Type.Boolean(),
    /** Another pending request has the same `action_hash`. */
    identical_waiting: Type.Boolean(),
  }),
  /** Who reads, and what the server would answer to a decision of theirs. */
  viewer: Exactly({
    by: Decider,
    /** What this reader already decided on this gate. */
    decision: Nullable(Decision),
    /** Null when the reader may decide. */
    refusal: Nullable(Type.Enum(['sign_in_required', 'step_up_required', 'not_an_approver', 'approver_is_requester'])),
    /** Path on this origin where the reader signs in; null when the installation has no sign-in for people. */
    sign_in_path: Nullable(Type.String({ pattern: '^/[^/\\\\]' })),
  }),
})

/** The page after this gate ended: what was asked in one line, and the outcome; no longer query, headers and body. */
export const EndedApprovalPage = Exactly({
  view: Type.Literal('ended'),
  ...always,
  /** Method, host and path. */
  action: Type.String(),
  asked_by: Exactly({ app: Type.String(), agent: Nullable(Type.String()) }),
  outcome: Exactly({
    decided_at: Nullable(Timestamp),
    /** Reason of the decision that ended the group. */
    decision_reason: Nullable(Type.String()),
    withdrawn_reason: Nullable(WithdrawnReason),
    executed_at: Nullable(Timestamp),
    /** Status of the provider's answer when `executed`. */
    status_code: Nullable(ProviderStatus),
    duration_ms: Nullable(Type.Integer({ minimum: 0 })),
    /** `<code>` or `<code>: <short text>` when `failed`; `execution_outcome_unknown` may have reached the provider. */
    execution_error: Nullable(Type.String()),
    /** The request ended longer ago than the app's `retain_body_days`, so that the vault no longer has it. */
    request_erased: Type.Boolean(),
    /** The provider's answer, only when every rule says `show_result` and it is still kept. */
    answer_body: Nullable(BodyView),
  }),
})

export const ApprovalPage = Type.Union([OpenApprovalPage, EndedApprovalPage])

/** State after a decision. `warning` never changes the answer: the approval stands, the execution will be refused. */
export const DecisionState = Exactly({
  approval_id: Uuid,
  approval_group_id: Uuid,
  status: ApprovalStatus,
  gate_status: GateStatus,
  quorum: Type.Integer({ minimum: 1 }),
  approvals: Type.Integer({ minimum: 0 }),
  expires_at: Timestamp,
  decided_at: Nullable(Timestamp),
  warning: Nullable(Type.Literal('would_be_denied')),
  reasons: Type.Array(WouldBeDeniedReason),
})

export type BodyView = Type.Static<typeof BodyView>
export type RequestView = Type.Static<typeof RequestView>
export type Decider = Type.Static<typeof Decider>
export type GateView = Type.Static<typeof GateView>
export type OpenApprovalPage = Type.Static<typeof OpenApprovalPage>
export type EndedApprovalPage = Type.Static<typeof EndedApprovalPage>
export type ApprovalPage = Type.Static<typeof ApprovalPage>
export type DecisionState = Type.Static<typeof DecisionState>

/* Ids and tokens are not held to their form here: a malformed one gets the same 404 as a forged one. */
const params = Type.Object({ approval_id: Type.String({ maxLength: 200 }) })

/** What the decision page shows. Reading never decides and never extends anything. */
export const readApprovalPage = approvalPageApi.defineEndpoint({
  id: 'read_approval_page',
  method: 'GET',
  path: '/wallet/api/approvals/:approval_id',
  summary: 'Read what a held request would send, or how it ended',
  tag: 'approvals',
  access: approvalLink(),
  params,
  headers: Type.Object({ [LINK_TOKEN_HEADER]: Type.Optional(Type.String()) }),
  /** `body=whole`: `request.body.content` is the whole body (at most 1 MiB), for the download of a long one. */
  query: Type.Object({ body: Type.Optional(Type.Literal('whole')) }),
  success: ApprovalPage,
  errors: ['approval_not_found'],
  audit: noAudit('shows a held request to the holder of its link; opens no credential and changes nothing'),
})

/**
 * Decides one gate. The same decision of the same person again is answered 200 and changes nothing; the other one is 409
 * `approval_already_decided` with the standing `DecisionState` in `details`.
 */
export const decideApprovalByLink = approvalPageApi.defineEndpoint({
  id: 'decide_approval_by_link',
  method: 'POST',
  path: '/wallet/api/approvals/:approval_id/decide',
  summary: 'Approve or deny a held request',
  tag: 'approvals',
  access: approvalLink(),
  params,
  headers: Type.Object({ 'user-agent': Type.Optional(Type.String()) }),
  body: Exactly({
    decision: Decision,
    action_hash: Sha256Hex,
    reason: Type.Optional(Type.String({ minLength: 1, maxLength: DECISION_REASON_MAX_CHARACTERS })),
    link_token: Type.String({ maxLength: 2_048 }),
  }),
  example: {
    decision: 'approve',
    action_hash: '0000000000000000000000000000000000000000000000000000000000000000',
    link_token: 'the text behind #t= in the link',
  },
  success: DecisionState,
  errors: [
    'action_changed',
    'approval_already_decided',
    'approval_expired',
    'approval_not_found',
    'reason_required',
    'sign_in_required',
    'step_up_required',
  ],
  audit: audited('approval.decided', 'approval.approved', 'approval.denied'),
})
