import { describe, expect, test } from 'vitest'
import { agentsError, approvalStatusError, mainError, proxyError } from './error-mapping.ts'
import * as errors from './generated/errors.ts'

type Mapper = (answer: { status: number; headers: Headers; json: unknown }) => errors.AlterSDKError

function refuse(mapper: Mapper, status: number, json: unknown, headers: Record<string, string> = {}) {
  return mapper({ status, headers: new Headers(headers), json })
}

/** Status, code, class on most calls, class on `/sdk/agents*`. */
const TABLE: [status: number, code: string, main: string, agents: string][] = [
  ...[400, 502].flatMap((status): [number, string, string, string][] => [
    [status, 'caller_agent_mismatch', 'CallerAgentMismatchError', 'CallerAgentMismatchError'],
    [status, 'grant_revoked', 'GrantRevokedError', 'BackendError'],
    [status, 'credential_revoked', 'CredentialRevokedError', 'BackendError'],
    [status, 'restricted_grant_requires_proxy', 'RestrictedGrantRequiresProxyError', 'BackendError'],
    [status, 'delegated_grant_requires_proxy', 'RestrictedGrantRequiresProxyError', 'BackendError'],
    [status, 'hitl_grant_requires_proxy', 'RestrictedGrantRequiresProxyError', 'BackendError'],
    [status, 'user_limits_require_proxy', 'RestrictedGrantRequiresProxyError', 'BackendError'],
    [status, 'constraint_not_narrowing', 'BackendError', 'BackendError'],
  ]),
  [401, 'jwt_validation_error', 'ReAuthRequiredError', 'BackendError'],
  [401, 'invalid_key', 'InvalidKeyError', 'InvalidKeyError'],
  [401, 'key_revoked', 'KeyRevokedError', 'KeyRevokedError'],
  [401, 'key_expired', 'KeyExpiredError', 'KeyExpiredError'],
  [401, 'key_rotated_grace_expired', 'KeyRotationExpiredError', 'KeyRotationExpiredError'],
  [401, 'key_not_active', 'KeyInactiveError', 'KeyInactiveError'],
  [401, 'agent_inactive', 'AgentInactiveError', 'AgentInactiveError'],
  [401, 'agent_revoked', 'AgentRevokedError', 'AgentRevokedError'],
  [401, 'signature_invalid', 'BackendError', 'BackendError'],
  [402, 'grant_limit_exceeded', 'BackendError', 'BackendError'],
  [403, 'insufficient_scope', 'InsufficientScopeError', 'InsufficientScopeError'],
  [403, 'grant_expired', 'GrantExpiredError', 'BackendError'],
  [403, 'grant_revoked', 'GrantRevokedError', 'BackendError'],
  [403, 'credential_revoked', 'CredentialRevokedError', 'BackendError'],
  [403, 'restricted_grant_requires_proxy', 'RestrictedGrantRequiresProxyError', 'BackendError'],
  [403, 'hitl_grant_requires_proxy', 'PolicyViolationError', 'BackendError'],
  [403, 'grant_not_delegable', 'GrantNotDelegableError', 'BackendError'],
  [403, 'scope_mismatch', 'ScopeReauthRequiredError', 'BackendError'],
  [403, 'step_up_required', 'StepUpRequiredError', 'BackendError'],
  [403, 'redact_discharge_failed', 'RedactDischargeFailedError', 'BackendError'],
  [403, 'policy_denied', 'PolicyViolationError', 'BackendError'],
  [403, 'me_requires_agent_key', 'PolicyViolationError', 'MeRequiresAgentKeyError'],
  [403, 'agent_cannot_mint_subagents', 'PolicyViolationError', 'AgentCannotMintSubagentsError'],
  [404, 'no_delegated_grant', 'NoDelegatedGrantError', 'BackendError'],
  [404, 'caller_agent_unresolved', 'AgentNotFoundError', 'AgentNotFoundError'],
  [404, 'agent_not_found', 'AgentNotFoundError', 'AgentNotFoundError'],
  [404, 'secret_not_found', 'ConnectConfigError', 'BackendError'],
  [404, 'key_not_found', 'GrantNotFoundError', 'KeyNotFoundError'],
  [404, 'grant_not_found', 'GrantNotFoundError', 'BackendError'],
  [405, 'method_not_allowed', 'BackendError', 'BackendError'],
  [409, 'managed_oauth_scope_approval_required', 'ConnectConfigError', 'BackendError'],
  [409, 'idp_signin_not_configured', 'ConnectConfigError', 'BackendError'],
  [409, 'no_eligible_grants', 'ConnectConfigError', 'BackendError'],
  [409, 'binding_hosts_required', 'ConnectConfigError', 'BackendError'],
  [409, 'provider_contract_repair_required', 'ConnectConfigError', 'BackendError'],
  [409, 'token_refresh_in_progress', 'TokenRefreshInProgressError', 'BackendError'],
  [409, 'ambiguous_grant', 'AmbiguousGrantError', 'BackendError'],
  [409, 'sibling_label_conflict', 'SiblingLabelConflictError', 'BackendError'],
  [409, 'credential_id_required', 'CredentialIdRequiredError', 'BackendError'],
  [409, 'end_user_credential_not_assignable', 'EndUserCredentialNotAssignableError', 'BackendError'],
  [409, 'no_delegated_grant', 'NoDelegatedGrantError', 'BackendError'],
  [409, 'key_revoked', 'BackendError', 'KeyAlreadyRevokedError'],
  [409, 'agent_name_exists', 'BackendError', 'AgentNameExistsError'],
  [409, 'last_active_key', 'BackendError', 'LastActiveKeyError'],
  [409, 'agent_key_limit_reached', 'BackendError', 'AgentKeyLimitError'],
  [409, 'agent_concurrent_update', 'BackendError', 'AgentConcurrentUpdateError'],
  [400, 'agent_concurrent_update', 'BackendError', 'BackendError'],
  [409, 'idempotency_key_body_mismatch', 'BackendError', 'IdempotencyKeyBodyMismatchError'],
  [409, 'idempotency_key_agent_revoked', 'BackendError', 'IdempotencyKeyAgentRevokedError'],
  [409, 'idempotency_key_agent_inactive', 'BackendError', 'IdempotencyKeyAgentInactiveError'],
  [409, 'session_completed', 'BackendError', 'BackendError'],
  [410, 'grant_deleted', 'GrantDeletedError', 'BackendError'],
  [410, 'anything_else', 'GrantDeletedError', 'BackendError'],
  [413, 'body_too_large', 'BackendError', 'BackendError'],
  [413, 'secret_template_mismatch', 'ConnectConfigError', 'BackendError'],
  [418, 'blocked_destination', 'BlockedDestinationError', 'BackendError'],
  [422, 'secret_template_mismatch', 'ConnectConfigError', 'BackendError'],
  [422, 'blocked_destination', 'BlockedDestinationError', 'BackendError'],
  [422, 'validation_failed', 'BackendError', 'BackendError'],
  [429, 'rate_limit_exceeded', 'RateLimitError', 'RateLimitError'],
  [429, 'quota_exceeded', 'QuotaExceededError', 'BackendError'],
  [429, 'too_many_pending_approvals', 'BackendError', 'BackendError'],
  [500, 'caller_agent_resolution_error', 'CallerAgentResolutionError', 'CallerAgentResolutionError'],
  [503, 'caller_agent_resolution_error', 'CallerAgentResolutionError', 'CallerAgentResolutionError'],
  [418, 'caller_agent_resolution_error', 'BackendError', 'CallerAgentResolutionError'],
  [500, 'app_not_found_for_key', 'KeyAppNotFoundError', 'KeyAppNotFoundError'],
  [503, 'app_not_found_for_key', 'KeyAppNotFoundError', 'KeyAppNotFoundError'],
  [500, 'internal_error', 'BackendError', 'BackendError'],
  [503, 'audit_unavailable', 'BackendError', 'BackendError'],
  [504, 'provider_timeout', 'BackendError', 'BackendError'],
  [301, 'grant_not_found', 'BackendError', 'BackendError'],
  [403, 'constructor', 'PolicyViolationError', 'BackendError'],
]

