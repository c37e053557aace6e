/** A call to a provider that the vault makes, so that the credential never leaves it; and the approvals it may need. */
import { type CallOptions, checkCallOptions, checkMethod } from './call-options.ts'
import { approvalStatusError, proxyError } from './error-mapping.ts'
import { proxyRequest, readApprovalResult, readApprovalStatus } from './generated/calls.ts'
import {
  AlterValueError,
  ApprovalDeniedError,
  ApprovalExecutionFailedError,
  ApprovalExpiredError,
  ApprovalTimeoutError,
  BackendError,
  NetworkError,
} from './generated/errors.ts'
import { ApprovalResult, type ApprovalStatus, type PendingApproval } from './generated/models.ts'
import { PROXY_REFUSED_HEADERS } from './header-names.ts'
import { toJsonText } from './json-text.ts'
import { asMissingDelegation } from './provider-call.ts'
import { resolveUrl } from './request-target.ts'
import { sleep } from './runtime.ts'
import type { Session } from './session.ts'

/** Options of `proxyRequest`. */
export type ProxyRequestOptions = CallOptions

/** Options of `getApprovalStatus`. */
export type ApprovalStatusOptions = {
  /** How long the vault may hold the answer for a change, in whole seconds; it allows up to 25. */
  waitSeconds?: number
  signal?: AbortSignal
}

/** Options of `awaitApproval`. */
export type AwaitApprovalOptions = {
  /** How long to wait in all, in milliseconds; 300,000 unless said. */
  timeoutMs?: number
  /** Pause between questions, in milliseconds; 2,000 unless said. */
  pollIntervalMs?: number
  /** Ends the wait early; it then fails with the signal's reason. The approval itself goes on. */
  signal?: AbortSignal
}

const DEFAULT_TIMEOUT_MS = 300_000
const DEFAULT_POLL_INTERVAL_MS = 2_000
const LONGEST_WAIT_SECONDS = 25
/** What a long poll may take longer than it was asked to. */
const POLL_MARGIN_MS = 15_000
const PASSING_STATUSES = [502, 503, 504]

/**
 * Has the vault make one call.
 *
 * @returns the provider's answer, whatever its status, or what to wait for when a person has to approve first
 * @throws {AlterValueError} for arguments that cannot be sent; nothing was
 * @throws {PolicyViolationError} and the other refusals of the vault
 */
export async function callThroughProxy(
  session: Session,
  method: string,
  url: string,
  options: ProxyRequestOptions,
): Promise<ApprovalResult | PendingApproval> {
  session.assertOpen()
  const { context } = checkCallOptions(options)
  for (const name of Object.keys(options.headers ?? {})) {
    if (PROXY_REFUSED_HEADERS.has(name.toLowerCase())) {
      throw new AlterValueError(`The header "${name}" is not sent through the proxy`)
    }
  }
  if (options.json === null) throw new AlterValueError('A body of JSON null cannot be sent through the proxy')
  if (options.json !== undefined) toJsonText(options.json, '"json"')
  const upperCase = checkMethod(method)
  const resolved = resolveUrl(url, options.pathParams)
  const userToken = await session.userToken(options.userToken)
  const { grantId, provider, account, label, appUserId, json, headers, queryParams, reason, caller, signal } = options
  return session.invoke(
    proxyRequest,
    {
      method: upperCase,
      url: resolved,
      grantId,
      providerId: provider,
      account,
      label,
      userToken,
      appUserId,
      body: json,
      headers,
      queryParams,
      reason,
    },
    {
      context,
      caller,
      signal,
      exact: true,
      refusal: (refused) => {
        const error = proxyError(refused)
        return session.kind === 'agent' ? asMissingDelegation(error) : error
      },
    },
  )
}

/**
 * Asks once how a held request stands.
 * @throws {BackendError} for every refusal, the code in `details.error`
 */
