/** What a provider says about a missing scope (RFC 6750, section 3.1). */
export type InsufficientScope = {
  /** At most 50, of at most 256 characters; empty when the provider named none. */
  missingScopes: readonly string[]
  header: string
}

const MAX_SCOPES = 50
const MAX_SCOPE_LENGTH = 256
/** One `name=value`; quoted values are consumed whole, so that their text is never taken for a parameter. */
const PARAMETER = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g

/** Finds a `Bearer` challenge with `error="insufficient_scope"` in a `WWW-Authenticate` header. */
export function findInsufficientScope(header: string): InsufficientScope | undefined {
  let scheme = ''
  let parameters = new Map<string, string>()
  let endOfLast = 0
  for (const match of header.matchAll(PARAMETER)) {
    const nextScheme = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)\s+$/.exec(header.slice(endOfLast, match.index))?.[1]
    endOfLast = match.index + match[0].length
    if (nextScheme !== undefined) {
      if (saysInsufficientScope(scheme, parameters)) break
      scheme = nextScheme.toLowerCase()
      parameters = new Map()
    }
    parameters.set(match[1]!.toLowerCase(), match[2]?.replace(/\\(.)/g, '$1') ?? match[3]!)
  }
  if (!saysInsufficientScope(scheme, parameters)) return undefined
  const scopes = (parameters.get('scope') ?? '').split(' ').filter((scope) => scope !== '')
  return { missingScopes: scopes.slice(0, MAX_SCOPES).map((scope) => scope.slice(0, MAX_SCOPE_LENGTH)), header }
}

function saysInsufficientScope(scheme: string, parameters: ReadonlyMap<string, string>): boolean {
  return scheme === 'bearer' && parameters.get('error') === 'insufficient_scope'
}
