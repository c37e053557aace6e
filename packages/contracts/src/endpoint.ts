import type Type from 'typebox'
import type { Access } from './access.ts'
import type { AuditEventName } from './audit-events.ts'
import type { ErrorCode } from './errors.ts'

/** A family of endpoints that look alike to a client. */
export type Api = Readonly<{
  name: string
  /** Each of its paths begins with it. */
  prefix: string
  /** The form of a refusal: `flat` names the code in `error`; `problem` is RFC 9457 with the code in `code`. */
  envelope: 'flat' | 'problem'
  /** A body member that is null counts as absent. */
  nullIsAbsent: boolean
  /** What each of its endpoints may answer beside its own codes. */
  errors: readonly ErrorCode[]
  /** What it is for, in the description. */
  sentence: string
}>

/** What an endpoint writes to the audit trail, or the reason why nothing. */
export type AuditDeclaration = { events: readonly AuditEventName[] } | { none: string }
export const audited = (...events: readonly [AuditEventName, ...AuditEventName[]]): AuditDeclaration => ({ events })
export const noAudit = (reason: string): AuditDeclaration => ({ none: reason })
export const readsConfiguration = noAudit('reads configuration')

export type Schemas = {
  params?: Type.TObject
  query?: Type.TObject
  headers?: Type.TObject
  body?: Type.TSchema
  success: Type.TSchema
  /** A success with status 202: what was asked for goes on. */
  accepted?: Type.TSchema
}

/** What an API's `defineEndpoint` takes. */
export type Declaration<S extends Schemas = Schemas> = S & {
  /** Stable name, used as OpenAPI operationId. */
  id: string
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path with `:name` parameters, from the root; below the prefix of its API. */
  path: string
  summary: string
  tag: string
  access: Access
  /** A body that makes sense, for the description. */
  example?: unknown
  /** Success status; 200 unless said. */
  status?: number
  /** Codes a handler may refuse with, beside those that its API, access, input and headers bring along. None when absent. */
  errors?: readonly ErrorCode[]
  audit: AuditDeclaration
  /** Unknown body members are ignored (telemetry calls 5, 6, 28 only); everywhere else they are refused. */
  lenient?: boolean
  /** A repeat under the same `Idempotency-Key` gets the first answer. */
  repeatable?: boolean
  /** A refusal names the decision that it belongs to, by its own id or that of the request. */
  namesDecision?: boolean
  /** Media types of a success that is no JSON; it is sent as it is made. */
  produces?: readonly string[]
  /** Sends and checks `ETag` / `If-Match`. */
  versioned?: boolean
}

/** What the body and the query of an endpoint hold, checked. */
export type BodyOf<E extends { body: Type.TSchema }> = Type.Static<E['body']>
export type QueryOf<E extends { query: Type.TSchema }> = Type.Static<E['query']>

/** One declaration per endpoint: validation, types, OpenAPI, access matrix and audit check are made from it. */
export type Endpoint<S extends Schemas = Schemas> = Declaration<S> & { api: Api; errors: readonly ErrorCode[] }
