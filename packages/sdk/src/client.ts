/** What `App` and `Agent` have in common. */
import { createBackend } from './backend.ts'
import { DEFAULT_BASE_URL, parseBaseUrl } from './base-url.ts'
import { assertCaller } from './call-options.ts'
import type { CallerType } from './caller-type.ts'
import { type Constraints, constraintClaims } from './constraints.ts'
import { listScopes } from './generated/calls.ts'
import { AlterSDKError, AlterValueError } from './generated/errors.ts'
import type {
  ApprovalResult,
  ApprovalStatus,
  PendingApproval,
  RetryInfo,
  ScopeCatalog,
  UnifiedGrantListResult,
} from './generated/models.ts'
import { type ListGrantsOptions, listGrants } from './grant-calls.ts'
import { isValidKey } from './key-format.ts'
import { callProvider, type ProviderResponse, type RequestOptions } from './provider-call.ts'
import {
  type ApprovalStatusOptions,
  type AwaitApprovalOptions,
  awaitApproval,
  callThroughProxy,
  getApprovalStatus,
  type ProxyRequestOptions,
} from './proxy-call.ts'
import type { RateLimitSnapshot } from './rate-limit.ts'
import { nodeRuntime, type Runtime } from './runtime.ts'
import { createSession, type Session, type UserTokenGetter } from './session.ts'

/** Options that both clients take. */
export type ClientOptions = {
  /** Any key type is accepted; which calls it may make is decided by the vault. */
  apiKey: string
  /** Where the vault is. Otherwise the environment variable `ALTER_BASE_URL`, otherwise the hosted service. */
  baseUrl?: string
  /** Limit of one HTTP exchange in milliseconds; 30,000 unless said. Long polls widen it for themselves. */
  timeoutMs?: number
  /** Label for the audit log, or the UUID of a managed agent: 1 to 255 printable ASCII characters. */
  caller?: string
  /** Asked for the user's token whenever a call may be on behalf of a user. */
  userTokenGetter?: UserTokenGetter
  /** Attenuations of every call; what `withConstraints` sets. */
  constraints?: Constraints
  /** Replacements for the network, clocks, timers, randomness or warnings of the surroundings. */
  runtime?: Partial<Runtime>
}

const DEFAULT_TIMEOUT_MS = 30_000

/** Base URLs that this process was already warned about; one line each is enough. */
const plainHttpWarned = new Set<string>()

/** The shared surface. Not constructed itself: use `App` or `Agent`. */
export abstract class VaultClient {
  /** Scope catalog of the vault. */
  readonly scopes: { list(): Promise<ScopeCatalog> }
  readonly #session: Session
  readonly #baseUrl: string

