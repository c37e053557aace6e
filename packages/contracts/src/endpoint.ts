import type Type from 'typebox'
import type { AuditEventName } from './audit-events.ts'
import type { ErrorCode } from './errors.ts'

/** Who may call an endpoint. What depends on the body of a call is checked by the handler and listed as errors. */
export type Access =
  | { kind: 'public' }
  /**
   * `inactiveAgent`: open to an agent that is paused. `refusesAgents`: the code that a key of agent type gets, and an app key that
   * acts as an agent. `instances`: open to a key that holds a scope for single instances only; the handler shows it no other.
   */
  | {
      kind: 'api_key'
      scopes: readonly string[]
      anyOf?: boolean
      inactiveAgent?: boolean
      refusesAgents?: ErrorCode
      instances?: boolean
    }
  /** `inPerson`: only for a member who is signed in; a token is refused with `interactive_session_required`. */
  | { kind: 'operator'; scope: string | null; inPerson?: boolean }
  | { kind: 'approval_link' }

/** What an endpoint writes to the audit trail, or the reason why nothing. */
export type AuditDeclaration = { events: readonly AuditEventName[] } | { none: string }
export const audited = (...events: readonly [AuditEventName, ...AuditEventName[]]): AuditDeclaration => ({ events })
export const noAudit = (reason: string): AuditDeclaration => ({ none: reason })

type Schemas = {
  params?: Type.TSchema
  query?: Type.TSchema
  headers?: Type.TSchema
  body?: Type.TSchema
  success: Type.TSchema
  /** A success with status 202: what was asked for goes on. */
  accepted?: Type.TSchema
}

export type Endpoint<S extends Schemas = Schemas> = S & {
  /** Stable name, used as OpenAPI operationId. */
  id: string
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** Path with `:name` parameters, from the root. */
  path: string
  summary: string
  tag: string
  access: Access
  /** A body that makes sense, for the description. */
  example?: unknown
  /** Success status; 200 unless said. */
  status?: number
  /** Codes a handler may refuse with, besides those every endpoint of its access kind shares. */
  errors: readonly ErrorCode[]
  audit: AuditDeclaration
  /** Unknown body members are ignored (telemetry calls 5, 6, 28 only); everywhere else they are refused. */
  lenient?: boolean
  /** Media types of a success that is no JSON; it is sent as it is made. */
  produces?: readonly string[]
  /** Sends and checks `ETag` / `If-Match` (control-plane.md 8). */
  versioned?: boolean
}

/** One declaration per endpoint: validation, types, OpenAPI, access matrix and audit check are made from it. */
export function defineEndpoint<const S extends Schemas>(endpoint: Endpoint<S>): Endpoint<S> {
  Object.freeze(endpoint)
  return endpoint
}
