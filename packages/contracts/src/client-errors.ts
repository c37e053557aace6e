import Type from 'typebox'
import { NullWhenUnknown } from './primitives.ts'

/*
 * The errors that clients raise. A client looks a refusal up as `<status> <code>`, then as `<status> *`, then as `* <code>`; what is in none
 * of them is a `BackendError`. Proxied calls and results of approvals look into `proxied` first, then into `calls`; `/sdk/agents*` looks into
 * `agents` alone. Codes are those of the protocol, whether or not this server sends them yet.
 */

type ErrorClass = {
  sentence: string
  /** Members of the refusal by the name of the property that shows them. What is absent or of another type is null, empty or false. */
  fields?: Readonly<Record<string, Type.TSchema>>
  calls?: readonly string[]
  agents?: readonly string[]
  proxied?: readonly string[]
}
export type ClientError = ErrorClass & { parent: string }

const Text = Type.String()
const Texts = Type.Array(Text)
const Count = Type.Integer()
const Flag = Type.Boolean()
const OrNull = NullWhenUnknown(Text)
const told = <T extends Type.TSchema>(schema: T, description: string) => Type.With(schema, { description })
/** A property whose member stands elsewhere, or has another name. */
const from = <T extends Type.TSchema>(path: string, schema: T) => Type.With(schema, { 'x-from': path })

const address = { provider_id: Text, agent_id: Text, app_user_id: Text }
const retryAfter = (most: string) => ({
  retry_after_seconds: told(Count, `Seconds until it is worth trying again, at most ${most}.`),
})

const under = (parent: string, classes: Readonly<Record<string, ErrorClass>>): Record<string, ClientError> =>
  Object.fromEntries(Object.entries(classes).map(([name, described]) => [name, { parent, ...described }]))
const each = (statuses: readonly (number | '*')[], codes: readonly string[]) =>
  codes.flatMap((code) => statuses.map((status) => `${status} ${code}`))
/** 502 is read like 400. */
const BAD_REQUEST = [400, 502]
const PROXY_ONLY = ['restricted', 'delegated', 'hitl'].map((kind) => `${kind}_grant_requires_proxy`)

/** A refusal that calls tell by its status as well, `/sdk/agents*` by its code alone. */
const refused = (sentence: string, statuses: number[], ...codes: string[]): ErrorClass => ({
  sentence,
  calls: each(statuses, codes),
  agents: each(['*'], codes),
})
const onAgents = (sentence: string, code: string): ErrorClass => ({ sentence, agents: [code] })
const onCalls = (sentence: string, ...calls: string[]): ErrorClass => ({ sentence, calls })
const ended = (sentence: string, code: string): ErrorClass => ({ sentence, proxied: [`* ${code}`] })

