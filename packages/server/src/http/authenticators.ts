import type { Access } from '@alter-vault/contracts'
import type { Operator, SdkCaller } from './principals.ts'

/** What a request proves itself with, before its body has been parsed. */
export type Presented = {
  method: string
  /** Path and query exactly as they came on the request line; what a signature covers. */
  target: string
  /** Lower-case names. A header that came twice is joined by `, ` or, for `authorization`, kept once (Node's own rule). */
  headers: Readonly<Record<string, string | string[] | undefined>>
  /** The bytes of the body, empty when there is none. */
  rawBody: Buffer
  /** Path parameters as they came, decoded, not yet checked. */
  params: Readonly<Record<string, string>>
  clientIp: string
  requestId: string
}

/**
 * Says who calls and whether they may call this endpoint at all; throws the refusal otherwise. Both run before the body is
 * parsed, so that a caller who may not call learns nothing from a validation message.
 *
 * `apiKey` checks the key's state, the request proof and `access.scopes`, and settles the nonce.
 * `operator` checks the token's state, `access.scope`, and, when `params.app_id` or `params.organization_id` is there,
 * that it lies within the token's organization and apps: anything else is `not_found`, as an unknown id is.
 */
export type Authenticators = {
  apiKey(presented: Presented, access: Extract<Access, { kind: 'api_key' }>): Promise<SdkCaller>
  operator(presented: Presented, access: Extract<Access, { kind: 'operator' }>): Promise<Operator>
}
