import type { Access, Endpoint, ErrorCode } from '@alter-vault/contracts'

const EVERY_ENDPOINT: readonly ErrorCode[] = ['internal_error', 'service_unavailable']
const WITH_BODY: readonly ErrorCode[] = [
  'invalid_json',
  'body_too_large',
  'unsupported_media_type',
  'invalid_characters',
]

const BY_ACCESS: Readonly<Record<Access['kind'], readonly ErrorCode[]>> = {
  public: [],
  approval_link: [],
  api_key: [
    'agent_inactive',
    'agent_revoked',
    'app_not_found_for_key',
    'caller_agent_mismatch',
    'caller_agent_resolution_error',
    'caller_agent_unresolved',
    'constraint_not_narrowing',
    'insufficient_scope',
    'invalid_context',
    'invalid_key',
    'invalid_request_rule',
    'invalid_scope',
    'ip_not_allowed',
    'key_expired',
    'key_not_active',
    'key_revoked',
    'key_rotated_grace_expired',
    'nonce_replayed',
    'rate_limit_exceeded',
    'signature_invalid',
    'signature_missing',
    'timestamp_out_of_range',
  ],
  operator: [
    'authentication_required',
    'insufficient_scope',
    'not_found',
    'rate_limit_exceeded',
    'role_insufficient',
    'token_expired',
    'token_revoked',
  ],
}

const IDEMPOTENT: readonly ErrorCode[] = ['idempotency_in_progress', 'idempotency_key_body_mismatch']

/** `/api/v1/*` speaks problem+json and has finer codes for unknown names; everything else speaks the SDK envelope. */
export const speaksProblem = (path: string): boolean => path.startsWith('/api/v1/')

/** True where `Idempotency-Key` is honored by the listener: the creating calls of the management API. */
export const isIdempotent = (endpoint: Endpoint): boolean =>
  endpoint.method === 'POST' && endpoint.access.kind === 'operator' && speaksProblem(endpoint.path)

/** Every code that an endpoint may answer with: its own, and those that its access, its input and its headers bring along. */
export function errorsOf(endpoint: Endpoint): readonly ErrorCode[] {
  const codes = new Set<ErrorCode>([...endpoint.errors, ...EVERY_ENDPOINT, ...BY_ACCESS[endpoint.access.kind]])
  if (endpoint.access.kind === 'operator' && endpoint.access.inPerson === true)
    codes.add('interactive_session_required')
  if (endpoint.access.kind === 'api_key' && endpoint.access.refusesAgents) codes.add(endpoint.access.refusesAgents)
  for (const code of WITH_BODY) codes.add(code)
  codes.add('validation_failed')
  if (speaksProblem(endpoint.path)) {
    codes.add('unknown_field')
    codes.add('unknown_parameter')
  }
  if (endpoint.params !== undefined) codes.add('not_found')
  if (endpoint.versioned === true && endpoint.method !== 'GET' && endpoint.method !== 'POST') {
    codes.add('precondition_required')
    codes.add('version_conflict')
  }
  if (isIdempotent(endpoint)) for (const code of IDEMPOTENT) codes.add(code)
  return [...codes].sort()
}
