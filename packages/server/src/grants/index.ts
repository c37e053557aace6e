import { type GrantsDeps, grantUseCases } from './create-grants.ts'
import { createGrantRoutes } from './routes.ts'

export type { NewGrant } from './create-grant.ts'
export { type Grants, type GrantsDeps, grantsOfSecrets } from './create-grants.ts'
export { findGrantTargets } from './grant-store.ts'
export { mayNameGrantOf, type Principal, principalOf, principalSubject, userTokenRefused } from './principals.ts'
export { endGrantsWith } from './revoke-grant.ts'

/** Who may use which managed secret, and within which bounds. */
export function createGrants(deps: GrantsDeps) {
  const grants = grantUseCases(deps)
  return { ...grants, routes: createGrantRoutes({ grants }) }
}
