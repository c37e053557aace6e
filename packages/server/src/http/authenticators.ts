import type * as contracts from '@alter-vault/contracts'
import type { Access } from '@alter-vault/contracts'

/** What a request proves itself with, before its body has been parsed. */
export type Presented = {
  method: string
  /** Path and query exactly as they came on the request line; what a signature covers. */
  target: string
  /** Lower-case names. A header that came twice is joined by `, ` or, for `authorization`, kept once (Node's own rule). */
  headers: Readonly<Record<string, string | string[] | undefined>>
  /**
   * The bytes of the body, empty when there is none. They are asked for once it is known who calls, and are counted as `caller`'s: nobody
   * without a key or token makes the server hold a body.
   */
  readBody: (caller?: string) => Promise<Buffer>
  /** Path parameters as they came, decoded, not yet checked. */
  params: Readonly<Record<string, string>>
  clientIp: string
  requestId: string
}

export type Authenticated<Principal = unknown> = {
  /** Who calls, for the handler. */
  principal: Principal
  /** What every answer to this caller says in its headers. */
  answerHeaders?: Readonly<Record<string, string>>
  /** Whose idempotency keys its own are, and where they count. */
  repeats?: { scopeId: string; by: string } | undefined
}

/**
 * Says who calls and whether they may call this endpoint at all; throws the refusal otherwise. Both run before the body is
 * parsed, so that a caller who may not call learns nothing from a validation message. What `params` name must lie within the
 * caller's reach: anything else is refused as an unknown id is.
 */
export type Authenticator<Needs = never, Principal = unknown> = (
  presented: Presented,
  needs: Needs,
) => Promise<Authenticated<Principal>>

type AccessOf<M> = M extends (needs: never) => Access<infer Name, infer Needs>
  ? string extends Name
    ? never
    : { name: Name; needs: Needs }
  : never
type DeclaredAccess = AccessOf<(typeof contracts)[keyof typeof contracts]>

/** One authenticator for each kind of access that the contracts define. */
export type Authenticators = {
  [Name in DeclaredAccess['name']]: Authenticator<Extract<DeclaredAccess, { name: Name }>['needs']>
}

/** For kinds of access that prove nothing, or that the handler checks. */
export const checksNothing: Authenticator<unknown> = async () => ({ principal: null })
