import { hash } from 'node:crypto'
import { canonicalJson, canonicalString } from '../kernel/canonical-json.ts'
import { isoOf } from '../kernel/instant.ts'
import { type Fact, UNKNOWN } from './fact.ts'
import { FormData } from './form-data.ts'
import type { Moment } from './moment.ts'
import type { PolicyContext, PolicyRequest } from './policy-context.ts'

/** The types of the context document, by the names that CEL knows them under. */
export type DocumentType =
  | 'string'
  | 'int'
  | 'bool'
  | 'google.protobuf.Timestamp'
  | 'list<string>'
  | 'map<string, string>'
  | 'map<string, list<string>>'
  | 'dyn'

export type DocumentAttribute = {
  readonly type: DocumentType
  /** May be absent; CEL then sees null. */
  readonly nullable: boolean
  /** Known only through the proxy. */
  readonly ofRequest: boolean
  /** Timestamps are read as milliseconds since the Unix epoch. */
  read(moment: Moment): Fact<unknown>
  /** The provider may see something else than is sent, so an expression sees something unknown. The digest is of what is sent. */
  isUncertain?(request: PolicyRequest): boolean
}

type Read = (moment: Moment) => Fact<unknown>
const always = (type: DocumentType, read: Read): DocumentAttribute => ({
  type,
  nullable: false,
  ofRequest: false,
  read,
})
const maybe = (type: DocumentType, read: Read): DocumentAttribute => ({ type, nullable: true, ofRequest: false, read })
const ofRequest = (
  type: DocumentType,
  read: (request: PolicyRequest) => Fact<unknown>,
  { nullable = false, isUncertain }: { nullable?: boolean; isUncertain?: (request: PolicyRequest) => boolean } = {},
): DocumentAttribute => ({
  type,
  nullable,
  ofRequest: true,
  read: ({ context: { request } }) => (request === UNKNOWN ? UNKNOWN : read(request)),
  ...(isUncertain === undefined ? {} : { isUncertain }),
})
const nullable = { nullable: true }
const isAmbiguous = (value: unknown): boolean => value instanceof FormData && value.isAmbiguous

const operation = (request: PolicyRequest, member: 'operation' | 'family'): Fact<string> => {
  const facts = request.operation
  return facts === UNKNOWN || facts === null ? facts : facts[member]
}

/**
 * The context document (docs/spec/decisions-and-rules.md#the-context-document): dotted name → how it is read. CEL and the digest see
 * exactly this.
 */
