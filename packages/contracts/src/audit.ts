import Type from 'typebox'
import { everybody, operator } from './access.ts'
import { managementApi, statusApi } from './api.ts'
import { audited, noAudit } from './endpoint.ts'
import { ListOf, PathId, pageQuery } from './list.ts'
import { Count, JsonObject, Nullable, Sha256Hex, Timestamp, Uuid } from './primitives.ts'
import { DecisionEffect } from './rule.ts'

const Word = Type.String({ minLength: 1, maxLength: 255 })

export const AuditStream = Type.Enum(['runtime', 'grants', 'portal', 'provisioning', 'approvals', 'system'])
export const AuditOutcome = Type.Enum([
  'allowed',
  'success',
  'policy_denied',
  'refused',
  'provider_error',
  'network_error',
  'pending',
  'unknown',
  'changed',
])

/** One row of the log: its permanent part at the top, and what retention may forget in `detail`. */
export const AuditEvent = Type.Object({
  v: Type.Literal(1),
  event_id: Uuid,
  event: Type.String(),
  stream: AuditStream,
  organization_id: Nullable(Uuid),
  app_id: Nullable(Uuid),
  scope_id: Uuid,
  /** Counts from 1 within the scope, without gaps. */
  row_no: Type.Integer({ minimum: 1 }),
  occurred_at: Timestamp,
  caller_kind: Nullable(Type.String()),
  key_id: Nullable(Uuid),
  agent_id: Nullable(Uuid),
  actor_id: Nullable(Uuid),
  member_id: Nullable(Uuid),
  app_user_id: Nullable(Uuid),
  principal_type: Nullable(Type.String()),
  principal_id: Nullable(Type.String()),
  grant_id: Nullable(Uuid),
  provider_id: Nullable(Type.String()),
  resource_kind: Nullable(Type.String()),
  trace_id: Nullable(Type.String()),
  run_id: Nullable(Type.String()),
  thread_id: Nullable(Type.String()),
  approval_id: Nullable(Uuid),
  intent_id: Nullable(Uuid),
  outcome: AuditOutcome,
  decision_effect: Nullable(DecisionEffect),
  primary_reason: Nullable(Type.String()),
  reason: Nullable(Type.String()),
  /** Null once retention has replaced it by its hash. */
  detail: Nullable(JsonObject),
  /** The hash in the place of a pruned detail. */
  detail_h: Nullable(Sha256Hex),
})
export type AuditEvent = Type.Static<typeof AuditEvent>

/** How much of the log an answer is made from: everything, or what happened before `projected_to`. */
const completeness = { complete: Type.Boolean(), projected_to: Nullable(Timestamp) }
const pageOf = <T extends Type.TSchema>(item: T) => Type.Object({ ...ListOf(item).properties, ...completeness })

/** `since` is a span back from now (`90s`, `30m`, `24h`, `7d`) or an instant, and excludes `start` and `end`. */
const timeRange = {
  since: Type.Optional(Type.String({ minLength: 2, maxLength: 40 })),
  start: Type.Optional(Timestamp),
  end: Type.Optional(Timestamp),
}
const eventFilter = {
  ...timeRange,
  stream: Type.Optional(AuditStream),
  event: Type.Optional(Type.String({ pattern: '^[a-z_]+\\.[a-z_]+$', maxLength: 100 })),
  outcome: Type.Optional(AuditOutcome),
  policy_decision: Type.Optional(DecisionEffect),
  reason_code: Type.Optional(Type.String({ pattern: '^[a-z0-9_]+$', maxLength: 100 })),
  agent_id: Type.Optional(Uuid),
  actor_id: Type.Optional(Uuid),
  key_id: Type.Optional(Uuid),
  app_user_id: Type.Optional(Uuid),
  member_id: Type.Optional(Uuid),
  grant_id: Type.Optional(Uuid),
  provider_id: Type.Optional(Word),
  approval_id: Type.Optional(Uuid),
  trace_id: Type.Optional(Word),
  run_id: Type.Optional(Word),
  thread_id: Type.Optional(Word),
  method: Type.Optional(Type.String({ pattern: "^[A-Za-z0-9!#$%&'*+.^_`|~-]+$", maxLength: 32 })),
  host: Type.Optional(Word),
  status: Type.Optional(Type.String({ pattern: '^[1-9]([0-9]{2}|xx)$' })),
  tool: Type.Optional(Word),
  initiator: Type.Optional(Word),
  resource_type: Type.Optional(Word),
  /** Found anywhere in the reason or the URL, whatever its case. */
  q: Type.Optional(Type.String({ minLength: 1, maxLength: 100 })),
}
export const AuditFilter = Type.Object(eventFilter)
export type AuditFilter = Type.Static<typeof AuditFilter>
const pageBy = <const Names extends (keyof typeof eventFilter)[]>(names: readonly [...Names]) =>
  Type.Object({ ...pageQuery, ...timeRange, ...Type.Pick(AuditFilter, names).properties })

