import {
  type ApiKeyNeeds,
  type Endpoint,
  type ErrorCode,
  LINK_TOKEN_HEADER,
  type OperatorNeeds,
} from '@alter-vault/contracts'
import type { Authenticators } from '../http/authenticators.ts'

/** Every kind of caller that is tried on every endpoint. */
export const MATRIX_CALLERS = [
  'nobody',
  'garbage_key',
  'app_key',
  'agent_key',
  'app_key_lacking_scope',
  'pat',
  'pat_lacking_scope',
  'pat_of_another_organization',
  'link_token',
] as const
export type MatrixCaller = (typeof MATRIX_CALLERS)[number]

export type MatrixRequest = { endpoint: Endpoint; method: string; path: string; body: string | undefined }

/** A running vault with one of each caller. */
export type MatrixVault = {
  /** Where it listens, without a slash at the end. */
  origin: string
  /** Values for path parameters that exist (`app_id`, `organization_id`); others get an id that nothing has. */
  params: Readonly<Record<string, string>>
  /** A pending approval and the token of its link. */
  approvalLink: { approvalId: string; token: string }
  /**
   * The headers by which `caller` makes this request: a signed key, a bearer token, or none. The callers that lack a scope hold
   * every scope but those that `request.endpoint.access` names. `link_token` has none: its token is put in by the matrix.
   */
  headersFor(caller: MatrixCaller, request: MatrixRequest): Promise<Record<string, string>>
}

/** What the declaration promises a caller: to be let in, or one of these refusals. */
export type Expected = 'let_in' | readonly ErrorCode[]

/** Refusals by which an endpoint says that a caller may not use it at all. */
const NOT_LET_IN: readonly ErrorCode[] = [
  'agent_inactive',
  'agent_revoked',
  'authentication_required',
  'insufficient_scope',
  'interactive_session_required',
  'invalid_key',
  'ip_not_allowed',
  'key_expired',
  'key_not_active',
  'key_revoked',
  'key_rotated_grace_expired',
  'nonce_replayed',
  'rate_limit_exceeded',
  'role_insufficient',
  'signature_invalid',
  'signature_missing',
  'timestamp_out_of_range',
  'token_expired',
  'token_revoked',
]

const NO_VALID_KEY: readonly ErrorCode[] = ['invalid_key', 'signature_missing', 'signature_invalid']
const FOR_AGENTS_ONLY: readonly ErrorCode[] = ['me_requires_agent_key']
const UNKNOWN_NOUN: readonly ErrorCode[] = ['not_found']
const NO_VALID_LINK: readonly ErrorCode[] = ['approval_not_found', 'sign_in_required']

/** One kind of access: what its callers may expect, and what a request to one of its endpoints needs beside their headers. */
type Column = {
  expected: (endpoint: Endpoint, caller: MatrixCaller) => Expected
  prepare?: (
    vault: MatrixVault,
    caller: MatrixCaller,
  ) => { params: Record<string, string>; headers: Record<string, string>; body: object }
}

/** What a handler narrows is among its listed errors. */
function unlessListed(endpoint: Endpoint, codes: readonly ErrorCode[]): Expected {
  const listed = codes.filter((code) => endpoint.errors.includes(code))
  return listed.length === 0 ? 'let_in' : listed
}

const COLUMNS: Readonly<Record<keyof Authenticators, Column>> = {
  public: { expected: () => 'let_in' },
  approval_link: {
    expected: (_endpoint, caller) => (caller === 'link_token' ? 'let_in' : NO_VALID_LINK),
    prepare({ approvalLink: { approvalId, token } }, caller) {
      const isHolder = caller === 'link_token'
      return {
        params: { approval_id: approvalId },
        headers: isHolder ? { [LINK_TOKEN_HEADER]: token } : {},
        // Never the hash of a request, so that even the holder of the link decides nothing.
        body: { decision: 'deny', action_hash: '0'.repeat(64), link_token: isHolder ? token : 'garbage' },
      }
    },
  },
  api_key: {
    expected(endpoint, caller) {
      const { scopes, refusesAgents } = endpoint.access.needs as ApiKeyNeeds
      if (caller === 'app_key') return unlessListed(endpoint, FOR_AGENTS_ONLY)
      if (caller === 'agent_key') return refusesAgents === undefined ? 'let_in' : [refusesAgents]
      if (caller !== 'app_key_lacking_scope') return NO_VALID_KEY
      return scopes.length > 0 ? ['insufficient_scope'] : unlessListed(endpoint, FOR_AGENTS_ONLY)
    },
  },
  operator: {
    expected(endpoint, caller) {
      const { scope, inPerson } = endpoint.access.needs as OperatorNeeds
      const letIn: Expected = inPerson === true ? ['interactive_session_required'] : 'let_in'
      if (caller === 'pat') return letIn
      if (caller === 'pat_lacking_scope') return scope === null ? letIn : ['insufficient_scope', 'role_insufficient']
      if (caller !== 'pat_of_another_organization') return ['authentication_required']
      return /:(app|organization)_id\b/.test(endpoint.path) ? UNKNOWN_NOUN : letIn
    },
  },
}

/** An id of the right form that nothing has. */
const NOBODYS_ID = '00000000-0000-7000-8000-000000000000'
/** No endpoint has such a member: a caller who is let in is refused by the check of the body, before anything is done. */
const HARMLESS_BODY = { access_matrix: true }

/**
 * Tries `endpoint` as `caller`. Answers undefined when the vault keeps its declaration, else what it did instead. Nothing is
 * changed by a call that is let in.
 */
export async function tryAccess(
  vault: MatrixVault,
  endpoint: Endpoint,
  caller: MatrixCaller,
): Promise<string | undefined> {
  const column = COLUMNS[endpoint.access.kind as keyof Authenticators]
  const expected = column.expected(endpoint, caller)
  const own = column.prepare?.(vault, caller)
  const params = { ...vault.params, ...own?.params }
  const request: MatrixRequest = {
    endpoint,
    method: endpoint.method,
    path: endpoint.path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(params[name] ?? NOBODYS_ID)),
    body: endpoint.method === 'GET' ? undefined : JSON.stringify(own?.body ?? HARMLESS_BODY),
  }
  const headers = { ...(await vault.headersFor(caller, request)), ...own?.headers }
  const response = await fetch(vault.origin + request.path, {
    method: request.method,
    headers: { ...(request.body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(request.body === undefined ? {} : { body: request.body }),
  })
  await response.arrayBuffer()
  const code = response.headers.get('x-alter-refusal') as ErrorCode | null
  const came = `${response.status}${code === null ? '' : ` ${code}`}`
  if (response.status >= 500) return `fails: ${came}`
  if (expected === 'let_in') return code !== null && NOT_LET_IN.includes(code) ? `is refused: ${came}` : undefined
  if (code === null) return `is let in: ${came}; expected ${expected.join(' or ')}`
  return expected.includes(code) ? undefined : `is answered ${came}; expected ${expected.join(' or ')}`
}

/** Tries every endpoint as every caller, one after the other; the sentences say what does not hold. Empty when all does. */
export async function tryAccessMatrix(vault: MatrixVault, endpoints: readonly Endpoint[]): Promise<string[]> {
  const faults: string[] = []
  for (const endpoint of endpoints) {
    for (const caller of MATRIX_CALLERS) {
      const fault = await tryAccess(vault, endpoint, caller)
      if (fault !== undefined) faults.push(`${endpoint.method} ${endpoint.path} as ${caller} ${fault}`)
    }
  }
  return faults
}
