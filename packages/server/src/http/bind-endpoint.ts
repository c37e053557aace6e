import type { Endpoint } from '@alter-vault/contracts'
import type Type from 'typebox'
import type { Answer, Download } from './answer.ts'
import type { Once } from './once.ts'

type StaticOf<S> = S extends Type.TSchema ? Type.Static<S> : Record<never, never>
type Versioned<E> = E extends { versioned: true; method: 'PATCH' | 'PUT' | 'DELETE' } ? number : null

/** One call as a handler sees it: authenticated, in scope, of the declared shape. */
export type Call<E, Principal = unknown> = {
  params: E extends { params: infer S } ? StaticOf<S> : Record<never, never>
  query: E extends { query: infer S } ? StaticOf<S> : Record<never, never>
  headers: E extends { headers: infer S } ? StaticOf<S> : Record<never, never>
  body: E extends { body: infer S } ? StaticOf<S> : Record<never, never>
  /** The version that `If-Match` names; null unless the endpoint is versioned and writes. A handler that finds another refuses with `version_conflict`. */
  expectedVersion: Versioned<E>
  requestId: string
  /** What the authenticator of the endpoint's access made of the caller. */
  principal: Principal
  clientIp: string
  /** For a repeatable endpoint that was called with an `Idempotency-Key`: its handler makes the change by `makeOnce`. */
  once?: Once | undefined
  /** Aborted when the caller goes away before the answer is sent. */
  signal: AbortSignal
}

export type SuccessOf<E> = E extends { success: infer S } ? StaticOf<S> : unknown

/**
 * Does the work of one endpoint and returns its success value; every refusal is a thrown `VaultError`.
 * What any other throw says is logged and never leaves the process.
 */
export type Handler<E, Principal = unknown> = (
  call: Call<E, Principal>,
) => Promise<SuccessOf<E> | Answer<SuccessOf<E> | undefined> | Download>

/** A declaration with the function that serves it. `handler` has lost its types: only the listener calls it. */
export type BoundEndpoint = {
  readonly endpoint: Endpoint
  readonly handler: (call: Call<Endpoint>) => Promise<unknown>
}

/** Joins an endpoint and its handler; the handler's types come from the declaration. */
export function bind<const E extends Endpoint>(endpoint: E, handler: Handler<E>): BoundEndpoint {
  return Object.freeze({ endpoint, handler: handler as unknown as BoundEndpoint['handler'] })
}

/** A `bind` for endpoints of one kind of access, whose authenticator answers a `Principal`. */
export const bindFor =
  <Kind extends string, Principal>() =>
  <const E extends Endpoint & { access: { kind: Kind } }>(endpoint: E, handler: Handler<E, Principal>): BoundEndpoint =>
    bind(endpoint, handler as Handler<E>)
