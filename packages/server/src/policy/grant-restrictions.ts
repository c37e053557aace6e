import { GrantRestrictions, type RuleRemark } from '@alter-vault/contracts'
import { Compile } from 'typebox/compile'
import { explainMismatch } from '../kernel/explain-mismatch.ts'
import type { JsonSchema } from '../kernel/json-schema.ts'
import { compileHostPattern, isHostPattern } from './host-pattern.ts'
import { compilePathList, isPathInside, type PathList } from './path-list.ts'
import type { PolicyRequest } from './policy-context.ts'

/** What restrictions look at of a request. */
export type RestrictedRequest = Pick<
  PolicyRequest,
  'method' | 'namesOtherMethod' | 'scheme' | 'host' | 'port' | 'path' | 'pathReadings'
>

/** Which list a request is outside of, or `invalid` for stored restrictions that cannot be understood. */
export type RestrictionFault = { list: 'allowed_methods' | 'allowed_endpoints' | 'allowed_hosts' | 'invalid' }

/** Answers null inside every list, else the first list that the request is outside of. Refused as 403 `grant_restriction`. */
export type CheckRestrictions = (request: RestrictedRequest) => RestrictionFault | null

const validator = Compile(GrantRestrictions)
const HTTPS_ENDPOINT = /^https:\/\/([^/:]+)(?::(\d{1,5}))?(\/.*)$/
const DEFAULT_PORT = 443

/** Names every fault of `restrictions`; empty when they can be compiled. Pointers are into the restrictions. */
export function checkGrantRestrictions(restrictions: unknown): RuleRemark[] {
  if (!validator.Check(restrictions)) {
    const remarks = explainMismatch(GrantRestrictions as unknown as JsonSchema, restrictions, 'The restrictions')
    return remarks.length > 0
      ? remarks
      : [{ pointer: '', code: 'invalid', message: 'The restrictions name nothing, or name something twice.' }]
  }
  const remarks: RuleRemark[] = []
  restrictions.allowed_hosts?.forEach((host, i) => {
    if (isHostPattern(host)) return
    const message = `"${host}" is no host and no "*." with a host.`
    remarks.push({ pointer: `/allowed_hosts/${i}`, code: 'invalid_format', message })
  })
  restrictions.allowed_endpoints?.forEach((endpoint, i) => {
    if (compileEndpoint(endpoint) !== undefined) return
    const message = `"${endpoint}" is neither a path such as "/v1/**" nor "https://host/path".`
    remarks.push({ pointer: `/allowed_endpoints/${i}`, code: 'invalid_format', message })
  })
  return remarks
}

/**
 * Compiles the restrictions of a grant and of every grant it was delegated from; a request must be inside all of them.
 * Restrictions that cannot be understood refuse every request.
 */
export function compileGrantRestrictions(chain: readonly unknown[]): CheckRestrictions {
  const checks = chain.map(compileOne)
  return (request) => {
    for (const check of checks) {
      const fault = check(request)
      if (fault !== null) return fault
    }
    return null
  }
}

function compileOne(restrictions: unknown): CheckRestrictions {
  if (checkGrantRestrictions(restrictions).length > 0) return () => ({ list: 'invalid' })
  const { allowed_methods, allowed_endpoints, allowed_hosts } = restrictions as GrantRestrictions
  const methods = allowed_methods && new Set<string>(allowed_methods)
  const hosts = allowed_hosts?.map(compileHostPattern)
  const endpoints = allowed_endpoints?.map((endpoint) => compileEndpoint(endpoint)!)
  return (request) => {
    if (methods !== undefined && (!methods.has(request.method) || request.namesOtherMethod))
      return { list: 'allowed_methods' }
    if (hosts !== undefined && !hosts.some((matches) => matches(request.host))) return { list: 'allowed_hosts' }
    if (endpoints === undefined) return null
    const paths = endpoints.flatMap((endpoint) => endpoint(request) ?? [])
    return isPathInside(paths, request) ? null : { list: 'allowed_endpoints' }
  }
}

/** The paths that an endpoint allows of a request; null at another place. Its host is compared as a host and never as a glob. */
function compileEndpoint(endpoint: string): ((request: RestrictedRequest) => PathList | null) | undefined {
  if (endpoint.startsWith('/')) {
    const paths = compilePathList([endpoint])
    return () => paths
  }
  const parts = HTTPS_ENDPOINT.exec(endpoint)
  if (parts === null || !isHostPattern(parts[1]!)) return undefined
  const matchesHost = compileHostPattern(parts[1]!)
  const port = parts[2] === undefined ? DEFAULT_PORT : Number(parts[2])
  const paths = compilePathList([parts[3]!])
  return ({ scheme, port: asked, host }) => (scheme === 'https' && asked === port && matchesHost(host) ? paths : null)
}
