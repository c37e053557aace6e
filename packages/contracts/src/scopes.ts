/**
 * What a key may do (docs/spec/wire-protocol.md#scopes): `{resource}:{verb}[:{instance}]`, or an action scope that stands for itself.
 *
 *   admin ⇒ write ⇒ read        on one resource, as far as the resource has these verbs
 *   r:v   ⇒ r:v:<any instance>
 *   r:*   is another spelling of r:admin
 */
export const SCOPE_VERSION = 1

const VERBS = ['read', 'write', 'admin'] as const
type Verb = (typeof VERBS)[number]

/** Every resource with its verbs, weakest first. */
export const scopeResources = {
  agents: ['read', 'write', 'admin'],
  grants: ['read', 'write', 'admin'],
  keys: ['read', 'write', 'admin'],
  secrets: ['read', 'write', 'admin'],
  providers: ['read'],
  idp_users: ['read', 'write', 'admin'],
  audit_logs: ['read'],
  usage: ['read'],
} as const satisfies Record<string, readonly Verb[]>

/** Scopes that are implied by themselves alone. */
export const actionScopes = [
  'tokens:retrieve',
  'proxy:execute',
  'connect:initiate',
  'keys:derive',
  'audit:emit',
  'spans:emit',
  'approvals:read',
] as const

/** Older spellings that are still accepted, and what they mean. */
export const deprecatedScopes: Readonly<Record<string, string>> = { 'connect:create': 'connect:initiate' }

/** What a key of a managed agent holds; what it reaches is bounded by its grants, not by these. */
export const managedAgentKeyScopes: readonly string[] = [
  'tokens:retrieve',
  'proxy:execute',
  'connect:initiate',
  'keys:derive',
  'audit:emit',
  'spans:emit',
  'approvals:read',
  'grants:write',
  'secrets:write',
  'providers:read',
  'idp_users:write',
]

/** The longest scope list of one key. */
export const MAX_SCOPES = 100

type Scope =
  | { kind: 'action'; name: string }
  | { kind: 'resource'; resource: string; verb: Verb; instance: string | null }

const INSTANCE = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/

function parseScope(text: string): Scope | undefined {
  const spelled = deprecatedScopes[text] ?? text
  if ((actionScopes as readonly string[]).includes(spelled)) return { kind: 'action', name: spelled }
  const parts = spelled.split(':')
  const [resource, writtenVerb, instance] = parts
  if (parts.length < 2 || parts.length > 3 || resource === undefined || writtenVerb === undefined) return undefined
  const verbs: readonly string[] | undefined = Object.hasOwn(scopeResources, resource)
    ? scopeResources[resource as keyof typeof scopeResources]
    : undefined
  const verb = writtenVerb === '*' ? 'admin' : writtenVerb
  if (!verbs?.includes(verb)) return undefined
  if (instance !== undefined && !INSTANCE.test(instance)) return undefined
  return { kind: 'resource', resource, verb: verb as Verb, instance: instance ?? null }
}

function formatScope(scope: Scope): string {
  if (scope.kind === 'action') return scope.name
  return `${scope.resource}:${scope.verb}${scope.instance === null ? '' : `:${scope.instance}`}`
}

/** The one spelling of a scope: older names replaced, `r:*` written `r:admin`. Undefined for what the catalog does not know. */
export function canonicalScope(text: string): string | undefined {
  const scope = parseScope(text)
  return scope && formatScope(scope)
}

/** A scope list as it is stored, or the entries that are not scopes. Order is kept, repeats are dropped. */
export function canonicalScopes(
  texts: readonly string[],
): { ok: true; scopes: string[] } | { ok: false; invalid: string[] } {
  const scopes = new Set<string>()
  const invalid: string[] = []
  for (const text of texts) {
    const scope = canonicalScope(text)
    if (scope === undefined) invalid.push(text)
    else scopes.add(scope)
  }
  return invalid.length > 0 ? { ok: false, invalid } : { ok: true, scopes: [...scopes] }
}

/** Whether holding `granted` gives `asked`. Text that is no scope implies nothing and is implied by nothing. */
export function scopeImplies(granted: string, asked: string): boolean {
  const held = parseScope(granted)
  const wanted = parseScope(asked)
  if (held === undefined || wanted === undefined) return false
  if (held.kind === 'action' || wanted.kind === 'action') {
    return held.kind === 'action' && wanted.kind === 'action' && held.name === wanted.name
  }
  return (
    held.resource === wanted.resource &&
    VERBS.indexOf(held.verb) >= VERBS.indexOf(wanted.verb) &&
    (held.instance === null || held.instance === wanted.instance)
  )
}

/** Whether any of the held scopes gives `asked`. */
export function scopesImply(granted: readonly string[], asked: string): boolean {
  return granted.some((held) => scopeImplies(held, asked))
}

/**
 * The list with everything it implies spelled out, instances of bare scopes excepted, so that a hot path can look a scope up
 * by name. `scopesImply(list, s)` equals `closeScopes(list).includes(s)` for each scope `s` without an instance.
 */
export function closeScopes(granted: readonly string[]): string[] {
  const closed = new Set<string>()
  for (const text of granted) {
    const scope = parseScope(text)
    if (scope === undefined) continue
    if (scope.kind === 'action') {
      closed.add(scope.name)
      continue
    }
    const verbs: readonly Verb[] = scopeResources[scope.resource as keyof typeof scopeResources]
    for (const verb of verbs.slice(0, verbs.indexOf(scope.verb) + 1)) closed.add(formatScope({ ...scope, verb }))
  }
  return [...closed]
}

/** Which instances a key may see of a resource: null for all, else the ids that its instance scopes name. */
export function visibleInstances(
  granted: readonly string[],
  resource: string,
  verb: 'read' | 'write',
): string[] | null {
  const instances = new Set<string>()
  for (const text of granted) {
    const scope = parseScope(text)
    if (scope?.kind !== 'resource' || scope.resource !== resource) continue
    if (VERBS.indexOf(scope.verb) < VERBS.indexOf(verb)) continue
    if (scope.instance === null) return null
    instances.add(scope.instance)
  }
  return [...instances]
}