export const contextDocument: Readonly<Record<string, DocumentAttribute>> = Object.freeze({
  now: always('google.protobuf.Timestamp', ({ atMs }) => atMs),
  mode: always('string', ({ context }) => context.mode),
  phase: always('string', ({ phase }) => phase),
  reason: maybe('string', ({ context }) => context.asserted.reason),

  'app.id': always('string', ({ context }) => context.app.id),
  'app.environment': always('string', ({ context }) => context.app.environment),
  'organization.id': always('string', ({ context }) => context.organizationId),
  'provider.id': always('string', ({ context }) => context.provider.id),
  'provider.kind': always('string', ({ context }) => context.provider.kind),

  'key.id': always('string', ({ context }) => context.key.id),
  'key.type': always('string', ({ context }) => context.key.type),
  'key.name': always('string', ({ context }) => context.key.name),
  'caller.name': maybe('string', ({ context }) => context.caller.name),
  'caller.type': maybe('string', ({ context }) => context.caller.type),
  'caller.actor_id': maybe('string', ({ context }) => context.caller.actorId),

  'agent.id': maybe('string', ({ context }) => context.agent?.id ?? null),
  'agent.name': maybe('string', ({ context }) => context.agent?.name ?? null),
  'agent.type': maybe('string', ({ context }) => context.agent?.type ?? null),
  'agent.scopes': maybe('map<string, list<string>>', ({ context }) => context.agent?.scopes ?? null),

  'user.id': maybe('string', ({ context }) => context.user?.id ?? null),
  'user.external_subject_id': maybe('string', ({ context }) => context.user?.externalSubjectId ?? null),
  'user.idp_id': maybe('string', ({ context }) => context.user?.idpId ?? null),
  'user.status': maybe('string', ({ context }) => context.user?.status ?? null),
  'user.groups': maybe('list<string>', ({ context }) => {
    const groups = context.user?.groups ?? null
    return groups === UNKNOWN || groups === null ? groups : groups.externalGroupIds
  }),
  'user.auth_time': maybe('google.protobuf.Timestamp', ({ context }) => context.user?.authTimeMs ?? null),

  'principal.type': always('string', ({ context }) => context.principal.type),
  'principal.id': always('string', ({ context }) => context.principal.id),

  'grant.id': always('string', ({ context }) => context.grant.id),
  'grant.kind': always('string', ({ context }) => context.grant.kind),
  'grant.label': maybe('string', ({ context }) => context.grant.label),
  'grant.scopes': always('list<string>', ({ context }) => context.grant.scopes),
  'grant.created_at': always('google.protobuf.Timestamp', ({ context }) => context.grant.createdAtMs),
  'grant.last_used_at': maybe('google.protobuf.Timestamp', ({ context }) => context.grant.lastUsedAtMs),
  'grant.expires_at': maybe('google.protobuf.Timestamp', ({ context }) => context.grant.expiresAtMs),
  'grant.delegated': always('bool', ({ context }) => context.grant.delegated),
  'grant.depth': always('int', ({ context }) => context.grant.depth),

  'client.ip': maybe('string', ({ context }) => context.clientIp),

  'request.method': ofRequest('string', (request) => request.method, {
    isUncertain: (request) => request.namesOtherMethod,
  }),
  'request.scheme': ofRequest('string', (request) => request.scheme),
  'request.host': ofRequest('string', (request) => request.host),
  'request.port': ofRequest('int', (request) => request.port),
  'request.path': ofRequest('string', (request) => request.path),
  'request.query': ofRequest('map<string, list<string>>', (request) => request.query, {
    isUncertain: (request) => isAmbiguous(request.query),
  }),
  'request.header_names': ofRequest('list<string>', (request) => request.headerNames),
  'request.content_type': ofRequest('string', (request) => request.contentType, nullable),
  'request.body_size': ofRequest('int', (request) => request.bodySize),
  'request.body': ofRequest('dyn', ({ body }) => (body instanceof FormData ? body.toObject() : body), {
    nullable: true,
    isUncertain: (request) => isAmbiguous(request.body),
  }),
  'request.operation': ofRequest('string', (request) => operation(request, 'operation'), nullable),
  'request.family': ofRequest('string', (request) => operation(request, 'family'), nullable),
  'request.declared_method': maybe('string', ({ context }) => context.declared?.method ?? null),
  'request.declared_url': maybe('string', ({ context }) => context.declared?.url ?? null),

  'context.tool': maybe('string', ({ context }) => context.asserted.tool),
  'context.framework': maybe('string', ({ context }) => context.asserted.framework),
  'context.run_id': maybe('string', ({ context }) => context.asserted.runId),
  'context.thread_id': maybe('string', ({ context }) => context.asserted.threadId),
  'context.parent_agent': maybe('string', ({ context }) => context.asserted.parentAgent),
  'context.extra': always('map<string, string>', ({ context }) => context.asserted.extra),

  'approval.id': maybe('string', ({ context }) => context.approval?.id ?? null),
  'approval.approver_ids': maybe('list<string>', ({ context }) => context.approval?.approverIds ?? null),
  'approval.edited': maybe('bool', ({ context }) => context.approval?.edited ?? null),
})

const UNKNOWN_TEXT = '{"unknown":true}'
const writeKnown: Partial<Record<DocumentType, (value: unknown) => string>> = {
  string: (value) => canonicalString(value as string),
  'google.protobuf.Timestamp': (value) => `"${isoOf(value as number)}"`,
  'map<string, list<string>>': (value) => canonicalJson(value instanceof Map ? Object.fromEntries(value) : value),
}

/** The members of the document in the order of RFC 8785, each with its name as it is written. */
const members = Object.entries(contextDocument)
  .sort(([a], [b]) => (a < b ? -1 : 1))
  .map(([name, attribute], index) => ({
    written: `${index === 0 ? '{' : ','}${canonicalString(name)}:`,
    write: name === 'request.body' ? bodyDigest : writerOf(attribute),
  }))

/**
 * Hex SHA-256 of the RFC 8785 form of the context document: dotted name → value, times in RFC 3339, `{"unknown":true}` for what
 * cannot be known, and the body as the hex SHA-256 of its bytes.
 */
export function digestContext(moment: Moment): string {
  return hash('sha256', writeContext(moment))
}

/** The document as {@link contextDocument} describes it, member by member. */
export function writeContextByMembers(moment: Moment): string {
  let text = ''
  for (const { written, write } of members) text += written + write(moment)
  return `${text}}`
}