/** By name; each after its parent. `AlterSDKError`, `AlterValueError` and `ProviderAPIError` are written by hand in each client. */
export const clientErrors: Readonly<Record<string, ClientError>> = {
  ...under('AlterSDKError', {
    MemoryIsolationError: { sentence: 'Memory of one user would have reached another.' },
    ApprovalError: {
      sentence: 'A request that a person had to approve did not execute.',
      fields: { approval_id: Text },
    },
    ConnectFlowError: { sentence: 'Connecting an account did not succeed.' },
    NetworkError: {
      sentence: 'No answer: the connection failed or broke. Whether the other side acted is not known.',
    },
    BackendError: {
      sentence: 'The vault refused, or answered something that cannot be read.',
      calls: each([400, 401, 409, 429, 500, 502, 503], ['*']),
      fields: {
        status_code: told(Count, 'HTTP status of the answer.'),
        code: from('error', told(Text, 'The error code, as the vault sent it.')),
      },
    },
  }),
  ...under('NetworkError', { TimeoutError: { sentence: 'No whole answer within the timeout.' } }),
  ...under('ApprovalError', {
    ApprovalDeniedError: ended('An approver said no; the text is the reason, if one was given.', 'approval_denied'),
    ApprovalExpiredError: ended('Nobody decided before the approval window closed.', 'approval_expired'),
    ApprovalTimeoutError: {
      sentence: 'The local wait ended; the request may still be pending, keep the id and ask again.',
    },
    ApprovalExecutionFailedError: ended('It was approved, but could not be executed.', 'approval_execution_failed'),
  }),
  ...under('ConnectFlowError', {
    ConnectDeniedError: { sentence: 'The user declined.' },
    ConnectTimeoutError: { sentence: 'The user did not finish in time.' },
    ConnectConfigError: onCalls(
      'The app or the provider is not set up for what was asked.',
      '404 secret_not_found',
      '409 managed_oauth_scope_approval_required',
      '409 idp_signin_not_configured',
      '409 no_eligible_grants',
      '409 binding_hosts_required',
      '409 provider_contract_repair_required',
      '* secret_template_mismatch',
    ),
  }),
  ...under('ProviderAPIError', {
    ProviderUnauthorizedError: { sentence: 'The provider answered 401: it no longer accepts the credential.' },
    ScopeReauthRequiredError: {
      ...onCalls('The grant lacks a scope that the call needs: the user has to connect again.', '403 scope_mismatch'),
      fields: {
        source: told(Text, 'Who noticed: `www_authenticate_rfc6750` (the provider) or `backend_flag` (the vault).'),
        missing_scopes: Texts,
      },
    },
  }),
  ...under('BackendError', {
    BlockedDestinationError: {
      ...onCalls('The destination is not allowed for this credential.', '* blocked_destination'),
      fields: { request_id: Text },
    },
    ReAuthRequiredError: onCalls('The user has to sign in or connect again.', '401 jwt_validation_error'),
    GrantNotFoundError: {
      ...onCalls('Nothing with this id or address, or nothing that this key may know of.', '404 *'),
      fields: address,
    },
    NoDelegatedGrantError: {
      ...onCalls(
        'No user delegated a fitting grant to this agent.',
        '404 no_delegated_grant',
        '409 no_delegated_grant',
      ),
      fields: address,
    },
    AmbiguousGrantError: {
      ...onCalls('The address fits several grants: name one by account, label or id.', '409 ambiguous_grant'),
      fields: {
        provider_id: Text,
        account_identifiers: Texts,
        account_was_provided: Flag,
        app_user_ids: Texts,
        grant_ids: Texts,
        candidates: Type.Array(
          Type.Object(
            { grant_id: Text, label: OrNull, account_identifier: OrNull, account_display_name: OrNull },
            { title: 'GrantCandidate', description: 'One of the grants that an ambiguous address could have meant.' },
          ),
        ),
        candidates_truncated: told(Flag, 'There are more candidates than listed.'),
      },
    },
    PolicyViolationError: {
      ...onCalls('A rule denied the call.', '403 *'),
      fields: {
        policy_error: from('error', told(Text, 'Code of the first reason; null when the vault named none.')),
      },
    },
    RestrictedGrantRequiresProxyError: onCalls(
      'This grant works through proxied calls only.',
      ...each(BAD_REQUEST, [...PROXY_ONLY, 'user_limits_require_proxy']),
      '403 restricted_grant_requires_proxy',
    ),
    GrantNotDelegableError: {
      ...onCalls('The grant may not be passed on.', '403 grant_not_delegable'),
      fields: {
        detail_reason: told(
          Text,
          'For example `no_consenting_user`, `holder_not_delegable`, `ceiling_off`, `no_onward_hop`, `not_requested`.',
        ),
      },
    },
    ServerFeatureUnsupportedError: { sentence: 'The vault is too old for what was asked.' },
    SiblingLabelConflictError: {
      ...onCalls('Another live grant of the same connection has this label.', '409 sibling_label_conflict'),
      fields: { label: Text },
    },
    CredentialIdRequiredError: {
      ...onCalls('The managed secret holds several credentials: name one by its id.', '409 credential_id_required'),
      fields: {
        credentials: from('details.credentials', Type.Array(Type.Object({ id: Text, label: Text }))),
      },
    },
    EndUserCredentialNotAssignableError: onCalls(
      "The credential is an end user's own and cannot be given to others.",
      '409 end_user_credential_not_assignable',
    ),
    InsufficientScopeError: {
      ...refused('The API key lacks a scope.', [403], 'insufficient_scope'),
      fields: {
        required: Texts,
        granted: Texts,
        missing: Texts,
        required_any_of: told(Flag, 'Any one of `required` would do.'),
        scope_version: told(Count, 'Catalog version the key was minted under.'),
        current_scope_version: Count,
        scope_version_mismatch: Flag,
        documentation_url: Text,
      },
    },
    TokenRefreshInProgressError: {
      ...onCalls(
        'Another call is renewing the access token right now; try again shortly.',
        '409 token_refresh_in_progress',
      ),
      fields: { grant_id: Text },
    },
    QuotaExceededError: {
      ...onCalls('A budget set by policy is used up.', '429 quota_exceeded'),
      fields: retryAfter('31 days'),
    },
    RateLimitError: {
      ...refused('Too many requests.', [429], 'rate_limit_exceeded'),
      fields: {
        ...retryAfter('3,600'),
        scope: told(Text, 'What was counted: `ip`, `api_key`, `organization`, or another word.'),
        limit: told(Count, 'Requests allowed per window.'),
        window_seconds: Count,
      },
    },
    AgentError: {
      sentence: 'A key or an agent is the reason.',
      fields: { hint: told(Text, "What to do about it, in the vault's words.") },
    },
  }),
  ...under('ReAuthRequiredError', {
    GrantExpiredError: { ...onCalls("The grant's time is over.", '403 grant_expired'), fields: address },
    GrantRevokedError: {
      ...onCalls('The grant was revoked.', ...each([403, ...BAD_REQUEST], ['grant_revoked'])),
      fields: { grant_id: Text },
    },
    CredentialRevokedError: {
      ...onCalls(
        'The credential behind the grant was revoked; connecting again repairs the grant.',
        ...each([403, ...BAD_REQUEST], ['credential_revoked']),
      ),
      fields: { grant_id: Text, provider_id: Text, app_user_id: Text },
    },
    GrantDeletedError: onCalls('The grant no longer exists.', '410 *'),
  }),
  ...under('GrantNotFoundError', {
    AgentDelegationMissingError: {
      sentence: '`GrantNotFoundError` of an agent: most often nobody delegated a grant to it yet.',
    },
  }),
  ...under('PolicyViolationError', {
    StepUpRequiredError: {
      ...onCalls('The user must have signed in more recently.', '403 step_up_required'),
      fields: { max_session_age_seconds: Count },
    },
    RedactDischargeFailedError: onCalls(
      'A rule demands that parts of the answer are removed, and that was not possible.',
      '403 redact_discharge_failed',
    ),
  }),
  ...under('AgentError', {
    InvalidKeyError: refused('No such key, or a key of another form.', [401], 'invalid_key'),
    KeyRevokedError: refused('The key was revoked.', [401], 'key_revoked'),
    KeyExpiredError: refused("The key's time is over.", [401], 'key_expired'),
    KeyRotationExpiredError: refused(
      'The key was rotated and its grace period has ended.',
      [401],
      'key_rotated_grace_expired',
    ),
    KeyInactiveError: refused('The key is not active.', [401], 'key_not_active'),
    KeyAppNotFoundError: refused('The app this key belongs to is missing.', [500, 503], 'app_not_found_for_key'),
    KeyNotFoundError: onAgents('No such key of this agent.', '* key_not_found'),
    KeyAlreadyRevokedError: onAgents('The key was revoked before.', '409 key_revoked'),
    LastActiveKeyError: onAgents("An agent's last active key is only revoked with force.", '* last_active_key'),
    AgentKeyLimitError: onAgents('The agent has as many keys as it may have.', '* agent_key_limit_reached'),
    AgentInactiveError: refused('The agent is suspended.', [401], 'agent_inactive'),
    AgentRevokedError: refused('The agent was revoked.', [401], 'agent_revoked'),
    AgentNotFoundError: refused(
      'No such agent, or the caller label names none.',
      [404],
      'agent_not_found',
      'caller_agent_unresolved',
    ),
    AgentNameExistsError: onAgents('Another agent of the app has this name.', '* agent_name_exists'),
    AgentConcurrentUpdateError: onAgents('Somebody changed the agent in between.', '409 agent_concurrent_update'),
    AgentCannotMintSubagentsError: onAgents('An agent key cannot make agents.', '* agent_cannot_mint_subagents'),
    MeRequiresAgentKeyError: onAgents("Asked with a key that is no agent's.", '* me_requires_agent_key'),
    CallerAgentMismatchError: refused(
      'An agent key named another agent as its caller.',
      BAD_REQUEST,
      'caller_agent_mismatch',
    ),
    CallerAgentResolutionError: refused(
      'The vault could not find out which agent the caller is.',
      [500, 503],
      'caller_agent_resolution_error',
    ),
    IdempotencyKeyBodyMismatchError: onAgents(
      'The idempotency key was used with another body.',
      '* idempotency_key_body_mismatch',
    ),
    IdempotencyKeyAgentRevokedError: onAgents(
      'The idempotency key made an agent that was revoked since.',
      '* idempotency_key_agent_revoked',
    ),
    IdempotencyKeyAgentInactiveError: onAgents(
      'The idempotency key made an agent that is suspended.',
      '* idempotency_key_agent_inactive',
    ),
  }),
}
