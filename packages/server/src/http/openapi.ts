import { ADVICE, type Api, type Endpoint, type ErrorCode, errorRegistry } from '@alter-vault/contracts'
import { closedSchema, type JsonSchema, mapSchema } from '../kernel/json-schema.ts'
import { errorsOf } from './shared-errors.ts'

type Json = Record<string, unknown>

/**
 * The OpenAPI 3.1 description of `endpoints`: what the server checks and answers, nothing by hand. Pure; the same endpoints give the
 * same description.
 */
export function describeApi(endpoints: readonly Endpoint[], about: { version: string; serverUrl: string }): Json {
  const paths: Record<string, Record<string, Json>> = {}
  for (const endpoint of endpoints) {
    const path = endpoint.path.replace(/:([A-Za-z_]+)/g, '{$1}')
    paths[path] ??= {}
    paths[path][endpoint.method.toLowerCase()] = operationOf(endpoint)
  }
  const apis = [...new Set(endpoints.map(({ api }) => api))]
  const refusals = shareRefusals(Object.values(paths).flatMap((operations) => Object.values(operations)))
  const tags = [...new Set(endpoints.map(({ tag }) => tag))].sort()
  return {
    openapi: '3.1.0',
    info: {
      title: 'Alter Vault',
      version: about.version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description: `${apis.map(({ sentence }) => sentence).join(' ')} Every answer carries \`X-Request-ID\`; every refusal carries \`X-Alter-Refusal\` and says in \`advice\` what the caller may do next.`,
    },
    servers: [{ url: about.serverUrl }],
    tags: tags.map((name) => ({ name })),
    paths,
    components: {
      securitySchemes: Object.fromEntries(
        endpoints.flatMap(({ access: { security } }) => (security === null ? [] : [[security.name, security.scheme]])),
      ),
      headers: {
        RequestId: { description: 'Names this request in the log and in the audit trail.', schema: { type: 'string' } },
        ETag: { description: 'The version of the object, for `If-Match`.', schema: { type: 'string' } },
        Refusal: {
          description: 'The code of a refusal of this server; a relayed answer never has it.',
          schema: { type: 'string' },
        },
        RetryAfter: {
          description: 'Whole seconds after which the request may succeed.',
          schema: { type: 'integer', minimum: 0 },
        },
        Allow: { description: 'The methods that this path takes.', schema: { type: 'string' } },
        IdempotentReplayed: {
          description: '`true` when this is the answer to an earlier request.',
          schema: { type: 'string' },
        },
      },
      responses: refusals,
      schemas: {
        Refusal: { description: refusalOn(apis, 'flat'), ...REFUSAL },
        Problem: { description: refusalOn(apis, 'problem'), ...PROBLEM },
        FieldError: FIELD_ERROR,
      },
    },
  }
}

/**
 * Puts references in the place of refusals that several operations describe alike, and answers what they lead to, by name: the status,
 * numbered where one status has several meanings.
 */
function shareRefusals(operations: readonly Json[]): Json {
  const places = new Map<string, { responses: Json; status: string }[]>()
  for (const { responses } of operations as { responses: Json }[]) {
    for (const [status, refusal] of Object.entries(responses)) {
      if (Number(status) < 400) continue
      const text = JSON.stringify(refusal)
      places.set(text, [...(places.get(text) ?? []), { responses, status }])
    }
  }
  const shared: Json = {}
  for (const [text, found] of places) {
    if (found.length < 2) continue
    const { status, responses } = found[0]!
    const kind = text.includes('application/problem+json') ? 'Problem' : 'Refusal'
    const alike = Object.keys(shared).filter((name) => name.startsWith(`${kind}${status}`)).length
    const name = alike === 0 ? `${kind}${status}` : `${kind}${status}_${alike + 1}`
    shared[name] = responses[status]
    for (const place of found) place.responses[place.status] = { $ref: `#/components/responses/${name}` }
  }
  return shared
}

