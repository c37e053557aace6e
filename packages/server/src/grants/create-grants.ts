import type { AuditLog } from '../audit/index.ts'
import type { Database, Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { changeGrant } from './change-grant.ts'
import { createCallerGrant } from './create-caller-grant.ts'
import { createBaseGrant, createGrant } from './create-grant.ts'
import type { GrantNeighbors } from './grant-neighbors.ts'
import { countLiveGrants } from './grant-store.ts'
import { listCallerGrants } from './list-caller-grants.ts'
import { listGrantsOf, showGrant } from './read-grants.ts'
import { revokeCallerGrant } from './revoke-caller-grant.ts'
import { endGrantsOfApp, revokeGrant, revokeGrantsOfAgent, revokeGrantsOfSecret } from './revoke-grant.ts'
import { showSecretAccess } from './show-secret-access.ts'

export type GrantsDeps = { db: Database; audit: Pick<AuditLog, 'change'>; clock: Clock } & GrantNeighbors

export type Grants = ReturnType<typeof createGrants>

/** Who may use which managed secret, and within which bounds. */
export function createGrants(deps: GrantsDeps) {
  const create = createGrant(deps)
  const revoke = revokeGrant(deps)
  return {
    createGrant: create,
    changeGrant: changeGrant(deps),
    revokeGrant: revoke,
    showGrant: showGrant(deps),
    listGrants: listGrantsOf(deps),
    showSecretAccess: showSecretAccess(deps),
    listCallerGrants: listCallerGrants(deps),
    createCallerGrant: createCallerGrant({ createGrant: create }),
    revokeCallerGrant: revokeCallerGrant({ revokeGrant: revoke }),

    /** What the secrets ask of the grants when one is made or deleted. */
    neighborsOfSecrets: {
      createBaseGrant,
      countLiveGrants: (tx: Tx, appId: string, managedSecretId: string) =>
        countLiveGrants(tx, appId, managedSecretId, new Date(deps.clock.now())),
      revokeGrantsOfSecret: revokeGrantsOfSecret(deps),
    },
    revokeGrantsOfAgent: revokeGrantsOfAgent(deps),
    /** A step of the deletion of an app. */
    endGrantsOfApp: endGrantsOfApp(deps),
  }
}
