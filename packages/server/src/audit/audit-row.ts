import { type AuditEventName, auditEvents, type DecisionRecord } from '@alter-vault/contracts'
import { canonicalJson, canonicalString } from '../kernel/canonical-json.ts'

export type CallerKind = 'app_key' | 'agent_key' | 'derived_key' | 'member' | 'pat' | 'app_user' | 'link' | 'system'

/** Which kind of caller a key makes. */
export function callerKindOf({ keyType }: { keyType: 'rk' | 'ak' | 'dk' }): CallerKind {
  return keyType === 'ak' ? 'agent_key' : keyType === 'dk' ? 'derived_key' : 'app_key'
}

export type Outcome =
  | 'allowed'
  | 'success'
  | 'policy_denied'
  | 'refused'
  | 'provider_error'
  | 'network_error'
  | 'pending'
  | 'unknown'
  | 'changed'

/** Whose log a row belongs to: an app, else an organization, else the installation. */
export type Scope = { scopeId: string; appId: string | null; organizationId: string | null }

export const appScope = (appId: string, organizationId: string): Scope => ({ scopeId: appId, appId, organizationId })
export const organizationScope = (organizationId: string): Scope => ({
  scopeId: organizationId,
  appId: null,
  organizationId,
})
export const installationScope = (installationId: string): Scope => ({
  scopeId: installationId,
  appId: null,
  organizationId: null,
})

/** A captured body: never the bytes, only what proves them. `whole_digest` is there when `digest` covers only a part. */
export type BodyDigest = {
  digest: string
  length: number
  truncated: boolean
  content_type: string | null
  whole_digest?: string
}

/** The part that retention replaces by its hash. Members that are null are left out. */
export type RowDetail = {
  keyPrefix?: string | null
  caller?: string | null
  callerType?: string | null
  clientIp?: string | null
  userAgent?: string | null
  method?: string | null
  url?: string | null
  declaredMethod?: string | null
  declaredUrl?: string | null
  requestHeaders?: Record<string, string> | null
  responseHeaders?: Record<string, string> | null
  requestBody?: BodyDigest | null
  responseBody?: BodyDigest | null
  responseStatus?: number | null
  latencyMs?: number | null
  upstreamMs?: number | null
  retryInfo?: Record<string, unknown> | null
  bytesIn?: number | null
  bytesOut?: number | null
  scopes?: readonly string[] | null
  grantLabel?: string | null
  accountDigest?: string | null
  /** The decision record of docs/spec/decisions-and-rules.md#the-decision-record, already in wire form. */
  decision?: DecisionRecord | Record<string, unknown> | null
  context?: Record<string, string> | null
  /** How many refusals the row stands for. */
  count?: number | null
  initiator?: string | null
  resourceType?: string | null
  resourceId?: string | null
  /** `{field, from, to}`; values as JSON text, secrets as "changed". */
  changes?: readonly { field: string; from: string | null; to: string | null }[] | null
  errorCode?: string | null
  passId?: string | null
  attemptId?: string | null
  source?: 'server' | 'sdk' | null
}

type CallerDetail = Required<Pick<RowDetail, 'keyPrefix' | 'caller' | 'callerType' | 'clientIp' | 'userAgent'>>

/** What rows say of whoever presented a key. */
export const callerDetail = ({ keyPrefix, caller, callerType, clientIp, userAgent }: CallerDetail): CallerDetail => ({
  keyPrefix,
  caller,
  callerType,
  clientIp,
  userAgent,
})

/** What a writer says of an event; the log adds its stream, time and salt. */
export type RowDraft = {
  event: AuditEventName
  /** Minted by the log when left out. */
  eventId?: string
  callerKind?: CallerKind | null
  keyId?: string | null
  agentId?: string | null
  actorId?: string | null
  memberId?: string | null
  appUserId?: string | null
  principalType?: string | null
  principalId?: string | null
  grantId?: string | null
  providerId?: string | null
  resourceKind?: 'oauth' | 'managed_secret' | null
  traceId?: string | null
  runId?: string | null
  threadId?: string | null
  approvalId?: string | null
  intentId?: string | null
  outcome: Outcome
  decisionEffect?: 'allow' | 'deny' | 'hold' | null
  primaryReason?: string | null
  reason?: string | null
  detail?: RowDetail
  /** What {@link writeRuns} makes of this row, when its writer has it from a row before. */
  runs?: WrittenRuns
}

/** What the log knows and the writer does not. */
export type RowPlace = { occurredAt: string; eventId: string; salt: string }

/*
 * Both parts are in RFC 8785 form, members sorted by name. A member that is null is left out: a reader takes what is absent for null.
 * Written out by hand because it runs for every row; `head` is a constant of the program.
 */
const text = (head: string, value: string | null | undefined): string =>
  value === null || value === undefined ? '' : head + canonicalString(value)
const integer = (head: string, value: number | null | undefined): string =>
  value === null || value === undefined ? '' : head + Math.round(value)
const json = (head: string, value: unknown): string =>
  value === null || value === undefined ? '' : head + canonicalJson(value)
/** Ids and words of ours need no escaping. */
const id = (head: string, value: string | null | undefined): string =>
  value === null || value === undefined ? '' : `${head}${value}"`