const FIELD_ERROR: Json = {
  type: 'object',
  required: ['pointer', 'code', 'message'],
  properties: {
    pointer: { type: 'string', description: 'RFC 6901 pointer into the body, or `query:<name>`, `header:<name>`.' },
    code: { type: 'string' },
    message: { type: 'string' },
  },
}

const SHARED_MEMBERS: Json = {
  request_id: { type: 'string', format: 'uuid' },
  hint: { type: 'string' },
  advice: { enum: ADVICE },
  errors: { type: 'array', items: { $ref: '#/components/schemas/FieldError' } },
}

const REFUSAL: Json = {
  type: 'object',
  required: ['error', 'message', 'request_id', 'advice'],
  properties: {
    error: { type: 'string' },
    message: { type: 'string' },
    ...SHARED_MEMBERS,
    decision_id: { type: 'string' },
    policy_error: { type: 'string' },
    retry_after: { type: 'integer', minimum: 0 },
  },
}

const PROBLEM: Json = {
  type: 'object',
  required: ['type', 'title', 'status', 'detail', 'code', 'request_id', 'advice'],
  properties: {
    type: { type: 'string', format: 'uri' },
    title: { type: 'string' },
    status: { type: 'integer' },
    detail: { type: 'string' },
    code: { type: 'string' },
    ...SHARED_MEMBERS,
  },
}

/** Where refusals have this form. */
function refusalOn(apis: readonly Api[], envelope: Api['envelope']): string {
  const places = apis.filter((api) => api.envelope === envelope).map(({ prefix }) => `\`${prefix}/*\``)
  const form = envelope === 'problem' ? 'RFC 9457 problem details' : 'one object'
  return `A refusal on ${places.join(', ')}: ${form}. Further members depend on the code.`
}

function securityOf({ access: { security } }: Endpoint): Json[] {
  if (security === null) return []
  return [{ [security.name]: [] }, ...(security.optional === true ? [{}] : [])]
}

