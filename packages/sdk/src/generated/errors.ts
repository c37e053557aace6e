// Written by tools/generate-clients.ts from packages/contracts. Do not edit.

import { AlterSDKError, ProviderAPIError, flag, integer, text, texts, within } from '../base-errors.ts'
import { readEach } from '../shape.ts'

export { AlterSDKError, AlterValueError, type ErrorDetails, ProviderAPIError } from '../base-errors.ts'

/** One of the grants that an ambiguous address could have meant. */
export type GrantCandidate = {
  grantId: string
  label: string | null
  accountIdentifier: string | null
  accountDisplayName: string | null
}

/** Memory of one user would have reached another. */
export class MemoryIsolationError extends AlterSDKError {}

/** A request that a person had to approve did not execute. */
export class ApprovalError extends AlterSDKError {
  get approvalId(): string | null {
    return text(this.details.approval_id)
  }
}

/** Connecting an account did not succeed. */
export class ConnectFlowError extends AlterSDKError {}

/** No answer: the connection failed or broke. Whether the other side acted is not known. */
export class NetworkError extends AlterSDKError {}

/** The vault refused, or answered something that cannot be read. */
export class BackendError extends AlterSDKError {
  /** HTTP status of the answer. */
  get statusCode(): number | null {
    return integer(this.details.status_code)
  }
  /** The error code, as the vault sent it. */
  get code(): string | null {
    return text(this.details.error)
  }
}

/** No whole answer within the timeout. */
export class TimeoutError extends NetworkError {}

/** An approver said no; the text is the reason, if one was given. */
export class ApprovalDeniedError extends ApprovalError {}

/** Nobody decided before the approval window closed. */
export class ApprovalExpiredError extends ApprovalError {}

/** The local wait ended; the request may still be pending, keep the id and ask again. */
export class ApprovalTimeoutError extends ApprovalError {}

/** It was approved, but could not be executed. */
export class ApprovalExecutionFailedError extends ApprovalError {}

/** The user declined. */
export class ConnectDeniedError extends ConnectFlowError {}

/** The user did not finish in time. */
export class ConnectTimeoutError extends ConnectFlowError {}

/** The app or the provider is not set up for what was asked. */
export class ConnectConfigError extends ConnectFlowError {}

/** The provider answered 401: it no longer accepts the credential. */
export class ProviderUnauthorizedError extends ProviderAPIError {}

/** The grant lacks a scope that the call needs: the user has to connect again. */
export class ScopeReauthRequiredError extends ProviderAPIError {
  /** Who noticed: `www_authenticate_rfc6750` (the provider) or `backend_flag` (the vault). */
  get source(): string | null {
    return text(this.details.source)
  }
  get missingScopes(): readonly string[] {
    return texts(this.details.missing_scopes)
  }
}

/** The destination is not allowed for this credential. */
export class BlockedDestinationError extends BackendError {
  get requestId(): string | null {
    return text(this.details.request_id)
  }
}

/** The user has to sign in or connect again. */
export class ReAuthRequiredError extends BackendError {}

/** Nothing with this id or address, or nothing that this key may know of. */
export class GrantNotFoundError extends BackendError {
  get providerId(): string | null {
    return text(this.details.provider_id)
  }
  get agentId(): string | null {
    return text(this.details.agent_id)
  }
  get appUserId(): string | null {
    return text(this.details.app_user_id)
  }
}

/** No user delegated a fitting grant to this agent. */
export class NoDelegatedGrantError extends BackendError {
  get providerId(): string | null {
    return text(this.details.provider_id)
  }
  get agentId(): string | null {
    return text(this.details.agent_id)
  }
  get appUserId(): string | null {
    return text(this.details.app_user_id)
  }
}