/** The same text. Written out, since it is made for every decision and a loop over the members takes three times as long. */
export function writeContext(moment: Moment): string {
  const { context, atMs, phase } = moment
  const { agent, app, approval, asserted, caller, grant, key, principal, provider, user } = context
  if (user !== null) return writeContextByMembers(moment)
  return (
    (agent === null
      ? '{"agent.id":null,"agent.name":null,"agent.scopes":null,"agent.type":null'
      : `{"agent.id":${text(agent.id)},"agent.name":${text(agent.name)},"agent.scopes":${canonicalJson(agent.scopes)},"agent.type":${text(agent.type)}`) +
    `,"app.environment":${text(app.environment)},"app.id":${text(app.id)}` +
    (approval === null
      ? ',"approval.approver_ids":null,"approval.edited":null,"approval.id":null'
      : `,"approval.approver_ids":${canonicalJson(approval.approverIds)},"approval.edited":${approval.edited},"approval.id":${text(approval.id)}`) +
    `,"caller.actor_id":${text(caller.actorId)},"caller.name":${text(caller.name)},"caller.type":${text(caller.type)}` +
    `,"client.ip":${text(context.clientIp)},"context.extra":${canonicalJson(asserted.extra)}` +
    `,"context.framework":${text(asserted.framework)},"context.parent_agent":${text(asserted.parentAgent)}` +
    `,"context.run_id":${text(asserted.runId)},"context.thread_id":${text(asserted.threadId)},"context.tool":${text(asserted.tool)}` +
    `,"grant.created_at":${instant(grant.createdAtMs)},"grant.delegated":${grant.delegated},"grant.depth":${grant.depth}` +
    `,"grant.expires_at":${instant(grant.expiresAtMs)},"grant.id":${text(grant.id)},"grant.kind":${text(grant.kind)}` +
    `,"grant.label":${text(grant.label)},"grant.last_used_at":${instant(grant.lastUsedAtMs)},"grant.scopes":${canonicalJson(grant.scopes)}` +
    `,"key.id":${text(key.id)},"key.name":${text(key.name)},"key.type":${text(key.type)},"mode":"${context.mode}","now":${instant(atMs)}` +
    `,"organization.id":${text(context.organizationId)},"phase":"${phase}","principal.id":${text(principal.id)}` +
    `,"principal.type":${text(principal.type)},"provider.id":${text(provider.id)},"provider.kind":${text(provider.kind)}` +
    `,"reason":${text(asserted.reason)}${writeRequest(context)}` +
    ',"user.auth_time":null,"user.external_subject_id":null,"user.groups":null,"user.id":null,"user.idp_id":null,"user.status":null}'
  )
}

function writeRequest({ request, declared }: PolicyContext): string {
  const said = `,"request.declared_method":${text(declared?.method ?? null)},"request.declared_url":${text(declared?.url ?? null)}`
  const u = UNKNOWN_TEXT
  if (request === UNKNOWN) {
    return (
      `,"request.body":${u},"request.body_size":${u},"request.content_type":${u}${said},"request.family":${u}` +
      `,"request.header_names":${u},"request.host":${u},"request.method":${u},"request.operation":${u},"request.path":${u}` +
      `,"request.port":${u},"request.query":${u},"request.scheme":${u}`
    )
  }
  const { bodyBytes, bodySize, query } = request
  return (
    `,"request.body":${bodyBytes === UNKNOWN ? u : bodyBytes === null ? 'null' : `"${hash('sha256', bodyBytes as Uint8Array)}"`}` +
    `,"request.body_size":${bodySize === UNKNOWN ? u : bodySize},"request.content_type":${text(request.contentType)}${said}` +
    `,"request.family":${text(operation(request, 'family'))},"request.header_names":${canonicalJson(request.headerNames)}` +
    `,"request.host":${text(request.host)},"request.method":${text(request.method)},"request.operation":${text(operation(request, 'operation'))}` +
    `,"request.path":${text(request.path)},"request.port":${request.port}` +
    `,"request.query":${query === UNKNOWN ? u : query === null ? 'null' : canonicalJson(Object.fromEntries(query as ReadonlyMap<string, unknown>))}` +
    `,"request.scheme":${text(request.scheme)}`
  )
}

const text = (value: Fact<string>): string =>
  value === null ? 'null' : value === UNKNOWN ? UNKNOWN_TEXT : canonicalString(value as string)
const instant = (ms: number | null): string => (ms === null ? 'null' : `"${isoOf(ms)}"`)

/** The value of an attribute as JSON: times in RFC 3339, `{"unknown": true}` for what cannot be known. */
export function documentValue({ type, read }: DocumentAttribute, moment: Moment): unknown {
  const value = read(moment)
  if (value === UNKNOWN) return { unknown: true }
  if (type === 'google.protobuf.Timestamp' && value !== null) return isoOf(value as number)
  return value instanceof Map ? Object.fromEntries(value) : value
}

/** How the value of an attribute is written; by its type, since this runs for every member of every decision. */
function writerOf({ type, read }: DocumentAttribute): (moment: Moment) => string {
  const write = writeKnown[type] ?? canonicalJson
  return (moment) => {
    const value = read(moment)
    return value === null ? 'null' : value === UNKNOWN ? UNKNOWN_TEXT : write(value)
  }
}

function bodyDigest({ context: { request } }: Moment): string {
  if (request === UNKNOWN || request.bodyBytes === UNKNOWN) return UNKNOWN_TEXT
  return request.bodyBytes === null ? 'null' : `"${hash('sha256', request.bodyBytes)}"`
}
