import type { Endpoint, ErrorCode } from '@alter-vault/contracts'

const EVERY_ENDPOINT: readonly ErrorCode[] = ['internal_error', 'service_unavailable']
const WITH_BODY: readonly ErrorCode[] = [
  'invalid_json',
  'body_too_large',
  'unsupported_media_type',
  'invalid_characters',
  'validation_failed',
]

const REPEATABLE: readonly ErrorCode[] = ['idempotency_in_progress', 'idempotency_key_body_mismatch']

/** Every code that an endpoint may answer with: its own, and those that its API, its access, its input and its headers bring along. */
export function errorsOf(endpoint: Endpoint): readonly ErrorCode[] {
  const codes = new Set<ErrorCode>([
    ...endpoint.errors,
    ...EVERY_ENDPOINT,
    ...WITH_BODY,
    ...endpoint.api.errors,
    ...endpoint.access.errors,
  ])
  if (endpoint.params !== undefined) codes.add('not_found')
  if (endpoint.query !== undefined && 'cursor' in endpoint.query.properties) codes.add('invalid_cursor')
  if (endpoint.versioned === true && endpoint.method !== 'GET' && endpoint.method !== 'POST') {
    codes.add('precondition_required')
    codes.add('version_conflict')
  }
  if (endpoint.repeatable === true) for (const code of REPEATABLE) codes.add(code)
  return [...codes].sort()
}
