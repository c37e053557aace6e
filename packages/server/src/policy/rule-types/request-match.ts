import type { RequestMatchBody } from '@alter-vault/contracts'
import { compileWhen, type Match } from '../condition.ts'
import { UNKNOWN } from '../fact.ts'
import { deny, type EvaluateRule, undecidedOn } from '../firing.ts'
import { compileHostPattern } from '../host-pattern.ts'
import { compilePathList, isPathInside } from '../path-list.ts'
import type { PolicyRequest } from '../policy-context.ts'

/** True inside, false outside; the name of the attribute when it cannot be known. */
type Check = (request: PolicyRequest) => boolean | string

/** Denies a request outside what is allowed: each member must hold, of `endpoints` one alternative. */
export function compileRequestMatch(body: RequestMatchBody): EvaluateRule {
  const checks = Object.entries(compileChecks(body.allow)).filter(
    (entry): entry is [string, Check] => entry[1] !== undefined,
  )
  const when = compileWhen(body.when ?? {})
  const message = 'The request is outside what a rule allows.'
  if (checks.length === 0) return () => null
  return (moment) => {
    let match: Match = when(moment)
    if (match === false) return null
    const { request } = moment.context
    if (request === UNKNOWN) {
      return deny('outside_allowed_request', message, undecidedOn('request', 'request_shape_unavailable'))
    }
    let outside: string[] | undefined
    for (const [member, check] of checks) {
      const inside = check(request)
      if (inside === true) continue
      outside ??= []
      outside.push(member)
      if (typeof inside === 'string' && match === true) match = undecidedOn(inside)
    }
    return outside === undefined ? null : deny('outside_allowed_request', message, match, { outside })
  }
}

function compileChecks(allow: RequestMatchBody['allow']): Record<keyof typeof allow, Check | undefined> {
  return {
    methods: allow.methods && compileMethods(allow.methods),
    hosts: allow.hosts && compileHosts(allow.hosts),
    paths: allow.paths && compilePaths(allow.paths),
    endpoints: allow.endpoints && compileEndpoints(allow.endpoints),
    query_names: allow.query_names && compileQueryNames(allow.query_names),
    content_types: allow.content_types && compileContentTypes(allow.content_types),
    max_body_bytes: allow.max_body_bytes === undefined ? undefined : compileMaxBodyBytes(allow.max_body_bytes),
  }
}

function compileMethods(methods: readonly string[]): Check {
  const allowed = new Set(methods.map((method) => method.toUpperCase()))
  return (request) => (request.namesOtherMethod ? 'method' : allowed.has(request.method))
}

function compileHosts(hosts: readonly string[]): Check {
  const patterns = hosts.map(compileHostPattern)
  return (request) => patterns.some((matches) => matches(request.host))
}

function compilePaths(paths: readonly string[]): Check {
  const lists = [compilePathList(paths)]
  return (request) => isPathInside(lists, request)
}

function compileEndpoints(endpoints: NonNullable<RequestMatchBody['allow']['endpoints']>): Check {
  const alternatives = endpoints.map(({ methods, host, path }) => ({
    checks: [compileMethods(methods), compileHosts([host])],
    path: compilePathList([path]),
  }))
  return (request) => {
    if (request.namesOtherMethod) return 'method'
    const open = alternatives.filter(({ checks }) => checks.every((check) => check(request) === true))
    return isPathInside(
      open.map(({ path }) => path),
      request,
    )
  }
}

function compileQueryNames(names: readonly string[]): Check {
  const allowed = new Set(names)
  return ({ query }) => {
    if (query === UNKNOWN) return 'query'
    for (const name of query?.keys() ?? []) if (!allowed.has(name)) return false
    return true
  }
}

/** A request without a body and without a content type has nothing to be outside with. */
function compileContentTypes(types: readonly string[]): Check {
  const allowed = new Set(types.map((type) => type.toLowerCase()))
  return ({ contentType, bodySize }) => (contentType === null ? bodySize === 0 : allowed.has(contentType))
}

function compileMaxBodyBytes(max: number): Check {
  return ({ bodySize }) => (bodySize === UNKNOWN ? 'body_size' : (bodySize ?? 0) <= max)
}
