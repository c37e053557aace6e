import { canonicalJson, canonicalString } from '../kernel/canonical-json.ts'

export type Stream = 'runtime' | 'grants' | 'portal' | 'provisioning' | 'approvals' | 'system'
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

/** A captured body: never the bytes, only what proves them. */
export type BodyDigest = { digest: string; length: number; truncated: boolean; content_type: string | null }

/** The part that retention replaces by its hash. Members left out are written as null. */
export type RowDetail = {
  keyPrefix?: string | null
  caller?: string | null
  callerType?: string | null
  clientIp?: string | null
  userAgent?: string | null
  sdk?: string | null
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
  decision?: Record<string, unknown> | null
  context?: Record<string, string> | null
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

/** What a writer says of an event; the log adds chain, sequence, time and salt. Members left out are written as null. */
export type RowDraft = {
  event: string
  stream: Stream
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
}

/** What the log knows and the writer does not. */
export type RowPlace = { scope: Scope; chainId: string; seq: number; occurredAt: string; eventId: string; salt: string }

const text = (value: string | null | undefined): string =>
  value === null || value === undefined ? 'null' : canonicalString(value)
const integer = (value: number | null | undefined): string =>
  value === null || value === undefined ? 'null' : String(Math.round(value))
const json = (value: unknown): string => (value === null || value === undefined ? 'null' : canonicalJson(value))
/** Ids and times need no escaping. */
const id = (value: string | null | undefined): string => (value === null || value === undefined ? 'null' : `"${value}"`)

/** The permanent part in RFC 8785 form: every member, sorted by name. Written out by hand because it runs for every row. */
export function canonicalKeep(row: RowDraft, place: RowPlace): string {
  return (
    `{"actor_id":${id(row.actorId)},"agent_id":${id(row.agentId)},"app_id":${id(place.scope.appId)}` +
    `,"app_user_id":${id(row.appUserId)},"approval_id":${id(row.approvalId)},"caller_kind":${id(row.callerKind)}` +
    `,"chain_id":"${place.chainId}","decision_effect":${id(row.decisionEffect)},"event":"${row.event}"` +
    `,"event_id":"${place.eventId}","grant_id":${id(row.grantId)},"intent_id":${id(row.intentId)}` +
    `,"key_id":${id(row.keyId)},"member_id":${id(row.memberId)},"occurred_at":"${place.occurredAt}"` +
    `,"organization_id":${id(place.scope.organizationId)},"outcome":"${row.outcome}"` +
    `,"primary_reason":${id(row.primaryReason)},"principal_id":${text(row.principalId)}` +
    `,"principal_type":${id(row.principalType)},"provider_id":${text(row.providerId)},"reason":${text(row.reason)}` +
    `,"resource_kind":${id(row.resourceKind)},"run_id":${text(row.runId)},"scope_id":"${place.scope.scopeId}"` +
    `,"seq":${place.seq},"stream":"${row.stream}","thread_id":${text(row.threadId)},"trace_id":${id(row.traceId)},"v":1}`
  )
}

const NO_DETAIL: RowDetail = {}

/** The prunable part in RFC 8785 form. */
export function canonicalDetail(row: RowDraft, place: RowPlace): string {
  const d = row.detail ?? NO_DETAIL
  return (
    `{"account_digest":${text(d.accountDigest)},"attempt_id":${id(d.attemptId)},"bytes_in":${integer(d.bytesIn)}` +
    `,"bytes_out":${integer(d.bytesOut)},"caller":${text(d.caller)},"caller_type":${text(d.callerType)}` +
    `,"changes":${json(d.changes)},"client_ip":${text(d.clientIp)},"context":${json(d.context)}` +
    `,"decision":${json(d.decision)},"declared_method":${text(d.declaredMethod)},"declared_url":${text(d.declaredUrl)}` +
    `,"error_code":${text(d.errorCode)},"grant_label":${text(d.grantLabel)},"initiator":${text(d.initiator)}` +
    `,"key_prefix":${text(d.keyPrefix)},"latency_ms":${integer(d.latencyMs)},"method":${text(d.method)}` +
    `,"pass_id":${id(d.passId)},"request_body":${json(d.requestBody)},"request_headers":${json(d.requestHeaders)}` +
    `,"resource_id":${text(d.resourceId)},"resource_type":${text(d.resourceType)},"response_body":${json(d.responseBody)}` +
    `,"response_headers":${json(d.responseHeaders)},"response_status":${integer(d.responseStatus)}` +
    `,"retry_info":${json(d.retryInfo)},"salt":"${place.salt}","scopes":${json(d.scopes)},"sdk":${text(d.sdk)}` +
    `,"source":${text(d.source ?? 'server')},"upstream_ms":${integer(d.upstreamMs)},"url":${text(d.url)}` +
    `,"user_agent":${text(d.userAgent)}}`
  )
}