const tag = 'audit'
const access = operator({ scope: 'audit:read' })
const reads = { method: 'GET', tag, access, audit: noAudit('reads the log') } as const
const inApp = Type.Object({ app_id: PathId })
const ofEvent = Type.Object({ app_id: PathId, event_id: PathId })
const ofTrace = Type.Object({ app_id: PathId, trace_id: Word })
const ofExport = Type.Object({ app_id: PathId, export_id: PathId })

export const listAuditEvents = managementApi.defineEndpoint({
  ...reads,
  id: 'list_audit_events',
  path: '/api/v1/apps/:app_id/audit/events',
  summary: 'Search the audit log of an app, newest first',
  params: inApp,
  query: Type.Object({ ...pageQuery, ...eventFilter }),
  success: pageOf(AuditEvent),
})

export const showAuditEvent = managementApi.defineEndpoint({
  ...reads,
  id: 'show_audit_event',
  path: '/api/v1/apps/:app_id/audit/events/:event_id',
  summary: 'Show one row of the audit log',
  params: ofEvent,
  success: AuditEvent,
})

/**
 * A captured body. Text when it is UTF-8, else base64; neither for a type of which only the salt is kept. `matches` says whether it is
 * what the row's digest was made of; null when retention has forgotten that digest, and type and length with it. Whoever has a copy of the
 * whole body compares it by `whole_digest`, the HMAC-SHA-256 of it under `salt`.
 */
export const AuditBody = Type.Object({
  content_type: Nullable(Type.String()),
  length: Count,
  truncated: Type.Boolean(),
  salt: Sha256Hex,
  digest: Nullable(Sha256Hex),
  whole_digest: Nullable(Sha256Hex),
  matches: Nullable(Type.Boolean()),
  text: Nullable(Type.String()),
  base64: Nullable(Type.String()),
})
export type AuditBody = Type.Static<typeof AuditBody>

export const showAuditBody = managementApi.defineEndpoint({
  id: 'show_audit_body',
  method: 'GET',
  path: '/api/v1/apps/:app_id/audit/events/:event_id/body',
  summary: 'Open the bodies that were captured with a row; who looked is recorded first',
  tag,
  access,
  params: ofEvent,
  /** A side is null when nothing was captured or it was erased. */
  success: Type.Object({ event_id: Uuid, request: Nullable(AuditBody), response: Nullable(AuditBody) }),
  errors: ['audit_unavailable'],
  audit: audited('audit.queried_body'),
})

export const listPortalActions = managementApi.defineEndpoint({
  ...reads,
  id: 'list_portal_actions',
  path: '/api/v1/apps/:app_id/audit/portal-actions',
  summary: 'What operators changed, newest first',
  params: inApp,
  query: pageBy(['event', 'member_id', 'resource_type', 'initiator', 'q']),
  success: pageOf(AuditEvent),
})

export const listGrantEvents = managementApi.defineEndpoint({
  ...reads,
  id: 'list_grant_events',
  path: '/api/v1/apps/:app_id/audit/grant-events',
  summary: 'What became of grants and credentials, newest first',
  params: inApp,
  query: pageBy(['event', 'grant_id', 'agent_id', 'app_user_id', 'provider_id', 'initiator', 'q']),
  success: pageOf(AuditEvent),
})

/** A trace in short. Its place in the list is that of its first row. */
export const AuditTraceSummary = Type.Object({
  trace_id: Type.String(),
  started_at: Timestamp,
  last_at: Timestamp,
  event_count: Count,
  outcomes: Type.Array(AuditOutcome),
  provider_ids: Type.Array(Type.String()),
  agent_ids: Type.Array(Uuid),
})

export const listAuditTraces = managementApi.defineEndpoint({
  ...reads,
  id: 'list_audit_traces',
  path: '/api/v1/apps/:app_id/audit/traces',
  summary: 'List traces by when they began, newest first; filters look at the first row of each',
  params: inApp,
  query: pageBy(['agent_id', 'key_id', 'grant_id', 'provider_id', 'run_id', 'thread_id']),
  success: pageOf(AuditTraceSummary),
})

