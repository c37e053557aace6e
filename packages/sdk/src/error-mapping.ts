/**
 * Which error a refusal of the vault becomes.
 *
 * Three mappers, because the same code means different things on different endpoints: `mainError` for most calls,
 * `agentsError` for `/sdk/agents*`, `proxyError` for proxied calls and results of approvals (three more codes, then
 * main). Status and code select the class; the tables below are the whole of it.
 */
import * as errors from './errors.ts'
import { MAX_QUOTA_WAIT_SECONDS, MAX_RATE_LIMIT_WAIT_SECONDS, readRetryAfter } from './retry-after.ts'

/** An answer of the vault as far as errors need it. `json` is `undefined` when the body was no JSON. */
export type FailedAnswer = { status: number; headers: Headers; json: unknown }

type ErrorClass = new (message: string, details: errors.ErrorDetails) => errors.AlterSDKError
type CodeTable = Readonly<Record<string, ErrorClass>>

const KEY_REFUSALS: CodeTable = {
  invalid_key: errors.InvalidKeyError,
  key_revoked: errors.KeyRevokedError,
  key_expired: errors.KeyExpiredError,
  key_rotated_grace_expired: errors.KeyRotationExpiredError,
  key_not_active: errors.KeyInactiveError,
  agent_inactive: errors.AgentInactiveError,
  agent_revoked: errors.AgentRevokedError,
}

const RESOLUTION_FAULTS: CodeTable = {
  caller_agent_resolution_error: errors.CallerAgentResolutionError,
  app_not_found_for_key: errors.KeyAppNotFoundError,
}

const BAD_REQUEST: CodeTable = {
  caller_agent_mismatch: errors.CallerAgentMismatchError,
  grant_revoked: errors.GrantRevokedError,
  credential_revoked: errors.CredentialRevokedError,
  restricted_grant_requires_proxy: errors.RestrictedGrantRequiresProxyError,
  delegated_grant_requires_proxy: errors.RestrictedGrantRequiresProxyError,
  hitl_grant_requires_proxy: errors.RestrictedGrantRequiresProxyError,
  user_limits_require_proxy: errors.RestrictedGrantRequiresProxyError,
}

const UNUSUAL: CodeTable = {
  secret_template_mismatch: errors.ConnectConfigError,
  blocked_destination: errors.BlockedDestinationError,
}

/** Per status: codes that have a class of their own, and the class of every other code or none. */
const MAIN: Readonly<Record<number, { codes: CodeTable; otherwise: ErrorClass }>> = {
  400: { codes: BAD_REQUEST, otherwise: errors.BackendError },
  401: { codes: { jwt_validation_error: errors.ReAuthRequiredError, ...KEY_REFUSALS }, otherwise: errors.BackendError },
  403: {
    codes: {
      insufficient_scope: errors.InsufficientScopeError,
      grant_expired: errors.GrantExpiredError,
      grant_revoked: errors.GrantRevokedError,
      credential_revoked: errors.CredentialRevokedError,
      restricted_grant_requires_proxy: errors.RestrictedGrantRequiresProxyError,
      grant_not_delegable: errors.GrantNotDelegableError,
      scope_mismatch: errors.ScopeReauthRequiredError,
      step_up_required: errors.StepUpRequiredError,
      redact_discharge_failed: errors.RedactDischargeFailedError,
    },
    otherwise: errors.PolicyViolationError,
  },
  404: {
    codes: {
      no_delegated_grant: errors.NoDelegatedGrantError,
      caller_agent_unresolved: errors.AgentNotFoundError,
      agent_not_found: errors.AgentNotFoundError,
      secret_not_found: errors.ConnectConfigError,
    },
    otherwise: errors.GrantNotFoundError,
  },
  409: {
    codes: {
      managed_oauth_scope_approval_required: errors.ConnectConfigError,
      idp_signin_not_configured: errors.ConnectConfigError,
      no_eligible_grants: errors.ConnectConfigError,
      binding_hosts_required: errors.ConnectConfigError,
      provider_contract_repair_required: errors.ConnectConfigError,
      token_refresh_in_progress: errors.TokenRefreshInProgressError,
      ambiguous_grant: errors.AmbiguousGrantError,
      sibling_label_conflict: errors.SiblingLabelConflictError,
      credential_id_required: errors.CredentialIdRequiredError,
      end_user_credential_not_assignable: errors.EndUserCredentialNotAssignableError,
      no_delegated_grant: errors.NoDelegatedGrantError,
    },
    otherwise: errors.BackendError,
  },
  410: { codes: {}, otherwise: errors.GrantDeletedError },
  429: {
    codes: { rate_limit_exceeded: errors.RateLimitError, quota_exceeded: errors.QuotaExceededError },
    otherwise: errors.BackendError,
  },
  500: { codes: RESOLUTION_FAULTS, otherwise: errors.BackendError },
  502: { codes: BAD_REQUEST, otherwise: errors.BackendError },
  503: { codes: RESOLUTION_FAULTS, otherwise: errors.BackendError },
}