/** The members that say who used what, as they are written. They stand between those of one row, and repeat from row to row. */
export type WrittenRuns = {
  actor: string
  callerKind: string
  grant: string
  key: string
  principal: string
  resource: string
}

export const writeRuns = (row: Omit<RowDraft, 'event' | 'outcome'>): WrittenRuns => ({
  actor: id(',"actor_id":"', row.actorId) + id(',"agent_id":"', row.agentId) + id(',"app_user_id":"', row.appUserId),
  callerKind: id(',"caller_kind":"', row.callerKind),
  grant: id(',"grant_id":"', row.grantId),
  key: id(',"key_id":"', row.keyId) + id(',"member_id":"', row.memberId),
  principal:
    text(',"principal_id":', row.principalId) +
    id(',"principal_type":"', row.principalType) +
    text(',"provider_id":', row.providerId),
  resource: id(',"resource_kind":"', row.resourceKind),
})

/** The permanent part. */
export function canonicalKeep(row: RowDraft, place: RowPlace): string {
  const runs = row.runs ?? writeRuns(row)
  const members =
    runs.actor +
    id(',"approval_id":"', row.approvalId) +
    runs.callerKind +
    id(',"decision_effect":"', row.decisionEffect) +
    `,"event":"${row.event}","event_id":"${place.eventId}"${runs.grant}` +
    id(',"intent_id":"', row.intentId) +
    `${runs.key},"occurred_at":"${place.occurredAt}","outcome":"${row.outcome}"` +
    id(',"primary_reason":"', row.primaryReason) +
    runs.principal +
    text(',"reason":', row.reason) +
    runs.resource +
    text(',"run_id":', row.runId) +
    `,"stream":"${auditEvents[row.event].stream}"` +
    text(',"thread_id":', row.threadId) +
    id(',"trace_id":"', row.traceId)
  return `{${members.slice(1)},"v":1}`
}

const NO_DETAIL: RowDetail = {}

const isWhole = (record: object): record is DecisionRecord => 'context_digest' in record && 'decision_id' in record

const decisionText = (record: DecisionRecord | Record<string, unknown>): string =>
  isWhole(record) ? recordText(record) : canonicalJson(record)

const recordText = (record: DecisionRecord): string =>
  `{"context_digest":"${record.context_digest}","decision_id":"${record.decision_id}","duration_us":${record.duration_us}` +
  `,"effect":"${record.effect}","evaluated_at":"${record.evaluated_at}","obligations":${list(record.obligations)}` +
  `,"phase":"${record.phase}","policy_epoch":${record.policy_epoch},"reasons":${list(record.reasons)}` +
  `,"retry_after_seconds":${record.retry_after_seconds},"retryable":${record.retryable}` +
  `,"rules_evaluated":${record.rules_evaluated},"shadow_effect":"${record.shadow_effect}"}`

const digestText = ({ content_type, digest, length, truncated, whole_digest }: BodyDigest): string =>
  `{"content_type":${content_type === null ? 'null' : canonicalString(content_type)},"digest":"${digest}"` +
  `,"length":${length},"truncated":${truncated}${whole_digest === undefined ? '' : `,"whole_digest":"${whole_digest}"`}}`

const list = (values: readonly unknown[]): string => (values.length === 0 ? '[]' : canonicalJson(values))

/** The prunable part. */
export function canonicalDetail(row: RowDraft, place: RowPlace): string {
  const d = row.detail ?? NO_DETAIL
  const members =
    text(',"account_digest":', d.accountDigest) +
    id(',"attempt_id":"', d.attemptId) +
    integer(',"bytes_in":', d.bytesIn) +
    integer(',"bytes_out":', d.bytesOut) +
    text(',"caller":', d.caller) +
    text(',"caller_type":', d.callerType) +
    json(',"changes":', d.changes) +
    text(',"client_ip":', d.clientIp) +
    json(',"context":', d.context) +
    integer(',"count":', d.count) +
    (d.decision ? `,"decision":${decisionText(d.decision)}` : '') +
    text(',"declared_method":', d.declaredMethod) +
    text(',"declared_url":', d.declaredUrl) +
    text(',"error_code":', d.errorCode) +
    text(',"grant_label":', d.grantLabel) +
    text(',"initiator":', d.initiator) +
    text(',"key_prefix":', d.keyPrefix) +
    integer(',"latency_ms":', d.latencyMs) +
    text(',"method":', d.method) +
    id(',"pass_id":"', d.passId) +
    (d.requestBody ? `,"request_body":${digestText(d.requestBody)}` : '') +
    json(',"request_headers":', d.requestHeaders) +
    text(',"resource_id":', d.resourceId) +
    text(',"resource_type":', d.resourceType) +
    (d.responseBody ? `,"response_body":${digestText(d.responseBody)}` : '') +
    json(',"response_headers":', d.responseHeaders) +
    integer(',"response_status":', d.responseStatus) +
    json(',"retry_info":', d.retryInfo) +
    `,"salt":"${place.salt}"` +
    json(',"scopes":', d.scopes) +
    text(',"source":', d.source ?? 'server') +
    integer(',"upstream_ms":', d.upstreamMs) +
    text(',"url":', d.url) +
    text(',"user_agent":', d.userAgent)
  return `{${members.slice(1)}}`
}
