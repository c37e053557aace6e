import type { Endpoint } from '@alter-vault/contracts'
import type { BoundEndpoint } from './bind-endpoint.ts'
import { routeOf } from './declared-endpoints.ts'

/**
 * Throws unless every declared endpoint has exactly one handler, bound or hot, every handler a declared endpoint, and every kind of
 * access an authenticator; names every mismatch at once. A server that starts with a hole in its routes would answer 404 where its description promises more.
 */
export function assertHandlersMatch(
  declared: readonly Endpoint[],
  bound: readonly BoundEndpoint[],
  hotRoutes: Iterable<string>,
  authenticators: Readonly<Record<string, unknown>>,
): void {
  const faults: string[] = []
  const open = new Map<string, Endpoint>()
  for (const endpoint of declared) {
    const other = open.get(shapeOf(endpoint))
    if (other !== undefined) faults.push(`${other.id} and ${endpoint.id} are both ${routeOf(endpoint)}`)
    open.set(shapeOf(endpoint), endpoint)
  }
  const ids = new Set<string>()
  for (const { id } of declared) {
    if (ids.has(id)) faults.push(`two endpoints are called ${id}`)
    ids.add(id)
  }

  const served = new Set<string>()
  const serve = (shape: string, route: string) => {
    if (served.has(shape)) faults.push(`${route} has two handlers`)
    served.add(shape)
    if (!open.has(shape)) faults.push(`${route} has a handler but no endpoint`)
  }
  for (const { endpoint } of bound) serve(shapeOf(endpoint), routeOf(endpoint))
  for (const route of hotRoutes) serve(route, route)
  for (const [shape, endpoint] of open) {
    if (!served.has(shape)) faults.push(`${routeOf(endpoint)} (${endpoint.id}) has no handler`)
  }
  for (const kind of new Set(declared.map(({ access }) => access.kind))) {
    if (!Object.hasOwn(authenticators, kind)) faults.push(`the access "${kind}" has no authenticator`)
  }
  if (faults.length > 0) throw new Error(`The routes do not fit their declarations:\n  ${faults.join('\n  ')}`)
}

/** Two paths that differ in the names of their parameters only are the same route. */
const shapeOf = (endpoint: Endpoint): string => routeOf(endpoint).replace(/:[A-Za-z_]+/g, ':')
