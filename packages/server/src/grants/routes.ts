import * as contract from '@alter-vault/contracts'
import type { BoundEndpoint } from '../http/bind-endpoint.ts'
import { parsePage } from '../kernel/page.ts'
import { bindForCallers, bindForOperators } from '../management/index.ts'
import type { Grants } from './create-grants.ts'
import type { GrantFilter } from './grant-store.ts'
import { principalKinds } from './principals.ts'

/** Grants, of a managed secret and as a whole, for operators and for SDK callers. */
export function createGrantRoutes({ grants }: { grants: Grants }): BoundEndpoint[] {
  return [
    bindForOperators(contract.listGrants, async ({ app, query }) =>
      grants.listGrants(
        app,
        {
          states: query.status && [query.status],
          providerId: query.provider,
          search: query.search,
          ...principalFilter(query),
        },
        parsePage(query),
      ),
    ),
    bindForOperators(contract.showGrant, async ({ app, params }) => grants.showGrant(app, params.grant_id)),
    bindForOperators(contract.revokeGrant, async ({ app, params, body }, author) =>
      grants.revokeGrant({
        app,
        author,
        grantId: params.grant_id,
        whenRevoked: 'keep',
        reason: body.reason,
      }),
    ),
    bindForOperators(contract.listSecretGrants, async ({ app, params, query }) =>
      grants.listGrants(
        app,
        {
          sourceId: params.managed_secret_id,
          states: query.status && [query.status],
          ...principalFilter(query),
        },
        parsePage(query),
      ),
    ),
    bindForOperators(contract.createSecretGrant, async ({ app, params, body }, author) =>
      grants.createGrant({
        app,
        author,
        managedSecretId: params.managed_secret_id,
        principal: principalKinds[body.principal.type].namedBy(body.principal.id),
        label: body.label,
        credentialId: body.credential_id,
        policy: body.grant_policy,
      }),
    ),
    bindForOperators(contract.updateSecretGrant, async ({ app, params, body }, author) =>
      grants.changeGrant({
        app,
        author,
        managedSecretId: params.managed_secret_id,
        grantId: params.grant_id,
        change: body,
      }),
    ),
    bindForOperators(contract.showSecretAccess, async ({ app, params }) =>
      grants.showSecretAccess(app, params.managed_secret_id),
    ),
    bindForCallers(contract.sdkListGrants, async ({ body, principal }) => grants.listCallerGrants(principal, body)),
    bindForCallers(contract.sdkCreateSecretGrant, async ({ params, body, principal }) =>
      grants.createCallerGrant(principal, params.managed_secret_id, body),
    ),
    bindForCallers(contract.sdkRevokeGrant, async ({ params, body, principal }) =>
      grants.revokeCallerGrant(principal, params.grant_id, body),
    ),
  ]
}

type PrincipalQuery = {
  principal_type?: NonNullable<GrantFilter['principalType']>
  principal_id?: string
  app_user?: string
  agent_id?: string
}

/** Several ways to name the principal must name the same one: else nothing matches. */
function principalFilter(query: PrincipalQuery): GrantFilter {
  const types = new Set([
    ...(query.principal_type === undefined ? [] : [query.principal_type]),
    ...(query.app_user === undefined ? [] : ['user' as const]),
    ...(query.agent_id === undefined ? [] : ['agent' as const]),
  ])
  const ids = new Set([query.principal_id, query.app_user, query.agent_id].filter((id) => id !== undefined))
  if (types.size > 1 || ids.size > 1) return { states: [] }
  return { principalType: [...types][0], principalId: [...ids][0] }
}