/** On `/sdk/agents*` the code alone decides, whatever the status. */
const AGENTS: CodeTable = {
  ...KEY_REFUSALS,
  ...RESOLUTION_FAULTS,
  caller_agent_mismatch: errors.CallerAgentMismatchError,
  insufficient_scope: errors.InsufficientScopeError,
  me_requires_agent_key: errors.MeRequiresAgentKeyError,
  agent_cannot_mint_subagents: errors.AgentCannotMintSubagentsError,
  caller_agent_unresolved: errors.AgentNotFoundError,
  agent_not_found: errors.AgentNotFoundError,
  key_not_found: errors.KeyNotFoundError,
  agent_name_exists: errors.AgentNameExistsError,
  last_active_key: errors.LastActiveKeyError,
  agent_key_limit_reached: errors.AgentKeyLimitError,
  idempotency_key_body_mismatch: errors.IdempotencyKeyBodyMismatchError,
  idempotency_key_agent_revoked: errors.IdempotencyKeyAgentRevokedError,
  idempotency_key_agent_inactive: errors.IdempotencyKeyAgentInactiveError,
  rate_limit_exceeded: errors.RateLimitError,
}

/** The exceptions to that: codes that mean something else, or mean it only, at 409. */
const AGENTS_CONFLICT: CodeTable = {
  key_revoked: errors.KeyAlreadyRevokedError,
  agent_concurrent_update: errors.AgentConcurrentUpdateError,
}

const APPROVAL_OUTCOMES: CodeTable = {
  approval_denied: errors.ApprovalDeniedError,
  approval_expired: errors.ApprovalExpiredError,
  approval_execution_failed: errors.ApprovalExecutionFailedError,
}

/** The error for a refused call, `/sdk/agents*` and proxied calls excepted. */
export function mainError(answer: FailedAnswer): errors.AlterSDKError {
  const refusal = readRefusal(answer)
  const row = MAIN[answer.status]
  if (answer.status === 429 && answer.json === undefined) return build(errors.RateLimitError, refusal, answer)
  if (!row) return build(find(UNUSUAL, refusal.code) ?? errors.BackendError, refusal, answer)
  return build(find(row.codes, refusal.code) ?? row.otherwise, refusal, answer)
}

/** The error for a refused call to `/sdk/agents*`. */
export function agentsError(answer: FailedAnswer): errors.AlterSDKError {
  const refusal = readRefusal(answer)
  if (answer.status === 429 && answer.json === undefined) return build(errors.RateLimitError, refusal, answer)
  const conflict = answer.status === 409 ? find(AGENTS_CONFLICT, refusal.code) : undefined
  return build(conflict ?? find(AGENTS, refusal.code) ?? errors.BackendError, refusal, answer)
}

/** The error for a refused `/sdk/proxy` call or a refused result of an approval. */
export function proxyError(answer: FailedAnswer): errors.AlterSDKError {
  const refusal = readRefusal(answer)
  const outcome = find(APPROVAL_OUTCOMES, refusal.code)
  return outcome ? build(outcome, refusal, answer) : mainError(answer)
}

/** The error for a refused look at an approval's status, which has one class only. */
export function approvalStatusError(answer: FailedAnswer): errors.BackendError {
  const { code, message } = readRefusal(answer)
  return new errors.BackendError(message ?? `The vault answered ${answer.status} to a question about an approval`, {
    status_code: answer.status,
    error: code,
  })
}

type Refusal = { code: string | null; message: string | null; body: Record<string, unknown> }

/** The flat envelope, or the same object under `detail`; anything else has no code and no text. */
function readRefusal({ json }: FailedAnswer): Refusal {
  const outer = asObject(json)
  const body = asObject(outer?.detail) ?? outer ?? {}
  return {
    code: typeof body.error === 'string' ? body.error : null,
    message: typeof body.message === 'string' && body.message !== '' ? body.message : null,
    body,
  }
}

function find(table: CodeTable, code: string | null): ErrorClass | undefined {
  return code !== null && Object.hasOwn(table, code) ? table[code] : undefined
}

function build(ErrorOf: ErrorClass, refusal: Refusal, answer: FailedAnswer): errors.AlterSDKError {
  const message = refusal.message ?? defaultMessage(answer.status, refusal.code)
  const details: Record<string, unknown> = { ...refusal.body, status_code: answer.status }
  switch (ErrorOf) {
    case errors.ScopeReauthRequiredError:
      return new ErrorOf(message, {
        ...asObject(refusal.body.details),
        source: 'backend_flag',
        status_code: answer.status,
      })
    case errors.BlockedDestinationError:
      return new ErrorOf('The vault does not send this credential to that destination', {
        ...details,
        request_id: answer.headers.get('x-request-id'),
      })
    case errors.RateLimitError:
      return new ErrorOf(message, { ...details, ...retryAfter(refusal, answer, MAX_RATE_LIMIT_WAIT_SECONDS) })
    case errors.QuotaExceededError:
      return new ErrorOf(message, { ...details, ...retryAfter(refusal, answer, MAX_QUOTA_WAIT_SECONDS) })
    case errors.BackendError:
      if (answer.status !== 500 && answer.status !== 503) return new ErrorOf(message, details)
      return new ErrorOf(message, { ...details, ...retryAfter(undefined, answer, MAX_RATE_LIMIT_WAIT_SECONDS) })
    default:
      return new ErrorOf(message, details)
  }
}

function retryAfter(refusal: Refusal | undefined, answer: FailedAnswer, maxSeconds: number): errors.ErrorDetails {
  const seconds = readRetryAfter(answer.headers, refusal?.body.retry_after, maxSeconds)
  return seconds === null ? {} : { retry_after_seconds: seconds }
}

function defaultMessage(status: number, code: string | null): string {
  return code === null ? `The vault answered ${status}` : `The vault answered ${status} (${code})`
}

function asObject(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}