function operationOf(endpoint: Endpoint): Json {
  const parameters = parametersOf(endpoint)
  const body = requestBodyOf(endpoint)
  const success = String(endpoint.status ?? 200)
  const audit =
    'none' in endpoint.audit
      ? `Writes no audit row: ${endpoint.audit.none}.`
      : `Audit: ${endpoint.audit.events.map((event) => `\`${event}\``).join(', ')}.`
  return {
    operationId: endpoint.id,
    summary: endpoint.summary,
    description: `Who may: ${endpoint.access.who}. ${audit}`,
    tags: [endpoint.tag],
    security: securityOf(endpoint),
    ...(parameters.length === 0 ? {} : { parameters }),
    ...(body === undefined ? {} : { requestBody: body }),
    responses: { [success]: successOf(endpoint), ...acceptedOf(endpoint), ...refusalsOf(endpoint) },
  }
}

function parametersOf(endpoint: Endpoint): Json[] {
  const listed = (schema: unknown, place: 'path' | 'query' | 'header'): Json[] => {
    const { properties = {}, required = [] } = (schema ?? {}) as JsonSchema
    return Object.entries(properties).map(([name, part]) => ({
      name,
      in: place,
      required: place === 'path' || required.includes(name),
      schema: part,
      ...(part.description === undefined ? {} : { description: part.description }),
    }))
  }
  const parameters = [...listed(endpoint.params, 'path'), ...listed(endpoint.query, 'query')]
  // A header that its security scheme describes is not described again.
  const proof = endpoint.access.security?.scheme.name?.toLowerCase()
  parameters.push(...listed(endpoint.headers, 'header').filter(({ name }) => name !== proof))
  if (endpoint.versioned === true && ['PATCH', 'PUT', 'DELETE'].includes(endpoint.method)) {
    parameters.push({
      name: 'If-Match',
      in: 'header',
      required: true,
      description: 'The version that is changed, as `ETag` gave it.',
      schema: { type: 'string', pattern: '^"(0|[1-9][0-9]{0,15})"$' },
    })
  }
  if (endpoint.repeatable === true) {
    parameters.push({
      name: 'Idempotency-Key',
      in: 'header',
      required: false,
      description: 'Repeats with the same key and body within 24 hours get the first answer, without its secrets.',
      schema: { type: 'string', pattern: '^[!-~]{1,255}$' },
    })
  }
  return parameters
}

function requestBodyOf(endpoint: Endpoint): Json | undefined {
  if (endpoint.body === undefined) return undefined
  const declared = endpoint.body as unknown as JsonSchema
  const closed = endpoint.lenient === true ? declared : closedSchema(declared)
  const schema = endpoint.api.nullIsAbsent ? mapSchema(closed, withNullableOptions) : closed
  const example = endpoint.example === undefined ? {} : { example: endpoint.example }
  return { required: (declared.required ?? []).length > 0, content: { 'application/json': { schema, ...example } } }
}

/** Where a member that is null counts as absent, every optional member may be null. */
function withNullableOptions(schema: JsonSchema): JsonSchema {
  if (schema.properties === undefined) return schema
  const properties = Object.fromEntries(
    Object.entries(schema.properties).map(([name, part]) => [
      name,
      schema.required?.includes(name) === true ? part : { anyOf: [part, { type: 'null' }] },
    ]),
  )
  return { ...schema, properties }
}

function successOf(endpoint: Endpoint): Json {
  const status = endpoint.status ?? 200
  const headers: Json = { 'X-Request-ID': { $ref: '#/components/headers/RequestId' } }
  if (endpoint.versioned === true) headers.ETag = { $ref: '#/components/headers/ETag' }
  if (endpoint.repeatable === true) headers['Idempotent-Replayed'] = { $ref: '#/components/headers/IdempotentReplayed' }
  return {
    description: 'Success',
    headers,
    ...(status === 204 ? {} : { content: contentOf(endpoint) }),
  }
}

function acceptedOf({ accepted }: Endpoint): Record<string, Json> {
  if (accepted === undefined) return {}
  const headers = { 'X-Request-ID': { $ref: '#/components/headers/RequestId' } }
  return { '202': { description: 'Accepted', headers, content: { 'application/json': { schema: accepted } } } }
}

const contentOf = ({ produces = ['application/json'], success }: Endpoint): Json =>
  Object.fromEntries(produces.map((mediaType) => [mediaType, { schema: success }]))

function refusalsOf(endpoint: Endpoint): Record<string, Json> {
  const byStatus = new Map<number, ErrorCode[]>()
  const add = (status: number, code: ErrorCode) => byStatus.set(status, [...(byStatus.get(status) ?? []), code])
  for (const code of errorsOf(endpoint)) {
    add(errorRegistry[code].status, code)
    // Where a revoked key is the object of the call and not its caller.
    if (code === 'key_revoked' && endpoint.errors.includes(code)) add(409, code)
  }
  if (!byStatus.has(404)) add(404, 'not_found')
  add(405, 'method_not_allowed')
  const problem = endpoint.api.envelope === 'problem'
  return Object.fromEntries(
    [...byStatus]
      .sort(([a], [b]) => a - b)
      .map(([status, codes]) => [String(status), refusalOf(status, codes, problem)]),
  )
}

function refusalOf(status: number, codes: readonly ErrorCode[], problem: boolean): Json {
  const headers: Json = {
    'X-Request-ID': { $ref: '#/components/headers/RequestId' },
    'X-Alter-Refusal': { $ref: '#/components/headers/Refusal' },
  }
  if (status === 429 || status === 503) headers['Retry-After'] = { $ref: '#/components/headers/RetryAfter' }
  if (status === 405) headers.Allow = { $ref: '#/components/headers/Allow' }
  const base = { $ref: `#/components/schemas/${problem ? 'Problem' : 'Refusal'}` }
  const schema = { allOf: [base, { type: 'object', properties: { [problem ? 'code' : 'error']: { enum: codes } } }] }
  return {
    description: codes.map((code) => `\`${code}\`: ${errorRegistry[code].sentence}`).join('\n\n'),
    headers,
    content: { [problem ? 'application/problem+json' : 'application/json']: { schema } },
  }
}
