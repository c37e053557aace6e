import type { ProxyRequestBody } from '@alter-vault/contracts'
import { assertAllowedHost } from '../egress/allowed-hosts.ts'
import { appendQuery } from '../egress/append-query.ts'
import { type CanonicalUrl, canonicalUrl } from '../egress/canonical-url.ts'
import type { InjectedNames } from '../egress/credential-kind.ts'
import { type HeaderList, parseCallerHeaders } from '../egress/header-rules.ts'
import { dropInjectedNames } from '../egress/inject.ts'
import { parseRequestMethod } from '../egress/request-method.ts'
import { assertDestination } from '../egress/static-destination.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { createPolicyRequest, type PolicyRequest } from '../policy/policy-context.ts'
import type { AppPolicy } from './app-policy.ts'
import type { GrantFacts } from './grant-facts.ts'
import { encodeBody } from './outgoing-body.ts'

/** A call as it will be sent, without its credential. What rules read, what is frozen and hashed, and what is sent. */
export type PreparedCall = {
  method: string
  url: CanonicalUrl
  headers: HeaderList
  body: Buffer | undefined
  /** The caller's own headers and query names that gave way to the credential's. */
  dropped: InjectedNames
}

/** A call as rules read it. */
export const policyRequestOf = ({ method, url, headers, body }: PreparedCall): PolicyRequest =>
  createPolicyRequest({
    method,
    scheme: url.scheme,
    host: url.host,
    port: url.port,
    path: url.path,
    query: url.query,
    headers,
    body: body ?? null,
  })

/**
 * Brings a call into its one form and holds it against the grant (docs/spec/decisions-and-rules.md#order-of-a-use, step 5). Refuses
 * `blocked_destination`, `query_too_long`, `forbidden_header`, `grant_restriction`, `validation_failed`.
 */
export function prepareCall(request: ProxyRequestBody, grant: GrantFacts, policy: DestinationPolicy): PreparedCall {
  const { target } = grant
  const method = parseRequestMethod(request.method)
  const requested = appendQuery(canonicalUrl(request.url), request.query_params, { space: target.querySpace })
  const encoded = encodeBody(request.body, parseCallerHeaders(request.headers))
  const cleared = dropInjectedNames(target.injectedNames, requested, encoded.headers)
  const call = { method, url: cleared.url, headers: cleared.headers, body: encoded.bytes, dropped: cleared.dropped }
  assertSendable(call, grant, policy)
  return call
}

type DestinationPolicy = Pick<AppPolicy, 'allowedPrivateHosts'>

/** What can be known before a name is resolved: a call that is refused here could never be sent, whoever approved it. */
export function assertSendable(
  call: PreparedCall,
  grant: GrantFacts,
  { allowedPrivateHosts }: DestinationPolicy,
): void {
  const { method, url } = call
  assertAllowedHost(grant.target.allowedHosts, url)
  assertDestination(url, allowedPrivateHosts)
  const outside = grant.checkRestrictions?.(policyRequestOf(call)) ?? null
  if (outside === null) return
  throw new VaultError('grant_restriction', {
    message: `The grant is restricted: ${method} ${url.origin}${url.path} is outside its "${outside.list}". Nothing was sent.`,
    fields: { grant_id: grant.grantId, restriction: outside.list },
  })
}
