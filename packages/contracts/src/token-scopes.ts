/**
 * What a personal access token may do on the management API. On the wire a scope is written
 * `dashboard_<resource>:<verb>`; inside the server the prefix is dropped.
 *
 *   write ⇒ read, admin ⇒ write (where the resource has it) ⇒ read
 *   delete, create, webhooks ⇒ read, and nothing else
 */
export const TOKEN_SCOPE_PREFIX = 'dashboard_'

/** Every resource with its verbs. */
export const tokenScopeResources = {
  apps: ['read', 'write', 'delete'],
  keys: ['read', 'write', 'admin'],
  agents: ['read', 'write', 'admin'],
  providers: ['read', 'write', 'admin'],
  secrets: ['read', 'write', 'delete'],
  grants: ['read', 'admin'],
  app_policy: ['read', 'write'],
  identity_providers: ['read', 'create', 'webhooks'],
  audit: ['read'],
  approvals: ['read', 'write'],
  webhooks: ['read', 'write'],
  org: ['read'],
} as const satisfies Record<string, readonly string[]>

/** All token scopes, without the prefix. */
export const tokenScopes: readonly string[] = Object.entries(tokenScopeResources).flatMap(([resource, verbs]) =>
  verbs.map((verb) => `${resource}:${verb}`),
)

/** The scopes of a CLI login that asks for none. */
export const defaultTokenScopes: readonly string[] = tokenScopes.filter(
  (scope) =>
    !scope.endsWith(':admin') && !scope.endsWith(':delete') && scope !== 'org:read' && scope !== 'approvals:write',
)

export type OperatorRole = 'owner' | 'admin' | 'developer' | 'auditor' | 'approver'

/** The most that a member's token may do, by role. An approver decides in a session, never by token. */
export const roleTokenScopes: Readonly<Record<OperatorRole, readonly string[]>> = {
  owner: tokenScopes,
  admin: tokenScopes,
  developer: tokenScopes.filter((scope) => scope !== 'apps:delete'),
  auditor: tokenScopes.filter((scope) => scope.endsWith(':read')),
  approver: [],
}

/** Drops the prefix; undefined for what the catalog does not know. */
export function parseTokenScope(text: string): string | undefined {
  if (!text.startsWith(TOKEN_SCOPE_PREFIX)) return undefined
  const scope = text.slice(TOKEN_SCOPE_PREFIX.length)
  return tokenScopes.includes(scope) ? scope : undefined
}

/** The list with everything it implies spelled out; entries that are no token scopes are dropped. */
export function closeTokenScopes(granted: readonly string[]): string[] {
  const closed = new Set<string>()
  for (const scope of granted) {
    if (!tokenScopes.includes(scope)) continue
    closed.add(scope)
    const [resource, verb] = scope.split(':')
    if (verb === 'admin' && tokenScopes.includes(`${resource}:write`)) closed.add(`${resource}:write`)
    closed.add(`${resource}:read`)
  }
  return [...closed]
}

/** What a token gives today: its own scopes and what they imply, cut by what the member's role allows. */
export function tokenScopesInForce(granted: readonly string[], role: OperatorRole): string[] {
  return closeTokenScopes(granted).filter((scope) => roleTokenScopes[role].includes(scope))
}