describe('a refusal of the vault', () => {
  test.each(TABLE)('%i %s becomes %s, and %s for agents', (status, code, main, agents) => {
    for (const json of [{ error: code, message: 'No.' }, { detail: { error: code, message: 'No.' } }]) {
      expect(refuse(mainError, status, json).constructor.name).toBe(main)
      expect(refuse(proxyError, status, json).constructor.name).toBe(main)
      const error = refuse(agentsError, status, json)
      expect(error.constructor.name).toBe(agents)
      expect(error.name).toBe(agents)
      expect(error.message).toBe('No.')
      expect(error.details).toMatchObject({ error: code, status_code: status })
    }
  })

  test.each([
    [400, 'BackendError'],
    [401, 'BackendError'],
    [403, 'PolicyViolationError'],
    [404, 'GrantNotFoundError'],
    [409, 'BackendError'],
    [410, 'GrantDeletedError'],
    [422, 'BackendError'],
    [429, 'RateLimitError'],
    [500, 'BackendError'],
    [503, 'BackendError'],
  ])('%i whose body is no JSON becomes %s', (status, name) => {
    const error = refuse(mainError, status, undefined)
    expect(error.constructor.name).toBe(name)
    expect(error.details).toEqual({ status_code: status })
    expect(error.message).toContain(String(status))
  })

  test('429 whose body is no JSON is a rate limit for agents too, other JSON is not', () => {
    expect(refuse(agentsError, 429, undefined)).toBeInstanceOf(errors.RateLimitError)
    expect(refuse(agentsError, 429, ['x']).constructor).toBe(errors.BackendError)
    expect(refuse(mainError, 429, ['x']).constructor).toBe(errors.BackendError)
  })

  test.each(['text', ['a'], [{ msg: 'x' }]])('ignores a detail that is %j', (detail) => {
    const error = refuse(mainError, 422, { detail })
    expect(error.message).toBe('The vault answered 422')
    expect(error.details).toEqual({ detail, status_code: 422 })
  })

  test('without a text has one of its own that names status and code', () => {
    expect(refuse(mainError, 400, { error: 'invalid_origin', message: '' }).message).toBe(
      'The vault answered 400 (invalid_origin)',
    )
  })

  test.each([
    [409, 'approval_denied', errors.ApprovalDeniedError],
    [410, 'approval_expired', errors.ApprovalExpiredError],
    [409, 'approval_execution_failed', errors.ApprovalExecutionFailedError],
    [502, 'approval_execution_failed', errors.ApprovalExecutionFailedError],
  ])('%i %s is an outcome of an approval on proxied calls only', (status, code, ErrorOf) => {
    expect(refuse(proxyError, status, { error: code }).constructor).toBe(ErrorOf)
    expect(refuse(mainError, status, { error: code })).not.toBeInstanceOf(errors.ApprovalError)
  })

  test.each([403, 404, 429, 410])('%i to a question about an approval is always BackendError', (status) => {
    const error = refuse(approvalStatusError, status, { error: 'approval_not_found', message: 'x', more: 1 })
    expect(error.constructor).toBe(errors.BackendError)
    expect(error.details).toEqual({ status_code: status, error: 'approval_not_found' })
  })
})

