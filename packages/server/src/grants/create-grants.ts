import type { AuditLog } from '../audit/index.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Endings, ManagedRules } from '../management/index.ts'
import type { GrantsOfSecrets } from '../secrets/index.ts'
import { changeGrant } from './change-grant.ts'
import { createCallerGrant } from './create-caller-grant.ts'
import { createBaseGrant, createGrant } from './create-grant.ts'
import { countGrantsOf } from './grant-store.ts'
import { listCallerGrants } from './list-caller-grants.ts'
import { listGrantsOf, showGrant } from './read-grants.ts'
import { revokeCallerGrant } from './revoke-caller-grant.ts'
import { revokeGrant } from './revoke-grant.ts'
import { showSecretAccess } from './show-secret-access.ts'

export type GrantsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  endings: Endings
  rules: ManagedRules
}

export type Grants = ReturnType<typeof grantUseCases>

/** Who may use which managed secret, and within which bounds. */
export function grantUseCases(deps: GrantsDeps) {
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
  }
}

/** The grants' side of making and deleting secrets. */
export const grantsOfSecrets: GrantsOfSecrets = { createBaseGrant, countGrants: countGrantsOf }
