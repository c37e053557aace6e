import type { Endpoint } from '@alter-vault/contracts'
import * as contracts from '@alter-vault/contracts'

/** Every endpoint that the contracts declare, by path and method. */
export const declaredEndpoints: readonly Endpoint[] = (Object.values(contracts) as unknown[])
  .filter(isEndpoint)
  .sort((a, b) => routeOf(a).localeCompare(routeOf(b), 'en'))

function isEndpoint(value: unknown): value is Endpoint {
  return typeof value === 'object' && value !== null && 'method' in value && 'path' in value && 'access' in value
}

/** `POST /sdk/proxy`: the name of a route. */
export function routeOf(endpoint: Pick<Endpoint, 'method' | 'path'>): string {
  return `${endpoint.method} ${endpoint.path}`
}