describe('fields of a refusal', () => {
  test('insufficient_scope', () => {
    const error = refuse(mainError, 403, {
      error: 'insufficient_scope',
      required: ['a:b'],
      granted: ['c:d'],
      missing: ['a:b'],
      required_any_of: true,
      scope_version: 1,
      current_scope_version: 2,
      scope_version_mismatch: true,
      documentation_url: 'https://docs.example',
    })
    expect(error).toMatchObject({
      required: ['a:b'],
      granted: ['c:d'],
      missing: ['a:b'],
      requiredAnyOf: true,
      scopeVersion: 1,
      currentScopeVersion: 2,
      scopeVersionMismatch: true,
      documentationUrl: 'https://docs.example',
    })
  })

  test('of the wrong type are null or empty', () => {
    const error = refuse(mainError, 403, {
      error: 'insufficient_scope',
      required: 'a',
      missing: [1],
      scope_version: '1',
    })
    expect(error).toMatchObject({
      required: [],
      granted: [],
      missing: [],
      requiredAnyOf: false,
      scopeVersion: null,
      documentationUrl: null,
    })
  })

  test.each([
    [403, 'grant_expired'],
    [404, 'grant_not_found'],
    [404, 'anything'],
    [404, 'no_delegated_grant'],
  ])('%i %s', (status, code) => {
    const error = refuse(mainError, status, { error: code, provider_id: 'slack', agent_id: 'a', app_user_id: 'u' })
    expect(error).toMatchObject({ providerId: 'slack', agentId: 'a', appUserId: 'u' })
  })

  test.each([
    [403, 'grant_revoked', { grant_id: 'g' }, { grantId: 'g' }],
    [409, 'token_refresh_in_progress', { grant_id: 'g' }, { grantId: 'g' }],
    [
      403,
      'credential_revoked',
      { grant_id: 'g', provider_id: 'p', app_user_id: 'u' },
      { grantId: 'g', providerId: 'p', appUserId: 'u' },
    ],
    [
      403,
      'step_up_required',
      { max_session_age_seconds: 300 },
      { maxSessionAgeSeconds: 300, policyError: 'step_up_required' },
    ],
    [403, 'grant_not_delegable', { detail_reason: 'ceiling_off' }, { detailReason: 'ceiling_off' }],
    [409, 'sibling_label_conflict', { label: 'work' }, { label: 'work' }],
    [
      403,
      'outside_time_window',
      {},
      { policyError: 'outside_time_window', code: 'outside_time_window', statusCode: 403 },
    ],
    [401, 'key_expired', { hint: 'Rotate it.' }, { hint: 'Rotate it.' }],
    [
      409,
      'credential_id_required',
      { details: { credentials: [{ id: '1', label: 'a' }, { id: 2 }] } },
      { credentials: [{ id: '1', label: 'a' }] },
    ],
  ])('%i %s', (status, code, fields, properties) => {
    expect(refuse(mainError, status, { error: code, message: 'x', ...fields })).toMatchObject(properties)
  })

  test('a policy refusal without a code has none', () => {
    expect(refuse(mainError, 403, {})).toMatchObject({ policyError: null })
  })

  test('ambiguous_grant', () => {
    const error = refuse(mainError, 409, {
      error: 'ambiguous_grant',
      provider_id: 'google',
      account_identifiers: ['a@x', 'b@x'],
      account_was_provided: false,
      app_user_ids: ['u'],
      grant_ids: ['1', '2'],
      candidates: [{ grant_id: '1', label: 'work', account_identifier: 'a@x' }, { label: 'no id' }, 7],
      candidates_truncated: true,
    })
    expect(error).toMatchObject({
      providerId: 'google',
      accountIdentifiers: ['a@x', 'b@x'],
      accountWasProvided: false,
      appUserIds: ['u'],
      grantIds: ['1', '2'],
      candidates: [{ grantId: '1', label: 'work', accountIdentifier: 'a@x', accountDisplayName: null }],
      candidatesTruncated: true,
    })
  })

  test('scope_mismatch shows only its nested details', () => {
    const error = refuse(mainError, 403, {
      error: 'scope_mismatch',
      message: 'x',
      details: { grant_id: 'g', provider_id: 'slack' },
    }) as errors.ScopeReauthRequiredError
    expect(error.details).toEqual({ grant_id: 'g', provider_id: 'slack', source: 'backend_flag', status_code: 403 })
    expect(error).toMatchObject({ grantId: 'g', providerId: 'slack', source: 'backend_flag', missingScopes: [] })
    expect(error).toBeInstanceOf(errors.ProviderAPIError)
  })

  test('blocked_destination has a fixed text and the request id of its header', () => {
    const json = { error: 'blocked_destination', message: 'to http://169.254.169.254/' }
    const error = refuse(mainError, 422, json, { 'x-request-id': 'req-1' })
    expect(error.message).not.toContain('169.254')
    expect(error).toMatchObject({ requestId: 'req-1' })
  })
})