export async function getApprovalStatus(
  session: Session,
  approvalId: string,
  { waitSeconds = 0, signal }: ApprovalStatusOptions = {},
  timeoutMs?: number,
): Promise<ApprovalStatus> {
  if (!Number.isFinite(waitSeconds) || waitSeconds < 0) throw new AlterValueError('"waitSeconds" must be 0 or more')
  const wait = Math.floor(waitSeconds) || undefined
  return session.invoke(
    readApprovalStatus,
    { approvalId, wait },
    {
      withActorId: false,
      timeoutMs: timeoutMs ?? (wait && wait * 1_000 + POLL_MARGIN_MS),
      signal,
      exact: true,
      refusal: approvalStatusError,
    },
  )
}

/**
 * Waits until a held request has ended and fetches its result. Answers that say "not now" (502, 503, 504) and broken
 * connections are asked again; every other refusal ends the wait.
 *
 * @throws {ApprovalDeniedError} {@link ApprovalExpiredError} {@link ApprovalExecutionFailedError} by outcome
 * @throws {ApprovalTimeoutError} when the time is over first; the request may still be decided later
 */
export async function awaitApproval(
  session: Session,
  approvalId: string,
  options: AwaitApprovalOptions = {},
): Promise<ApprovalResult> {
  const timeoutMs = positive('timeoutMs', options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
  const intervalMs = positive('pollIntervalMs', options.pollIntervalMs ?? DEFAULT_POLL_INTERVAL_MS)
  const { signal } = options
  const deadlineMs = session.runtime.monotonicMs() + timeoutMs
  for (;;) {
    const remainingMs = deadlineMs - session.runtime.monotonicMs()
    if (remainingMs <= 0) {
      throw new ApprovalTimeoutError(`No outcome within ${timeoutMs} ms; the request may still be decided`, {
        approval_id: approvalId,
      })
    }
    try {
      const result = await askOnce(session, approvalId, remainingMs, signal)
      if (result) return result
    } catch (error) {
      if (!mayPass(error)) throw error
    }
    const pauseMs = Math.min(intervalMs, deadlineMs - session.runtime.monotonicMs())
    if (pauseMs > 0) await sleep(session.runtime, pauseMs, signal)
  }
}

async function askOnce(
  session: Session,
  approvalId: string,
  remainingMs: number,
  signal: AbortSignal | undefined,
): Promise<ApprovalResult | undefined> {
  const startedMs = session.runtime.monotonicMs()
  const waitSeconds = Math.min(LONGEST_WAIT_SECONDS, Math.floor(remainingMs / 1_000))
  const pollTimeoutMs = Math.min(waitSeconds * 1_000 + POLL_MARGIN_MS, remainingMs)
  const status = await getApprovalStatus(session, approvalId, { waitSeconds, ...(signal && { signal }) }, pollTimeoutMs)
  switch (status.status) {
    case 'denied':
      throw new ApprovalDeniedError(status.decisionReason || 'The request was denied', status.toJSON())
    case 'expired':
      throw new ApprovalExpiredError('Nobody decided before the approval window closed', status.toJSON())
    case 'failed':
      throw new ApprovalExecutionFailedError(
        status.executionError || status.decisionReason || 'The approved request could not be executed',
        status.toJSON(),
      )
    case 'executed': {
      if (!status.hasResult) return undefined
      const leftMs = remainingMs - (session.runtime.monotonicMs() - startedMs)
      return leftMs > 0 ? fetchResult(session, approvalId, Math.min(leftMs, session.timeoutMs), signal) : undefined
    }
    default:
      return undefined
  }
}

async function fetchResult(
  session: Session,
  approvalId: string,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<ApprovalResult> {
  const how = { withActorId: false, timeoutMs, signal, exact: true, refusal: proxyError }
  const result = await session.invoke(readApprovalResult, { approvalId }, how)
  return new ApprovalResult({ ...result.toJSON(), approval_id: result.approvalId ?? approvalId })
}

function mayPass(error: unknown): boolean {
  if (error instanceof NetworkError) return true
  return error instanceof BackendError && PASSING_STATUSES.includes(error.statusCode ?? 0)
}

function positive(name: string, value: number): number {
  if (!Number.isFinite(value) || value <= 0) throw new AlterValueError(`"${name}" must be a positive number`)
  return value
}