/** The address fits several grants: name one by account, label or id. */
export class AmbiguousGrantError extends BackendError {
  get providerId(): string | null {
    return text(this.details.provider_id)
  }
  get accountIdentifiers(): readonly string[] {
    return texts(this.details.account_identifiers)
  }
  get accountWasProvided(): boolean {
    return flag(this.details.account_was_provided)
  }
  get appUserIds(): readonly string[] {
    return texts(this.details.app_user_ids)
  }
  get grantIds(): readonly string[] {
    return texts(this.details.grant_ids)
  }
  get candidates(): readonly GrantCandidate[] {
    return readEach({
      grant_id: { type: 'string' },
      label: { type: 'string', nullable: true, nullWhenUnknown: true, default: null },
      account_identifier: { type: 'string', nullable: true, nullWhenUnknown: true, default: null },
      account_display_name: { type: 'string', nullable: true, nullWhenUnknown: true, default: null },
    }, this.details.candidates)
  }
  /** There are more candidates than listed. */
  get candidatesTruncated(): boolean {
    return flag(this.details.candidates_truncated)
  }
}

/** A rule denied the call. */
export class PolicyViolationError extends BackendError {
  /** Code of the first reason; null when the vault named none. */
  get policyError(): string | null {
    return text(this.details.error)
  }
}

/** This grant works through proxied calls only. */
export class RestrictedGrantRequiresProxyError extends BackendError {}

/** The grant may not be passed on. */
export class GrantNotDelegableError extends BackendError {
  /** For example `no_consenting_user`, `holder_not_delegable`, `ceiling_off`, `no_onward_hop`, `not_requested`. */
  get detailReason(): string | null {
    return text(this.details.detail_reason)
  }
}

/** The vault is too old for what was asked. */
export class ServerFeatureUnsupportedError extends BackendError {}

/** Another live grant of the same connection has this label. */
export class SiblingLabelConflictError extends BackendError {
  get label(): string | null {
    return text(this.details.label)
  }
}

/** The managed secret holds several credentials: name one by its id. */
export class CredentialIdRequiredError extends BackendError {
  get credentials(): readonly {
    readonly id: string
    readonly label: string
  }[] {
    return readEach({
      id: { type: 'string' },
      label: { type: 'string' },
    }, within(this.details.details, 'credentials'))
  }
}

/** The credential is an end user's own and cannot be given to others. */
export class EndUserCredentialNotAssignableError extends BackendError {}

/** The API key lacks a scope. */
export class InsufficientScopeError extends BackendError {
  get required(): readonly string[] {
    return texts(this.details.required)
  }
  get granted(): readonly string[] {
    return texts(this.details.granted)
  }
  get missing(): readonly string[] {
    return texts(this.details.missing)
  }
  /** Any one of `required` would do. */
  get requiredAnyOf(): boolean {
    return flag(this.details.required_any_of)
  }
  /** Catalog version the key was minted under. */
  get scopeVersion(): number | null {
    return integer(this.details.scope_version)
  }
  get currentScopeVersion(): number | null {
    return integer(this.details.current_scope_version)
  }
  get scopeVersionMismatch(): boolean {
    return flag(this.details.scope_version_mismatch)
  }
  get documentationUrl(): string | null {
    return text(this.details.documentation_url)
  }
}

/** Another call is renewing the access token right now; try again shortly. */
export class TokenRefreshInProgressError extends BackendError {
  get grantId(): string | null {
    return text(this.details.grant_id)
  }
}

/** A budget set by policy is used up. */
export class QuotaExceededError extends BackendError {
  /** Seconds until it is worth trying again, at most 31 days. */
  get retryAfterSeconds(): number | null {
    return integer(this.details.retry_after_seconds)
  }
}

/** Too many requests. */
export class RateLimitError extends BackendError {
  /** Seconds until it is worth trying again, at most 3,600. */
  get retryAfterSeconds(): number | null {
    return integer(this.details.retry_after_seconds)
  }
  /** What was counted: `ip`, `api_key`, `organization`, or another word. */
  get scope(): string | null {
    return text(this.details.scope)
  }
  /** Requests allowed per window. */
  get limit(): number | null {
    return integer(this.details.limit)
  }
  get windowSeconds(): number | null {
    return integer(this.details.window_seconds)
  }
}