/**
 * A row of a trace in the order of its tree: each stands behind the row it followed from (an outcome behind its intent, what became
 * of an approval behind its request), one level deeper.
 */
export const AuditTraceRow = Type.Object({
  ...AuditEvent.properties,
  parent_event_id: Nullable(Uuid),
  depth: Count,
})
export type AuditTraceRow = Type.Static<typeof AuditTraceRow>

export const showAuditTrace = managementApi.defineEndpoint({
  ...reads,
  id: 'show_audit_trace',
  path: '/api/v1/apps/:app_id/audit/traces/:trace_id',
  summary: 'Show the rows of a trace as a tree',
  params: ofTrace,
  success: Type.Object({
    trace_id: Type.String(),
    items: Type.Array(AuditTraceRow),
    /** The trace has more rows than are shown: its first 1,000. */
    is_truncated: Type.Boolean(),
    ...completeness,
  }),
})

/** How a trace ended, in words that lead to a remedy. */
export const AuditEndState = Type.Enum([
  'succeeded',
  'in_flight',
  'policy_denied',
  'approval_pending',
  'approval_approved',
  'approval_denied',
  'approval_expired',
  'approval_cancelled',
  'outcome_unknown',
  'scope_missing',
  'grant_ended',
  'proxy_required',
  'destination_refused',
  'provider_unauthorized',
  'provider_rate_limited',
  'provider_rejected',
  'provider_failed',
  'store_unavailable',
  'refused',
  'changed',
])
export type AuditEndState = Type.Static<typeof AuditEndState>

/** What one can do about it. `command` is a line for the `alter` client. */
export const AuditRemedy = Type.Object({ text: Type.String(), command: Nullable(Type.String()) })

export const AuditExplanation = Type.Object({
  trace_id: Type.String(),
  end_state: AuditEndState,
  code: Nullable(Type.String()),
  /** The row that decided the end. */
  event_id: Uuid,
  event: Type.String(),
  occurred_at: Timestamp,
  summary: Type.String(),
  remedies: Type.Array(AuditRemedy),
  /** What the remedies rest on: rule, target, approval, host, status, provider. */
  facts: JsonObject,
})
export type AuditExplanation = Type.Static<typeof AuditExplanation>

export const explainAuditTrace = managementApi.defineEndpoint({
  ...reads,
  id: 'explain_audit_trace',
  path: '/api/v1/apps/:app_id/audit/traces/:trace_id/explain',
  summary: 'Say how a trace ended and what can be done about it',
  params: ofTrace,
  success: Type.Object({ ...AuditExplanation.properties, ...completeness }),
})

/** A signed checkpoint: the signature is over `"alter.audit.checkpoint.v1\n"` and the RFC 8785 form of `checkpoint`. */
export const AuditCheckpoint = Type.Object({
  checkpoint_no: Type.Integer({ minimum: 1 }),
  checkpoint: Type.Object({
    v: Type.Literal(1),
    scope_id: Uuid,
    /** The last batch that it covers, the last row, and the head there. */
    sequence: Type.Integer({ minimum: 1 }),
    row_no: Type.Integer({ minimum: 1 }),
    head: Sha256Hex,
    prev_checkpoint: Nullable(Sha256Hex),
    issued_at: Timestamp,
    key_id: Type.String(),
  }),
  message_hash: Sha256Hex,
  signature: Type.String(),
})

export const listAuditCheckpoints = managementApi.defineEndpoint({
  ...reads,
  id: 'list_audit_checkpoints',
  path: '/api/v1/apps/:app_id/audit/checkpoints',
  summary: 'List signed checkpoints, newest first',
  params: inApp,
  query: Type.Object(pageQuery),
  success: ListOf(AuditCheckpoint),
})

export const AuditVerification = Type.Object({
  status: Type.Enum(['ok', 'broken', 'incomplete']),
  scope_id: Uuid,
  /** The batches that were checked; null when there is none. */
  batches: Nullable(Type.Object({ from: Type.Integer(), to: Type.Integer() })),
  rows_checked: Count,
  details_pruned: Count,
  checkpoints_checked: Count,
  /** Rows that no checkpoint covers yet. */
  unsigned_tail_rows: Count,
  /** The number of a checkpoint, or the sequence of a batch with the first of its rows that does not fit. */
  first_error: Nullable(
    Type.Object({
      checkpoint_no: Nullable(Type.Integer()),
      sequence: Nullable(Type.Integer()),
      row_no: Nullable(Type.Integer()),
      kind: Type.Enum(['hash_mismatch', 'gap', 'order', 'checkpoint_mismatch', 'bad_signature', 'unknown_key']),
    }),
  ),
})