describe('the time to wait', () => {
  const limited = { error: 'rate_limit_exceeded', retry_after: 9, scope: 'api_key', limit: 10, window_seconds: 60 }

  test.each([
    [{ 'retry-after': '7' }, 7],
    [{ 'retry-after': '99999' }, 3_600],
    [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' }, 9],
    [{ 'retry-after': '-1' }, 9],
    [{ 'retry-after': '1.5' }, 9],
    [{}, 9],
  ])('of a rate limit with headers %j is %i seconds', (headers, seconds) => {
    expect(refuse(mainError, 429, limited, headers as Record<string, string>)).toMatchObject({
      retryAfterSeconds: seconds,
      scope: 'api_key',
      limit: 10,
      windowSeconds: 60,
    })
  })

  test('of a quota is at most 31 days', () => {
    const quota = { error: 'quota_exceeded', retry_after: 5_000 }
    expect(refuse(mainError, 429, quota)).toMatchObject({ retryAfterSeconds: 5_000 })
    expect(refuse(mainError, 429, quota, { 'retry-after': '9999999' })).toMatchObject({ retryAfterSeconds: 2_678_400 })
  })

  test.each([500, 503])('of %i comes from the header alone', (status) => {
    const json = { error: 'service_unavailable', retry_after: 9 }
    expect(refuse(mainError, status, json, { 'retry-after': '4' }).details.retry_after_seconds).toBe(4)
    expect(refuse(mainError, status, json).details).not.toHaveProperty('retry_after_seconds')
  })

  test('is not told for other statuses', () => {
    expect(refuse(mainError, 400, {}, { 'retry-after': '4' }).details).not.toHaveProperty('retry_after_seconds')
  })
})

describe('the tree of errors', () => {
  test.each([
    ['TimeoutError', 'NetworkError'],
    ['BlockedDestinationError', 'BackendError'],
    ['GrantExpiredError', 'ReAuthRequiredError'],
    ['GrantRevokedError', 'ReAuthRequiredError'],
    ['CredentialRevokedError', 'ReAuthRequiredError'],
    ['GrantDeletedError', 'ReAuthRequiredError'],
    ['ReAuthRequiredError', 'BackendError'],
    ['AgentDelegationMissingError', 'GrantNotFoundError'],
    ['GrantNotFoundError', 'BackendError'],
    ['StepUpRequiredError', 'PolicyViolationError'],
    ['RedactDischargeFailedError', 'PolicyViolationError'],
    ['PolicyViolationError', 'BackendError'],
    ['ScopeReauthRequiredError', 'ProviderAPIError'],
    ['ProviderUnauthorizedError', 'ProviderAPIError'],
    ['ApprovalTimeoutError', 'ApprovalError'],
    ['ConnectConfigError', 'ConnectFlowError'],
    ['AgentError', 'BackendError'],
    ['KeyRevokedError', 'AgentError'],
    ['ProviderAPIError', 'AlterSDKError'],
    ['NetworkError', 'AlterSDKError'],
    ['ApprovalError', 'AlterSDKError'],
    ['ConnectFlowError', 'AlterSDKError'],
    ['AlterValueError', 'AlterSDKError'],
    ['MemoryIsolationError', 'AlterSDKError'],
    ['BackendError', 'AlterSDKError'],
    ['AlterSDKError', 'Error'],
  ])('has %s under %s', (name, parent) => {
    const ErrorOf = Object.entries(errors).find(([exported]) => exported === name)?.[1]
    expect(Object.getPrototypeOf(ErrorOf).name).toBe(parent)
  })

  test('names every class after itself', () => {
    for (const [name, ErrorOf] of Object.entries(errors)) expect(new ErrorOf('x').name).toBe(name)
  })
})