/** A key or an agent is the reason. */
export class AgentError extends BackendError {
  /** What to do about it, in the vault's words. */
  get hint(): string | null {
    return text(this.details.hint)
  }
}

/** The grant's time is over. */
export class GrantExpiredError extends ReAuthRequiredError {
  get providerId(): string | null {
    return text(this.details.provider_id)
  }
  get agentId(): string | null {
    return text(this.details.agent_id)
  }
  get appUserId(): string | null {
    return text(this.details.app_user_id)
  }
}

/** The grant was revoked. */
export class GrantRevokedError extends ReAuthRequiredError {
  get grantId(): string | null {
    return text(this.details.grant_id)
  }
}

/** The credential behind the grant was revoked; connecting again repairs the grant. */
export class CredentialRevokedError extends ReAuthRequiredError {
  get grantId(): string | null {
    return text(this.details.grant_id)
  }
  get providerId(): string | null {
    return text(this.details.provider_id)
  }
  get appUserId(): string | null {
    return text(this.details.app_user_id)
  }
}

/** The grant no longer exists. */
export class GrantDeletedError extends ReAuthRequiredError {}

/** `GrantNotFoundError` of an agent: most often nobody delegated a grant to it yet. */
export class AgentDelegationMissingError extends GrantNotFoundError {}

/** The user must have signed in more recently. */
export class StepUpRequiredError extends PolicyViolationError {
  get maxSessionAgeSeconds(): number | null {
    return integer(this.details.max_session_age_seconds)
  }
}

/** A rule demands that parts of the answer are removed, and that was not possible. */
export class RedactDischargeFailedError extends PolicyViolationError {}

/** No such key, or a key of another form. */
export class InvalidKeyError extends AgentError {}

/** The key was revoked. */
export class KeyRevokedError extends AgentError {}

/** The key's time is over. */
export class KeyExpiredError extends AgentError {}

/** The key was rotated and its grace period has ended. */
export class KeyRotationExpiredError extends AgentError {}

/** The key is not active. */
export class KeyInactiveError extends AgentError {}

/** The app this key belongs to is missing. */
export class KeyAppNotFoundError extends AgentError {}

/** No such key of this agent. */
export class KeyNotFoundError extends AgentError {}

/** The key was revoked before. */
export class KeyAlreadyRevokedError extends AgentError {}

/** An agent's last active key is only revoked with force. */
export class LastActiveKeyError extends AgentError {}

/** The agent has as many keys as it may have. */
export class AgentKeyLimitError extends AgentError {}

/** The agent is suspended. */
export class AgentInactiveError extends AgentError {}

/** The agent was revoked. */
export class AgentRevokedError extends AgentError {}

/** No such agent, or the caller label names none. */
export class AgentNotFoundError extends AgentError {}

/** Another agent of the app has this name. */
export class AgentNameExistsError extends AgentError {}

/** Somebody changed the agent in between. */
export class AgentConcurrentUpdateError extends AgentError {}

/** An agent key cannot make agents. */
export class AgentCannotMintSubagentsError extends AgentError {}

/** Asked with a key that is no agent's. */
export class MeRequiresAgentKeyError extends AgentError {}

/** An agent key named another agent as its caller. */
export class CallerAgentMismatchError extends AgentError {}

/** The vault could not find out which agent the caller is. */
export class CallerAgentResolutionError extends AgentError {}

/** The idempotency key was used with another body. */
export class IdempotencyKeyBodyMismatchError extends AgentError {}

/** The idempotency key made an agent that was revoked since. */
export class IdempotencyKeyAgentRevokedError extends AgentError {}

/** The idempotency key made an agent that is suspended. */
export class IdempotencyKeyAgentInactiveError extends AgentError {}
