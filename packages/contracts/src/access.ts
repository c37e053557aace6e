import type { ErrorCode } from './errors.ts'

/** How callers of one kind prove who they are. */
type AccessKind<Name extends string, Needs> = {
  name: Name
  /** What such a caller has, for the reference. */
  title: string
  /** The same for one endpoint. */
  who?: (needs: Needs) => string
  /** The OpenAPI security scheme; null when callers prove nothing. `optional`: the handler refuses a caller without it. */
  security: { name: string; scheme: Readonly<Record<string, string>>; optional?: boolean } | null
  /** The scheme that a 401 asks for (RFC 9110, 11.6.1). */
  challenge: string
  /** Codes that each endpoint with these needs may answer with. */
  errors: (needs: Needs) => readonly ErrorCode[]
}

/** Who may call an endpoint. What depends on the body of a call is checked by the handler and listed as errors. */
export type Access<Name extends string = string, Needs = unknown> = Readonly<{
  kind: Name
  /** What an endpoint asks of such a caller; the authenticator checks it. */
  needs: Needs
  title: string
  who: string
  security: AccessKind<Name, Needs>['security']
  challenge: string
  errors: readonly ErrorCode[]
}>

/**
 * A kind of access: the function that endpoints name in `access`. Beside this object a kind takes an authenticator of its name in
 * the server, and a column of the access matrix.
 */
export function defineAccess<const Name extends string, Needs = void>(
  kind: AccessKind<Name, Needs>,
): (needs: Needs) => Access<Name, Needs> {
  const { name, title, security, challenge } = kind
  return (needs) =>
    Object.freeze({
      kind: name,
      needs,
      title,
      who: kind.who?.(needs) ?? title,
      security,
      challenge,
      errors: kind.errors(needs),
    })
}

const inCode = (scopes: readonly string[], word: string): string => scopes.map((scope) => `\`${scope}\``).join(word)

export const everybody = defineAccess<'public'>({
  name: 'public',
  title: 'everybody',
  security: null,
  challenge: 'Bearer',
  errors: () => [],
})

export type ApiKeyNeeds = {
  scopes: readonly string[]
  /** One of `scopes` is enough. */
  anyOf?: boolean
  /** Open to an agent that is paused. */
  inactiveAgent?: boolean
  /** The code that a key of agent type gets, and an app key that acts as an agent. */
  refusesAgents?: ErrorCode
  /** Open to a key that holds a scope for single instances only; the handler shows it no other. */
  instances?: boolean
}

export const apiKey = defineAccess<'api_key', ApiKeyNeeds>({
  name: 'api_key',
  title: 'API key',
  who: ({ scopes, anyOf, refusesAgents }) =>
    `API key${scopes.length === 0 ? '' : ` with ${inCode(scopes, anyOf === true ? ' or ' : ' and ')}`}${refusesAgents === undefined ? '' : ', not for agents'}`,
  security: {
    name: 'api_key',
    scheme: {
      type: 'apiKey',
      in: 'header',
      name: 'x-api-key',
      description:
        'An API key (`alter_rk_…`, `alter_ak_…`, `alter_dk_…`). Each request is signed with a key derived from it: `X-Alter-Timestamp`, `X-Alter-Nonce`, `X-Alter-Content-SHA256` and `X-Alter-Signature` are required too. The SDKs do this.',
    },
  },
  challenge: 'Alter-Signature',
  errors: ({ refusesAgents }) => [
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
    ...(refusesAgents === undefined ? [] : [refusesAgents]),
  ],
})

export type OperatorNeeds = {
  scope: string | null
  /** Only for a member who is signed in; a token is refused with `interactive_session_required`. */
  inPerson?: boolean
}

export const operator = defineAccess<'operator', OperatorNeeds>({
  name: 'operator',
  title: 'personal access token',
  who: ({ scope, inPerson }) => {
    if (inPerson === true) return 'member who is signed in'
    return scope === null ? 'personal access token' : `personal access token with \`${scope}\``
  },
  security: {
    name: 'personal_access_token',
    scheme: {
      type: 'http',
      scheme: 'bearer',
      bearerFormat: 'alter_pat_…',
      description: 'A personal access token of a member, with the scopes that the operation names.',
    },
  },
  challenge: 'Bearer',
  errors: ({ inPerson }) => [
    'authentication_required',
    'insufficient_scope',
    'not_found',
    'rate_limit_exceeded',
    'role_insufficient',
    'token_expired',
    'token_revoked',
    ...(inPerson === true ? (['interactive_session_required'] as const) : []),
  ],
})

/** The handler checks the token, which stands in a header or in the body. */
export const approvalLink = defineAccess<'approval_link'>({
  name: 'approval_link',
  title: 'approval link',
  security: {
    name: 'approval_link',
    scheme: {
      type: 'apiKey',
      in: 'header',
      name: 'X-Alter-Link-Token',
      description: 'The token behind `#t=` of an approval link.',
    },
    optional: true,
  },
  challenge: 'Alter-Signature',
  errors: () => [],
})
