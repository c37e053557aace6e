/**
 * A call to a provider from this process: fetch the credential, inject it, send, report.
 *
 *   POST /sdk/token ──▶ inject ──▶ provider ──┬──▶ the answer, or an error from 400 on
 *                                             └──▶ behind the caller's back: audit report; on a missing scope, that too
 *
 * The credential is in this process for the length of the call. Where that is too much, `proxyRequest` keeps it in the
 * vault.
 */
import { Buffer } from 'node:buffer'
import type { AuditContext } from './audit-context.ts'
import { requestOf } from './call.ts'
import { type CallOptions, checkCallOptions, checkMethod } from './call-options.ts'
import { reportHeaders, reportRequestBody, reportResponseBody, scrub } from './call-report.ts'
import { type FailedAnswer, mainError } from './error-mapping.ts'
import { type Exchanged, exchange } from './exchange.ts'
import { reportApiCall, retrieveToken } from './generated/calls.ts'
import {
  AgentDelegationMissingError,
  type AlterSDKError,
  AlterValueError,
  BackendError,
  ConnectConfigError,
  GrantNotFoundError,
  ProviderAPIError,
  ProviderUnauthorizedError,
  ScopeReauthRequiredError,
} from './generated/errors.ts'
import { APICallAuditLog, type RetryInfo, type TokenResponse } from './generated/models.ts'
import { FRAMING_HEADERS } from './header-names.ts'
import { credentialTexts, injectCredential, injectedHeaderNames } from './injection.ts'
import { toJsonText } from './json-text.ts'
import { appendQuery, assertUrlLength, parseProviderUrl, resolveUrl } from './request-target.ts'
import type { Session } from './session.ts'
import { USER_AGENT } from './version.ts'
import { findInsufficientScope, type InsufficientScope } from './www-authenticate.ts'

/** Options of `request`. */
export type RequestOptions = CallOptions & {
  /** Raw bytes instead of `json`; set `Content-Type` yourself. */
  body?: Uint8Array
}

/** The provider's answer: a `Response` whose `url` has no injected parameters, with the vault's `retryInfo`. */
export type ProviderResponse = Response & { readonly retryInfo: RetryInfo | null }

const FORBIDDEN_METHODS = ['CONNECT', 'TRACE', 'TRACK']
const REPORT_TIMEOUT_MS = 2_000

type Prepared = {
  method: string
  /** Without `queryParams`, as declared to the vault and reported afterwards. */
  declaredUrl: string
  url: URL
  headers: Headers
  body: string | Uint8Array | undefined
  context: AuditContext | undefined
}

/**
 * Makes one provider call.
 *
 * @returns the provider's answer below 400; redirects are not followed
 * @throws {AlterValueError} for arguments that cannot be sent; nothing was
 * @throws {BackendError} and its kinds, when the vault gives no credential
 * @throws {ProviderAPIError} when the provider answers 400 or above
 * @throws {NetworkError} when either did not answer
 */
export async function callProvider(
  session: Session,
  method: string,
  url: string,
  options: RequestOptions,
): Promise<ProviderResponse> {
  session.assertOpen()
  const request = prepare(method, url, options)
  const token = await fetchToken(session, request, options)
  session.rememberRetryInfo(token.retryInfo)
  const cleanUrl = request.url.href
  const callerHeaders = [...request.headers]
  injectCredential(request, token, session.runtime.wallClockMs())

  const startedMs = session.runtime.monotonicMs()
  const report = (outcome: Exchanged | Error) => {
    const latencyMs = Math.max(0, Math.round(session.runtime.monotonicMs() - startedMs))
    const log = auditLog({ request, options, token, callerHeaders, outcome, latencyMs })
    session.runInBackground(() => sendAuditLog(session, log, request.context))
  }
  let exchanged: Exchanged
  try {
    exchanged = await exchange(session.runtime, {
      url: request.url.href,
      method: request.method,
      headers: request.headers,
      body: request.body,
      timeoutMs: session.timeoutMs,
      signal: options.signal,
      peer: 'The provider',
    })
  } catch (error) {
    report(error instanceof Error ? error : new Error(String(error)))
    throw error
  }
  report(exchanged)

  const response = Object.defineProperties(exchanged.response, {
    retryInfo: { value: token.retryInfo, enumerable: true },
    url: { value: cleanUrl, enumerable: true },
  }) as ProviderResponse
  if (response.status < 400) return response

  const missing = findInsufficientScope(response.headers.get('www-authenticate') ?? '')
  if (response.status === 403 && missing) {
    session.runInBackground(() => reportScopeMismatch(session, token, request, missing))
  }
  throw providerError(token, response, exchanged.bytes, missing)
}

function prepare(method: string, url: string, options: RequestOptions): Prepared {
  const { context } = checkCallOptions(options)
  const upperCase = checkMethod(method)
  const declared = parseProviderUrl(resolveUrl(url, options.pathParams))
  const target = new URL(declared)
  appendQuery(target, options.queryParams ?? {})
  assertUrlLength(target)
  if (FORBIDDEN_METHODS.includes(upperCase)) throw new AlterValueError(`The method ${upperCase} cannot be sent`)

  const headers = new Headers({ 'User-Agent': USER_AGENT })
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    if (FRAMING_HEADERS.has(name.toLowerCase())) throw new AlterValueError(`The header "${name}" cannot be set`)
    headers.set(name, value)
  }
  const body = encodeBody(options)
  if (body !== undefined && (upperCase === 'GET' || upperCase === 'HEAD')) {
    throw new AlterValueError(`${upperCase} cannot carry a body here; proxyRequest can send one`)
  }
  if (typeof body === 'string' && !headers.has('content-type')) headers.set('Content-Type', 'application/json')
  return { method: upperCase, declaredUrl: declared.href, url: target, headers, body, context }
}

