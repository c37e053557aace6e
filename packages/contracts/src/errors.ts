/** What the caller of a refused request may do next; an agent can act on it without reading the sentence. */
export const ADVICE = [
  'retry_after',
  'ask_human',
  'use_proxy',
  'reauthorize',
  'change_request',
  'contact_operator',
  'none',
] as const
export type Advice = (typeof ADVICE)[number]

/**
 * One refusal: HTTP status, whether the same request may succeed later, what the caller may do next, and for a tired person what
 * was wrong, what did not happen, and what to do.
 */
export type ErrorEntry = { status: number; retryable: boolean; advice: Advice; sentence: string }

const group =
  (retryable: boolean) =>
  <Code extends string>(status: number, advice: Advice, sentences: Record<Code, string>) =>
    Object.fromEntries(
      Object.entries<string>(sentences).map(([code, sentence]) => [code, { status, retryable, advice, sentence }]),
    ) as Record<Code, ErrorEntry>

/** The sentence of each code that shares a status and an advice. Sent again as it is, such a request is refused again. */
const refusals = group(false)
/** The same, of requests that may succeed later. */
const retryable = group(true)

const groups = [
  refusals(400, 'change_request', {
    agent_scope_narrowing_not_supported:
      'Taking scopes away from an agent needs "expected_version", because running work may depend on them. Nothing was changed. Read the agent, then send the whole scope map with its version.',
    caller_agent_mismatch:
      '"X-Alter-Caller" names another agent than the one the key belongs to. Nothing was sent. Leave the header out, or use an app key to act as that agent.',
    constraint_not_narrowing:
      'The constraints of this call would allow more than the key does; they may only take away. Nothing was sent. Name only scopes that the key holds.',
    invalid_context:
      '"X-Alter-Context" must be a JSON object of at most 20 texts and 4 KiB. Nothing was sent. Shorten it; it is never cut silently.',
    invalid_cursor: '"cursor" was not made by this list with these filters. Start again without it.',
    invalid_json:
      'The body is not one unambiguous JSON value. Nothing was done. Check for members named twice, nesting over 32 levels, broken escapes and text after the end.',
    invalid_request_rule:
      '"X-Alter-Request-Rule" does not hold a rule that can be read. Nothing was sent. Send "rule_type" and "rule_body" as base64url JSON of at most 4,096 bytes.',
    invalid_scope:
      'A scope in the request does not exist. Nothing was done. Compare it with the list of scopes; there is no scope that stands for all.',
    unknown_parameter:
      'The query has a parameter that this call does not know. Nothing was done. Check its spelling: a filter that is ignored would show more than was asked for.',
  }),
  refusals(400, 'use_proxy', {
    hitl_grant_requires_proxy:
      "Uses of this grant may need a person's approval, which only the proxy can wait for. No credential was released. Send the same request through the proxy.",
    restricted_grant_requires_proxy:
      'This grant allows certain requests only, which cannot be enforced once its credential is handed out. No credential was released. Send the same request through the proxy.',
  }),
  refusals(401, 'contact_operator', {
    agent_inactive: 'The agent is suspended. Nothing was sent. An operator can resume it.',
    agent_revoked: 'The agent was revoked and stays so. Nothing was sent. An operator must create another agent.',
    authentication_required:
      'No valid token came with the request. Nothing was done. Send a personal access token as "Authorization: Bearer alter_pat_…".',
    invalid_key: 'The API key is unknown here. Nothing was sent. Check that it is whole and belongs to this server.',
    key_expired: 'The API key has expired. Nothing was sent. Ask an operator for a new one.',
    key_not_active:
      'The API key cannot be used while its app is archived. Nothing was sent. An operator can unarchive the app.',
    key_revoked: 'The API key was revoked. Nothing was sent. Ask an operator for a new one.',
    key_rotated_grace_expired:
      'The API key was replaced and its time of overlap is over. Nothing was sent. Use the key that replaced it.',
    token_expired: 'The personal access token has expired. Nothing was done. Make a new one.',
    token_revoked: 'The personal access token was revoked. Nothing was done. Make a new one.',
  }),
  refusals(401, 'reauthorize', {
    jwt_validation_error:
      'The user token is not valid for this app. Nothing was sent. Let the person sign in again and send the new token.',
  }),
  refusals(401, 'change_request', {
    nonce_replayed:
      'This signed request came before, so it is not served again. Nothing was sent. Sign each request anew with a fresh nonce.',
    signature_invalid:
      "The request's signature does not fit its method, path, body and headers. Nothing was sent. Check for something on the way that rewrites requests, and that the key is whole.",
    signature_missing:
      'The request lacks the headers that prove who sent it. Nothing was sent. Use an SDK, or sign it as the API reference says.',
    timestamp_out_of_range:
      "The request was signed more than 300 seconds before or after the server's time. Nothing was sent. Set the caller's clock.",
  }),
  refusals(401, 'ask_human', {
    sign_in_required:
      'Only a signed-in approver may decide this. Nothing was decided. Sign in and open the link again.',
  }),
  refusals(403, 'contact_operator', {
    agent_scope_not_allowed:
      "The agent's scope map does not allow this provider or scope. Nothing was sent. An operator can widen the map.",
    app_key_required: 'This call is not open to agents. Nothing was done. Use an app key.',
    cel_denied: 'A rule\'s condition refused the request. Nothing was sent. "reasons" names the rule.',
    cel_failed:
      'A rule\'s condition could not be evaluated, which counts as a refusal. Nothing was sent. An operator must correct the rule named in "reasons".',
    clock_untrusted:
      "The server's clock stepped back, so rules about time refuse. Nothing was sent. An operator must set the server's clock.",
    group_denied: 'A rule refuses members of a group that this person belongs to. Nothing was sent.',
    group_facts_stale:
      'The groups of this person were not refreshed recently enough for a rule that asks for them. Nothing was sent. Try again after the directory was synchronized.',
    group_required:
      'A rule asks for membership in a group that this person is not in, or the call names no person. Nothing was sent.',
    insufficient_scope:
      'The key or token lacks a scope for this call. Nothing was done. "missing" names it; an operator can give a key that holds it.',
    invalid_stored_rule:
      'A stored rule cannot be read, which counts as a refusal. Nothing was sent. An operator must correct the rule named in "reasons".',
    ip_not_allowed:
      'Requests from this network address are not allowed. Nothing was sent. An operator can add the address to the key or the rule.',
    operation_unclassified:
      "The request fits no operation of the provider's specification, and a rule decides by operation. Nothing was sent. An operator can complete the specification.",
    policy_denied: 'A rule refused the request. Nothing was sent. "reasons" names the rule.',
    role_insufficient: 'Your role in the organization does not allow this. Nothing was changed. Ask an owner or admin.',
    timezone_unknown:
      'A rule names a time zone that this server does not know, which counts as a refusal. Nothing was sent. An operator must correct the rule.',
    unknown_rule_version:
      'A stored rule has a form that this server is too old to read, which counts as a refusal. Nothing was sent. An operator must update the server or the rule.',
    user_not_active: "The person's account is suspended or gone. Nothing was sent.",
  }),
  refusals(403, 'change_request', {
    content_denied: 'A rule refused what this request would do. Nothing was sent. "reasons" names the rule.',
    grant_restriction:
      'The grant does not allow this method, host or path. Nothing was sent. Stay within its restrictions, or use another grant.',
    me_requires_agent_key: "Only an agent can ask who it is. Use the agent's key.",
    outside_allowed_request:
      'The request is outside of what a rule allows. Nothing was sent. "reasons" names the rule.',
  }),
  refusals(403, 'reauthorize', {
    credential_revoked:
      'The credential behind this grant was withdrawn at the provider. Nothing was sent. The person must connect the account again.',
    grant_expired: 'The grant has expired. Nothing was sent. The person, or an operator, must give a new one.',
    grant_idle_exceeded:
      'The grant was unused for longer than a rule allows. Nothing was sent. It must be given again.',
    grant_revoked: 'The grant was revoked. Nothing was sent. It must be given again before anything can be sent.',
    grant_ttl_exceeded: 'The grant is older than a rule allows. Nothing was sent. It must be given again.',
  }),
  refusals(403, 'ask_human', {
    interactive_session_required:
      'This may be done only by a person signed in to the portal, never with a token. Nothing was changed.',
    step_up_required:
      'A fresh sign-in is needed for this. Nothing was sent. Let the person sign in again, then repeat the request.',
  }),
  refusals(403, 'retry_after', {
    outside_time_window:
      'Now is outside of the hours that a rule allows. Nothing was sent. "retryable_at" in "reasons" says when they begin.',
    policy_timeout:
      'The rules could not be evaluated within 50 ms of CPU time, which counts as a refusal. Nothing was sent. Try again; if it stays so, an operator must simplify them.',
    policy_version_drift: 'The rules changed while the request was decided. Nothing was sent. Send it again.',
  }),
  refusals(404, 'change_request', {
    agent_not_found: 'There is no such agent in this app. Nothing was done. Check its id.',
    approval_not_found:
      'There is no such approval for this caller, or the link to it is not whole. Nothing was decided. Check the id, or open the link again as it was sent.',
    caller_agent_unresolved:
      '"X-Alter-Caller" names an agent that this app does not have. Nothing was sent. Check its id.',
    credential_not_found: 'There is no such credential for this caller. Nothing was sent. Check its id.',
    grant_not_found:
      "No grant fits this request. Nothing was sent. Check the grant's id, or let the person connect the account first.",
    key_not_found: 'There is no such key in this app. Nothing was changed. Check its id.',
    managed_secret_not_found: 'There is no such managed secret in this app. Nothing was done. Check its id.',
    not_found: 'There is nothing at this address. Check the path and its ids.',
  }),
  refusals(404, 'reauthorize', {
    no_delegated_grant:
      'Nobody has delegated a fitting grant to this agent. Nothing was sent. The person must allow the agent to use the account.',
  }),
  refusals(405, 'change_request', {
    method_not_allowed: 'This address does not take that method. Nothing was done. "Allow" lists those it takes.',
  }),
  refusals(409, 'ask_human', {
    action_changed:
      'The request shown is not the one that is held. Nothing was decided. Reload the page and read it again.',
    approval_already_decided:
      'Somebody has decided this already, and differently. Your decision was not recorded; "details" shows the one that stands.',
    approval_denied: 'A person denied the request. Nothing was sent. Ask them before trying anything similar.',
    approval_execution_failed:
      'The request was approved but could not be completed. "execution_error" says why; "execution_outcome_unknown" means that it may have reached the provider, so check there before repeating it.',
  }),
  refusals(409, 'change_request', {
    agent_concurrent_update:
      'Somebody changed the agent in the meantime. Nothing was changed. Read it again, then repeat the change with its new version.',
    agent_name_exists: 'Another agent of this app has this name. Nothing was created. Choose another name.',
    ambiguous_grant:
      'More than one grant fits this request. Nothing was sent. Name the account or the grant; "candidates" lists them.',
    app_name_exists: 'Another app of this organization has this name. Nothing was changed. Choose another name.',
    app_not_archived: 'Only an archived app can be deleted. Nothing was deleted. Archive it first.',
    confirm_mismatch:
      'The confirmation does not match the name. Nothing was deleted. Type the name exactly as it is shown.',
    conflict: 'The change does not fit the present state. Nothing was changed. Read the object again.',
    credential_id_required:
      'Several credentials fit. Nothing was created. Name one by "credential_id"; "details" lists them.',
    derived_key_not_rotatable:
      'A derived key cannot be rotated. Nothing was changed. Derive another one from its parent.',
    end_user_credential_not_assignable:
      'A credential that belongs to a person cannot be assigned to somebody else. Nothing was created.',
    has_dependants:
      'Other things still depend on this; "details" counts them. Nothing was deleted. Remove them first, or use "force" to end them with it.',
    idempotency_key_agent_revoked:
      'The agent made with this "Idempotency-Key" was revoked. Nothing was created. Use another key to create another agent.',
    idempotency_key_body_mismatch:
      'This "Idempotency-Key" was used for another request. Nothing was done. Use a new key for each new request.',
    last_active_key:
      'This is the agent\'s last working key. Nothing was revoked. Repeat with "force" if the agent may stop working.',
    sibling_label_conflict: 'Another grant on this account has this label. Nothing was created. Choose another label.',
  }),
  refusals(409, 'contact_operator', {
    agent_key_limit_reached:
      'The agent has as many keys as it may. Nothing was made. Revoke one that is no longer used.',
    idempotency_key_agent_inactive:
      'The agent made with this "Idempotency-Key" is suspended. Nothing was created. Use another key to create another agent.',
    key_limit_reached:
      'The app has as many active keys as it may. Nothing was made. Revoke one that is no longer used.',
  }),
  refusals(409, 'retry_after', {
    approval_not_executed: 'There is no result yet: the request still waits or is being sent. Ask again later.',
  }),
  refusals(409, 'none', {
    approval_not_pending: 'The request is no longer waiting, so it cannot be cancelled. Nothing was changed.',
    approval_result_expired:
      'The request was sent, but its stored answer has been erased since. The audit log still shows its outcome.',
  }),
  retryable(409, 'retry_after', {
    idempotency_in_progress:
      'The first request with this "Idempotency-Key" has not finished yet. This one was not begun. Repeat it with the same key.',
  }),
  refusals(410, 'ask_human', {
    approval_expired: 'Nobody decided in time. Nothing was sent. Send the request again and tell an approver.',
  }),
  refusals(410, 'reauthorize', {
    grant_deleted: 'The grant was deleted. Nothing was sent. It must be given again.',
  }),
  refusals(412, 'change_request', {
    version_conflict:
      'Somebody changed this in the meantime. Nothing was changed. Read it again, then repeat the change with its new "ETag".',
  }),
  refusals(413, 'change_request', {
    body_too_large: 'The body is larger than this call takes. Nothing was done. Send less.',
  }),
  refusals(415, 'change_request', {
    unsupported_media_type:
      'The body must be uncompressed JSON. Nothing was done. Send it with "Content-Type: application/json".',
  }),
  refusals(422, 'change_request', {
    agent_principal_requires_agent: 'A grant for an agent must name the agent. Nothing was created. Give its id.',
    allowed_hosts_required: 'A secret must say to which hosts it may be sent. Nothing was created. List at least one.',
    aws_signing_scope_unknown:
      'The AWS region or service cannot be told from this host. Nothing was sent. Use a regional endpoint, or set both on the secret.',
    blocked_destination:
      'This address may not be reached with this credential. Nothing was sent. Use an allowed host; an operator can add one.',
    cidr_too_wide:
      'An address range covers every address, which allows everybody. Nothing was changed. Name smaller ranges.',
    export_too_large:
      'The export would have more than 100,000 rows. Nothing was exported. Split it by time; "details" proposes how.',
    forbidden_header: 'A header of the request is set by the vault alone. Nothing was sent. Leave it out.',
    group_grants_unsupported:
      'Grants to groups are not possible without a directory. Nothing was created. Grant to people or agents.',
    invalid_cel: 'The expression is not valid CEL for rules. Nothing was changed. "errors" says where it breaks off.',
    invalid_characters:
      'A text holds characters that cannot be shown or stored: control characters or changes of direction. Nothing was done. Remove them.',
    invalid_cidr:
      'An address range is not valid: it needs an address, a prefix length and no bits after the prefix. Nothing was changed.',
    invalid_grant_policy: 'The grant\'s policy does not fit together. Nothing was created. "errors" says where.',
    invalid_rule_body: 'The rule\'s body does not fit its type. Nothing was changed. "errors" says where.',
    invalid_target: 'A rule has exactly one target. Nothing was changed. Name one, of a known type.',
    key_policy_violation:
      'The organization\'s key policy does not allow such a key. Nothing was made. "errors" names the setting.',
    query_too_long: 'The search text is too long. Nothing was searched. Shorten it.',
    reason_required: 'A reason is required here. Nothing was done. Say in "reason" why this is needed.',
    unknown_field:
      'The body has a field that this call does not know. Nothing was done. Check its spelling: an option that is ignored could allow more than was meant.',
    validation_failed: 'The request does not have the expected form. Nothing was done. "errors" names each field.',
  }),
  refusals(428, 'change_request', {
    precondition_required:
      'A change of this object needs "If-Match", so that nobody\'s change is overwritten unseen. Nothing was changed. Read the object and send its "ETag".',
  }),
  retryable(429, 'retry_after', {
    quota_exceeded:
      'The budget that a rule sets is spent. Nothing was sent. "Retry-After" says when there is room again.',
    rate_limit_exceeded: 'Too many requests in a short time. Nothing was sent. Wait as long as "Retry-After" says.',
  }),
  retryable(429, 'ask_human', {
    too_many_pending_approvals:
      'Too many requests wait for approval already. Nothing was sent or queued. Let people decide some of them first.',
  }),
  refusals(500, 'contact_operator', {
    app_not_found_for_key:
      'The key is valid but its app is missing from the store. Nothing was sent. An operator must look at the server.',
    internal_error:
      'Something went wrong in the server, and it is not the request\'s fault. Give an operator the "request_id"; the log has the rest.',
  }),
  retryable(502, 'retry_after', {
    provider_unreachable:
      'No usable answer came from the provider. The request may or may not have reached it; check before repeating anything that must not happen twice.',
  }),
  retryable(503, 'retry_after', {
    audit_unavailable:
      'The use could not be recorded, so it did not happen. Nothing was sent unless "upstream_may_have_executed" says otherwise. Try again later.',
    caller_agent_resolution_error:
      'The calling agent could not be looked up just now. Nothing was sent. Try again later.',
    policy_unavailable: 'The rules could not be read, so nothing was decided or sent. Try again later.',
    service_unavailable: "The server's store is away just now. Nothing was sent. Try again later.",
    unavailable: 'The server cannot do this just now. Nothing was changed. Try again later.',
  }),
  retryable(504, 'retry_after', {
    provider_timeout:
      'The provider did not answer in time. The request may have reached it; check there before repeating anything that must not happen twice.',
  }),
]

type KeyOfAny<T> = T extends unknown ? keyof T : never
export type ErrorCode = KeyOfAny<(typeof groups)[number]>

const entries = groups
  .flatMap((each) => Object.entries<ErrorEntry>(each))
  .sort(([a, x], [b, y]) => x.status - y.status || (a < b ? -1 : 1))

/**
 * Every code the server may send, by status and code. A code has one status (`key_revoked` answers 409 where a revoked key is the
 * object, not the caller).
 */
export const errorRegistry = Object.fromEntries(entries) as Readonly<Record<ErrorCode, ErrorEntry>>
if (Object.keys(errorRegistry).length < entries.length) throw new Error('an error code stands in two groups')
