import { type Fact, UNKNOWN } from './fact.ts'
import { parseForm } from './form-data.ts'
import { parseBody } from './request-body.ts'

/** Memberships of a user, as last confirmed by the identity provider. */
export type GroupFacts = { externalGroupIds: readonly string[]; confirmedAtMs: number }

/** What the provider's specification says about a request. */
export type OperationFacts = {
  operation: string
  family: string | null
  /** Value of a named parameter, wherever the specification places it. */
  param(name: string): Fact<unknown>
}

/** The request as it will be sent, after canonicalization and without the headers and parameters that the grant injects. */
export type PolicyRequest = {
  /** Upper case. */
  readonly method: string
  readonly scheme: string
  /** Lower case, no trailing dot. */
  readonly host: string
  readonly port: number
  /** Canonical, escapes kept. */
  readonly path: string
  /** Decoded name → decoded values in order; unknown when an escape does not decode. */
  readonly query: Fact<ReadonlyMap<string, readonly string[]>>
  /** Lower case. */
  readonly headerNames: readonly string[]
  /** Media type in lower case without parameters. */
  readonly contentType: string | null
  readonly bodySize: Fact<number>
  /** SHA-256 input of the context digest: the bytes as they will be sent. */
  readonly bodyBytes: Fact<Uint8Array>
  /** Parsed JSON or form data; `null` without a body; unknown as in docs/spec/decisions-and-rules.md#unknown. Parsed at most once. */
  readonly body: Fact<unknown>
  readonly operation: Fact<OperationFacts>
}

/**
 * Everything a rule may look at (docs/spec/decisions-and-rules.md#the-context-document). Built by the caller; members may be getters,
 * each is read only when a rule on the request's targets names it. Members must not change between the decision and the digest.
 */
export type PolicyContext = {
  readonly mode: 'retrieve' | 'proxy'
  readonly organizationId: string
  readonly app: { readonly id: string; readonly environment: string }
  /** `id` is the provider id, or the slug of a managed secret. */
  readonly provider: { readonly id: string; readonly kind: 'oauth' | 'managed_secret' }
  readonly key: { readonly id: string; readonly type: string; readonly name: string }
  readonly caller: { readonly name: string | null; readonly type: string | null; readonly actorId: string | null }
  readonly agent: {
    readonly id: string
    readonly name: string
    readonly type: string
    readonly scopes: Readonly<Record<string, readonly string[]>>
  } | null
  readonly user: {
    readonly id: string
    readonly externalSubjectId: string
    readonly idpId: string
    readonly status: string
    readonly groups: Fact<GroupFacts>
    /** `auth_time` (else `iat`) of the presented user token; null when none was presented. */
    readonly authTimeMs: number | null
  } | null
  readonly principal: { readonly type: string; readonly id: string }
  readonly grant: {
    readonly id: string
    /** The grants this one was delegated from. Rules on any of them restrict this use as well. */
    readonly ancestorIds: readonly string[]
    readonly kind: string
    readonly label: string | null
    readonly scopes: readonly string[]
    readonly createdAtMs: number
    /** Last consent; the age of `ttl` restarts with it. */
    readonly consentedAtMs: number | null
    readonly lastUsedAtMs: number | null
    readonly expiresAtMs: number | null
    readonly delegated: boolean
    readonly depth: number
  }
  readonly clientIp: Fact<string>
  /** {@link UNKNOWN} in retrieve mode: what the caller will do with the token cannot be known. */
  readonly request: PolicyRequest | typeof UNKNOWN
  /** Method and URL that the client declares with a token request. */
  readonly declared: { readonly method: string | null; readonly url: string | null } | null
  /** Asserted by the caller. */
  readonly asserted: {
    readonly tool: string | null
    readonly framework: string | null
    readonly runId: string | null
    readonly threadId: string | null
    readonly parentAgent: string | null
    readonly extra: Readonly<Record<string, string>>
    readonly reason: string | null
  }
  /** The approved request being executed. */
  readonly approval: {
    readonly id: string
    readonly approverIds: readonly string[]
    readonly edited: boolean
  } | null
}

export type PolicyRequestParts = {
  method: string
  scheme: string
  host: string
  port: number
  path: string
  /** Canonical query without `?`; empty when there is none. */
  query: string
  /** Names and values of the caller's headers, after the ones that the grant injects were dropped. */
  headers: ReadonlyArray<readonly [name: string, value: string]>
  /** Bytes to be sent; null when there is no body; unknown when they were not kept (replay). */
  body: Fact<Uint8Array>
  /** Unknown when the provider has no specification or the request fits none of its operations. */
  operation?: Fact<OperationFacts>
}

/** Makes the request part of a context. Query and body are read when a rule asks for them, each at most once. */
export function createPolicyRequest(parts: PolicyRequestParts): PolicyRequest {
  const headerValue = (wanted: string): string | null => {
    let found: string | null = null
    for (const [name, value] of parts.headers) {
      if (name.toLowerCase() === wanted) found = found === null ? value : `${found}, ${value}`
    }
    return found
  }
  let query: PolicyRequest['query'] | undefined
  let body: Fact<unknown> | undefined
  const mediaType = () => {
    const value = headerValue('content-type')
    return value === null ? null : (value.split(';', 1)[0] ?? '').trim().toLowerCase()
  }

  return {
    method: parts.method.toUpperCase(),
    scheme: parts.scheme,
    host: parts.host,
    port: parts.port,
    path: parts.path,
    get query() {
      query ??= parseForm(parts.query) ?? UNKNOWN
      return query
    },
    get headerNames() {
      return [...new Set(parts.headers.map(([name]) => name.toLowerCase()))]
    },
    get contentType() {
      return mediaType()
    },
    get bodySize() {
      if (parts.body === UNKNOWN) return UNKNOWN
      return parts.body === null ? 0 : parts.body.byteLength
    },
    bodyBytes: parts.body,
    get body() {
      if (body === undefined) {
        body =
          parts.body === UNKNOWN || parts.body === null
            ? parts.body
            : parseBody(parts.body, mediaType(), headerValue('content-encoding'))
      }
      return body
    },
    operation: parts.operation ?? UNKNOWN,
  }
}