  protected constructor(kind: 'app' | 'agent', options: ClientOptions, callerType: CallerType) {
    if (!isValidKey(options.apiKey)) throw new AlterSDKError('The API key is not a well-formed Alter key')
    const { timeoutMs = DEFAULT_TIMEOUT_MS, caller, constraints, userTokenGetter } = options
    if (!Number.isFinite(timeoutMs) || timeoutMs <= 0)
      throw new AlterValueError('"timeoutMs" must be a positive number')
    if (caller !== undefined) assertCaller(caller)
    const runtime: Runtime = { ...nodeRuntime, ...options.runtime }
    this.#baseUrl = parseBaseUrl(options.baseUrl ?? (process.env.ALTER_BASE_URL || DEFAULT_BASE_URL))
    if (this.#baseUrl.startsWith('http:') && !plainHttpWarned.has(this.#baseUrl)) {
      plainHttpWarned.add(this.#baseUrl)
      runtime.warn(`Requests to the vault at ${this.#baseUrl} are not encrypted`)
    }
    const backend = createBackend({
      apiKey: options.apiKey,
      baseUrl: this.#baseUrl,
      timeoutMs,
      caller,
      callerType,
      constraints: constraints === undefined ? {} : constraintClaims(constraints),
      runtime,
    })
    const session = createSession({ kind, backend, runtime, timeoutMs, userTokenGetter })
    this.#session = session
    this.scopes = { list: () => session.invoke(listScopes, {}) }
  }

  /** For subclasses of this package. */
  protected get session(): Session {
    return this.#session
  }

  /** UUID of the actor that the vault resolved for `caller`; `null` until an answer named one. */
  get actorId(): string | null {
    return this.#session.backend.actorId()
  }

  /** What the vault tried while it fetched the credential of the newest `request`. */
  get lastRetryInfo(): RetryInfo | null {
    return this.#session.lastRetryInfo()
  }

  /** The rate-limit budget as last reported. */
  get lastRateLimit(): RateLimitSnapshot | null {
    return this.#session.backend.lastRateLimit()
  }

  /** Where calls go. */
  get baseUrl(): string {
    return this.#baseUrl
  }

  /**
   * Calls a provider from this process with a credential of the vault (retrieve mode). Redirects are not followed. The
   * whole body is read before the answer is returned, and reported to the audit log with credentials removed.
   *
   * @param method an `HttpMethod` or any other word
   * @param url absolute https URL, with `{name}` placeholders for `pathParams`
   * @throws {AlterValueError} when an argument is refused; nothing was sent
   * @throws {BackendError} by its kinds, when the vault refuses: `GrantNotFoundError`, `PolicyViolationError`, …
   * @throws {ProviderAPIError} when the provider answers 400 or above
   * @throws {NetworkError} when the vault or the provider did not answer
   */
  request(method: string, url: string, options: RequestOptions): Promise<ProviderResponse> {
    return callProvider(this.#session, method, url, options)
  }

  /**
   * Has the vault call a provider, so that the credential never leaves it. A person may have to approve first: branch on
   * `instanceof PendingApproval`. A provider's 4xx or 5xx is a result, not an error.
   *
   * @throws {AlterValueError} when an argument is refused; nothing was sent
   * @throws {BackendError} by its kinds, when the vault refuses
   * @throws {NetworkError} when the vault did not answer; the call may have been made
   */
  proxyRequest(method: string, url: string, options: ProxyRequestOptions): Promise<ApprovalResult | PendingApproval> {
    return callThroughProxy(this.#session, method, url, options)
  }

  /**
   * How a held request stands.
   * @throws {BackendError} for every refusal, the code in `details.error`
   */
  getApprovalStatus(approvalId: string, options: ApprovalStatusOptions = {}): Promise<ApprovalStatus> {
    return getApprovalStatus(this.#session, approvalId, options)
  }

  /**
   * Waits for the outcome of a held request, 300 s unless said, and returns the provider's answer.
   *
   * @throws {ApprovalDeniedError} {@link ApprovalExpiredError} {@link ApprovalExecutionFailedError} by outcome
   * @throws {ApprovalTimeoutError} when the time is over first; the request may still be decided later
   */
  awaitApproval(approvalId: string, options: AwaitApprovalOptions = {}): Promise<ApprovalResult> {
    return awaitApproval(this.#session, approvalId, options)
  }

  /** One page of the grants that this client may use. */
  listGrants(options: ListGrantsOptions = {}): Promise<UnifiedGrantListResult> {
    return listGrants(this.#session, options)
  }

  /** Refuses further calls and waits until every audit report is delivered or has failed. May be called again. */
  close(): Promise<void> {
    return this.#session.close()
  }

  /** `await using client = new App(…)` closes it at the end of the block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/**
 * Options for a sibling that carries constraints.
 * @throws {AlterValueError} when the client is constrained already: the vault takes one set per request
 */
export function constrainedOptions<O extends ClientOptions>(options: O, constraints: Constraints): O {
  if (options.constraints !== undefined) throw new AlterValueError('A constrained client cannot be constrained again')
  return { ...options, constraints }
}
