/**
 * Which error a refusal of the vault becomes. Status and code select the class, in one of three ways, because the same code means different
 * things on different endpoints: `/sdk/agents*`, proxied calls with the results of approvals, and everything else.
 */
import { AGENT_ERRORS, CALL_ERRORS, type ErrorTable, PROXY_ERRORS } from './generated/error-tables.ts'
import * as errors from './generated/errors.ts'
import { MAX_QUOTA_WAIT_SECONDS, MAX_RATE_LIMIT_WAIT_SECONDS, readRetryAfter } from './retry-after.ts'
import { isObject } from './shape.ts'

/** An answer of the vault as far as errors need it. `json` is `undefined` when the body was no JSON. */
export type FailedAnswer = { status: number; headers: Headers; json: unknown }

type Refusal = FailedAnswer & { code: string | null; message: string | null; body: Record<string, unknown> }

/** The error for a refused call, `/sdk/agents*` and proxied calls excepted. */
export function mainError(answer: FailedAnswer): errors.AlterSDKError {
  return build(readRefusal(answer), CALL_ERRORS)
}

/** The error for a refused call to `/sdk/agents*`. */
export function agentsError(answer: FailedAnswer): errors.AlterSDKError {
  return build(readRefusal(answer), AGENT_ERRORS)
}

/** The error for a refused `/sdk/proxy` call or a refused result of an approval. */
export function proxyError(answer: FailedAnswer): errors.AlterSDKError {
  return build(readRefusal(answer), PROXY_ERRORS, CALL_ERRORS)
}

/** The error for a refused look at an approval's status, which has one class only. */
export function approvalStatusError(answer: FailedAnswer): errors.BackendError {
  const { code, message } = readRefusal(answer)
  return new errors.BackendError(message ?? `The vault answered ${answer.status} to a question about an approval`, {
    status_code: answer.status,
    error: code,
  })
}

/** The flat envelope, or the same object under `detail`; anything else has no code and no text. */
function readRefusal(answer: FailedAnswer): Refusal {
  const outer = isObject(answer.json) ? answer.json : {}
  const body = isObject(outer.detail) ? outer.detail : outer
  return {
    ...answer,
    code: typeof body.error === 'string' ? body.error : null,
    message: typeof body.message === 'string' && body.message !== '' ? body.message : null,
    body,
  }
}

/** The most exact row of the first table that has one. Statuses and codes hold no space, so a key never names anything else. */
function classOf({ status, code, json }: Refusal, tables: readonly ErrorTable[]) {
  if (status === 429 && json === undefined) return errors.RateLimitError
  const found = tables.map((table) => table[`${status} ${code}`] ?? table[`${status} *`] ?? table[`* ${code}`])
  return found.find((row) => row !== undefined) ?? errors.BackendError
}

function build(refusal: Refusal, ...tables: readonly ErrorTable[]): errors.AlterSDKError {
  const { status, code, body, headers } = refusal
  const ErrorOf = classOf(refusal, tables)
  const message = refusal.message ?? `The vault answered ${status}${code === null ? '' : ` (${code})`}`
  const details: Record<string, unknown> = { ...body, status_code: status }
  switch (ErrorOf) {
    case errors.ScopeReauthRequiredError: {
      const nested = isObject(body.details) ? body.details : {}
      return new ErrorOf(message, { ...nested, source: 'backend_flag', status_code: status })
    }
    case errors.BlockedDestinationError:
      return new ErrorOf('The vault does not send this credential to that destination', {
        ...details,
        request_id: headers.get('x-request-id'),
      })
    case errors.RateLimitError:
      return new ErrorOf(message, { ...details, ...wait(headers, body.retry_after, MAX_RATE_LIMIT_WAIT_SECONDS) })
    case errors.QuotaExceededError:
      return new ErrorOf(message, { ...details, ...wait(headers, body.retry_after, MAX_QUOTA_WAIT_SECONDS) })
    case errors.BackendError:
      if (status !== 500 && status !== 503) return new ErrorOf(message, details)
      return new ErrorOf(message, { ...details, ...wait(headers, undefined, MAX_RATE_LIMIT_WAIT_SECONDS) })
    default:
      return new ErrorOf(message, details)
  }
}

function wait(headers: Headers, bodyField: unknown, maxSeconds: number): errors.ErrorDetails {
  const seconds = readRetryAfter(headers, bodyField, maxSeconds)
  return seconds === null ? {} : { retry_after_seconds: seconds }
}
