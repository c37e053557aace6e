import type { AuditLog } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Endings } from '../management/index.ts'
import { readOrganizationIds } from '../organizations/index.ts'
import { readAppIds } from './app-store.ts'
import { archiveApp, unarchiveApp } from './archive-app.ts'
import { createApp } from './create-app.ts'
import { deleteApp } from './delete-app.ts'
import { listAppsOf, showApp } from './read-apps.ts'
import { updateApp } from './update-app.ts'

export type AppsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  endings: Endings
  keyring: Pick<Keyring, 'forget'>
}

export type Apps = ReturnType<typeof appUseCases>

/** The apps of organizations. */
export function appUseCases(deps: AppsDeps) {
  return {
    listApps: listAppsOf(deps),
    showApp: showApp(deps),
    createApp: createApp(deps),
    updateApp: updateApp(deps),
    archiveApp: archiveApp(deps),
    unarchiveApp: unarchiveApp(deps),
    deleteApp: deleteApp(deps),
    /** Every organization with the ids of all apps that it ever had. */
    async readScopes(): Promise<{ organizationId: string; appIds: string[] }[]> {
      const scopes = []
      for (const organizationId of await deps.db.unscoped(readOrganizationIds)) {
        const appIds = await deps.db.forOrganization(organizationId, (tx) => readAppIds(tx, organizationId))
        scopes.push({ organizationId, appIds })
      }
      return scopes
    },
  }
}