export const checkAuditIntegrity = managementApi.defineEndpoint({
  id: 'check_audit_integrity',
  method: 'POST',
  path: '/api/v1/apps/:app_id/audit/integrity-checks',
  summary: 'Check every row and checkpoint of the log; a break is recorded too',
  tag,
  access,
  params: inApp,
  success: AuditVerification,
  errors: ['audit_unavailable'],
  audit: audited('integrity.checked', 'system.integrity_failed'),
})

export const AuditExportFormat = Type.Enum(['ndjson', 'csv'])
/** An export is a fixed part of the log that is read out when it is fetched. */
export const AuditExport = Type.Object({
  id: Uuid,
  format: AuditExportFormat,
  status: Type.Literal('ready'),
  filters: JsonObject,
  row_count: Count,
  created_at: Timestamp,
  expires_at: Timestamp,
  rows_path: Type.String(),
  /** Null for CSV, which no verifier reads. */
  checkpoints_path: Nullable(Type.String()),
})
export type AuditExport = Type.Static<typeof AuditExport>

export const createAuditExport = managementApi.defineEndpoint({
  id: 'create_audit_export',
  method: 'POST',
  path: '/api/v1/apps/:app_id/audit/exports',
  repeatable: true,
  summary: 'Export rows: as NDJSON for the offline verifier (by time only), or as CSV (by any filter)',
  tag,
  access,
  params: inApp,
  body: Type.Object({ format: AuditExportFormat, ...eventFilter }),
  example: { format: 'ndjson', since: '24h' },
  success: AuditExport,
  status: 201,
  errors: ['audit_unavailable', 'export_too_large', 'unavailable'],
  audit: audited('audit.exported'),
})

export const listAuditExports = managementApi.defineEndpoint({
  id: 'list_audit_exports',
  method: 'GET',
  path: '/api/v1/apps/:app_id/audit/exports',
  summary: 'List the exports of the last 24 hours, newest first',
  tag,
  access,
  params: inApp,
  query: Type.Object({}),
  success: ListOf(AuditExport),
  audit: noAudit('shows what was exported'),
})

export const showAuditExport = managementApi.defineEndpoint({
  id: 'show_audit_export',
  method: 'GET',
  path: '/api/v1/apps/:app_id/audit/exports/:export_id',
  summary: 'Show an export',
  tag,
  access,
  params: ofExport,
  success: AuditExport,
  audit: noAudit('shows what was exported'),
})

export const fetchAuditExportRows = managementApi.defineEndpoint({
  id: 'fetch_audit_export_rows',
  method: 'GET',
  path: '/api/v1/apps/:app_id/audit/exports/:export_id/rows',
  summary: 'Fetch the rows of an export',
  tag,
  access,
  params: ofExport,
  success: Type.String(),
  produces: ['application/x-ndjson', 'text/csv'],
  audit: noAudit('the export was recorded when it was made'),
})

export const fetchAuditExportCheckpoints = managementApi.defineEndpoint({
  id: 'fetch_audit_export_checkpoints',
  method: 'GET',
  path: '/api/v1/apps/:app_id/audit/exports/:export_id/checkpoints',
  summary: 'Fetch the checkpoints that prove an NDJSON export',
  tag,
  access,
  params: ofExport,
  success: Type.String(),
  produces: ['application/x-ndjson'],
  audit: noAudit('the export was recorded when it was made'),
})

export const listAuditKeys = statusApi.defineEndpoint({
  id: 'list_audit_keys',
  method: 'GET',
  path: '/.well-known/alter-audit-keys.json',
  summary: 'The public keys that sign audit checkpoints, those of the past included, as a JWK set',
  tag,
  access: everybody(),
  success: Type.Object({
    keys: Type.Array(
      Type.Object({
        kty: Type.Literal('OKP'),
        crv: Type.Literal('Ed25519'),
        x: Type.String(),
        kid: Type.String(),
        use: Type.Literal('sig'),
        alg: Type.Literal('EdDSA'),
        not_before: Timestamp,
        not_after: Nullable(Timestamp),
      }),
    ),
  }),
  audit: noAudit('public keys'),
})