function encodeBody({ json, body }: RequestOptions): string | Uint8Array | undefined {
  if (json !== undefined && body !== undefined) throw new AlterValueError('Give "json" or "body", not both')
  if (body !== undefined && !(body instanceof Uint8Array)) throw new AlterValueError('"body" must be a Uint8Array')
  return json === undefined ? body : toJsonText(json, '"json"').toWellFormed()
}

async function fetchToken(session: Session, request: Prepared, options: RequestOptions): Promise<TokenResponse> {
  const { grantId, provider, appUserId, account, label, reason = null, caller, signal } = options
  const declared = { method: request.method, url: request.declaredUrl }
  const userToken = await session.userToken(options.userToken)
  return session.invoke(
    retrieveToken,
    { grantId, providerId: provider, reason, request: declared, userToken, appUserId, account, label },
    { context: request.context, caller, signal, refusal: (refused) => tokenRefusal(session, refused, options) },
  )
}

/** Setting up a connection is not what the caller asked for: such a refusal is told as a refused credential. */
function tokenRefusal(session: Session, refused: FailedAnswer, options: RequestOptions): AlterSDKError {
  const error = mainError(refused)
  if (!isExactly(error, ConnectConfigError)) return session.kind === 'agent' ? asMissingDelegation(error) : error
  return new BackendError(error.message, {
    grant_id: options.grantId ?? null,
    error: error.message,
    status_code: refused.status,
  })
}

/** What `GrantNotFoundError` means to an agent. */
export function asMissingDelegation(error: AlterSDKError): AlterSDKError {
  return isExactly(error, GrantNotFoundError) ? new AgentDelegationMissingError(error.message, error.details) : error
}

/** Not a type guard: classes without members of their own look alike to the compiler, and narrowing would go wrong. */
function isExactly(error: AlterSDKError, ErrorClass: unknown): boolean {
  return error.constructor === ErrorClass
}

type Reported = {
  request: Prepared
  options: RequestOptions
  token: TokenResponse
  callerHeaders: readonly [string, string][]
  outcome: Exchanged | Error
  latencyMs: number
}

function auditLog({ request, options, token, callerHeaders, outcome, latencyMs }: Reported): APICallAuditLog {
  const credentials = credentialTexts(token)
  const failed = outcome instanceof Error
  return new APICallAuditLog({
    grant_id: token.grantId,
    provider_id: token.providerId,
    token_generation: token.tokenGeneration,
    method: request.method,
    url: request.declaredUrl,
    request_headers: reportHeaders(callerHeaders, injectedHeaderNames(token), credentials),
    request_body: reportRequestBody({ json: options.json, bytes: options.body }),
    response_status: failed ? 0 : outcome.response.status,
    response_headers: failed ? {} : reportHeaders(outcome.response.headers, new Set(), credentials),
    response_body: failed
      ? `<transport error: ${scrub(outcome.message, credentials)}>`
      : reportResponseBody(outcome.bytes, credentials),
    latency_ms: latencyMs,
    reason: options.reason ?? null,
    context: request.context ?? null,
  })
}

async function sendAuditLog(session: Session, log: APICallAuditLog, context: AuditContext | undefined): Promise<void> {
  const answer = await session.backend.send({ ...requestOf(reportApiCall, log), context })
  if (answer.status < 200 || answer.status >= 300) {
    session.runtime.warn(`The vault did not take the audit report of a provider call (status ${answer.status})`)
  }
}

async function reportScopeMismatch(
  session: Session,
  token: TokenResponse,
  request: Prepared,
  { missingScopes, header }: InsufficientScope,
): Promise<void> {
  const answer = await session.backend.send({
    method: 'POST',
    path: `/sdk/grants/${token.grantId}/report-scope-mismatch`,
    body: {
      provider_status_code: 403,
      provider_error_code: 'insufficient_scope',
      missing_scopes: missingScopes.length === 0 ? null : missingScopes,
      raw_www_authenticate: scrub(header, credentialTexts(token)).slice(0, 4_096),
      api_endpoint: request.declaredUrl.slice(0, 2_048),
      detection_source: 'www_authenticate_rfc6750',
      sdk_correlation_id: Buffer.from(session.runtime.randomBytes(16)).toString('base64url'),
    },
    withActorId: false,
    timeoutMs: REPORT_TIMEOUT_MS,
  })
  if (answer.status !== 204) {
    const correlation = answer.headers.get('x-correlation-id') ?? 'none'
    session.runtime.warn(`The vault did not take a scope report (status ${answer.status}, correlation ${correlation})`)
  }
}

function providerError(
  token: TokenResponse,
  response: ProviderResponse,
  bytes: Uint8Array,
  missing: InsufficientScope | undefined,
): ProviderAPIError {
  const { status } = response
  const details = {
    status_code: status,
    grant_id: token.grantId,
    provider_id: token.providerId,
    response_body: reportResponseBody(bytes, credentialTexts(token)),
  }
  if (status === 403 && missing) {
    return new ScopeReauthRequiredError(
      'The provider says that the grant lacks a scope; the user has to connect again',
      { ...details, source: 'www_authenticate_rfc6750', missing_scopes: missing.missingScopes },
      { response },
    )
  }
  if (status === 403 && token.scopeMismatch) {
    return new ScopeReauthRequiredError(
      'The provider refused, and the grant lacks scopes that the app asks for; the user has to connect again',
      { ...details, source: 'backend_flag' },
      { response },
    )
  }
  if (status === 401 && !missing) {
    return new ProviderUnauthorizedError('The provider does not accept the credential', details, { response })
  }
  return new ProviderAPIError(`The provider answered ${status}`, details, { response })
}
