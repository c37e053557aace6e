import { type Fact, UNKNOWN } from './fact.ts'
import { type FormData, parseForm } from './form-data.ts'
import { namesOtherMethod } from './method-override.ts'
import { type PathReadings, readPath } from './path-readings.ts'
import { type BodyReading, readBody } from './request-body.ts'

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
  /** Upper case, as sent. */
  readonly method: string
  /** The query or the body holds a parameter such as `_method`, by which frameworks take a request for one of another method. */
  readonly namesOtherMethod: boolean
  readonly scheme: string
  /** Lower case, no trailing dot. */
  readonly host: string
  readonly port: number
  /** Canonical, escapes kept. */
  readonly path: string
  /** The path as servers may read it. */
  readonly pathReadings: PathReadings
  /** Unknown when it does not decode, or readers part its pairs in different ways. */
  readonly query: Fact<FormData>
  /** Lower case. */
  readonly headerNames: readonly string[]
  /** Media type in lower case without parameters. */
  readonly contentType: string | null
  readonly bodySize: Fact<number>
  /** SHA-256 input of the context digest: the bytes as they will be sent. */
  readonly bodyBytes: Fact<Uint8Array>
  /** The value of JSON, or the `FormData` of a form; `null` without a body; unknown as in docs/spec/decisions-and-rules.md#unknown. Parsed at most once. */
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

/** Makes the request part of a context. Query, path and body are read when a rule asks for them, each at most once. */
export const createPolicyRequest = (parts: PolicyRequestParts): PolicyRequest => new ReadRequest(parts)

/* A class, since one is made for each decision: getters of an object literal and closures cost several times as much. */
class ReadRequest implements PolicyRequest {
  readonly method: string
  readonly scheme: string
  readonly host: string
  readonly port: number
  readonly path: string
  readonly bodyBytes: Fact<Uint8Array>
  readonly operation: Fact<OperationFacts>
  private readonly parts: PolicyRequestParts
  private readQuery: Fact<FormData> | undefined
  private readBody: BodyReading | null | undefined
  private readPath: PathReadings | undefined
  private overridden: boolean | undefined

  constructor(parts: PolicyRequestParts) {
    this.parts = parts
    this.method = parts.method.toUpperCase()
    this.scheme = parts.scheme
    this.host = parts.host
    this.port = parts.port
    this.path = parts.path
    this.bodyBytes = parts.body
    this.operation = parts.operation ?? UNKNOWN
  }

  get namesOtherMethod(): boolean {
    const bytes = this.bodyBytes === UNKNOWN ? null : this.bodyBytes
    this.overridden ??= namesOtherMethod(this.parts.query, bytes, () => this.reading())
    return this.overridden
  }

  get pathReadings(): PathReadings {
    this.readPath ??= readPath(this.path)
    return this.readPath
  }

  get query(): Fact<FormData> {
    this.readQuery ??= parseForm(this.parts.query) ?? UNKNOWN
    return this.readQuery
  }

  get headerNames(): readonly string[] {
    return [...new Set(this.parts.headers.map(([name]) => name.toLowerCase()))]
  }

  get contentType(): string | null {
    const value = this.header('content-type')
    return value === null ? null : value.split(';', 1)[0]!.trim().toLowerCase()
  }

  get bodySize(): Fact<number> {
    if (this.bodyBytes === UNKNOWN) return UNKNOWN
    return this.bodyBytes === null ? 0 : this.bodyBytes.byteLength
  }

  get body(): Fact<unknown> {
    if (this.bodyBytes === UNKNOWN) return UNKNOWN
    const reading = this.reading()
    if (reading === null) return null
    return reading.doubt === null ? reading.value : UNKNOWN
  }

  private reading(): BodyReading | null {
    if (this.readBody === undefined) {
      const bytes = this.bodyBytes
      this.readBody =
        bytes === UNKNOWN || bytes === null
          ? null
          : readBody(bytes, this.header('content-type'), this.header('content-encoding'))
    }
    return this.readBody
  }

  private header(wanted: string): string | null {
    let found: string | null = null
    for (const [name, value] of this.parts.headers) {
      if (name.toLowerCase() === wanted) found = found === null ? value : `${found}, ${value}`
    }
    return found
  }
}
