import type { AuditLog } from '../audit/index.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { readOrganizationIds } from '../organizations/index.ts'
import { readAppIds } from './app-store.ts'
import { archiveApp, type EndWaitingApprovals, unarchiveApp } from './archive-app.ts'
import { createApp } from './create-app.ts'
import { type AppDeletionStep, deleteApp } from './delete-app.ts'
import { listAppsOf, showApp } from './read-apps.ts'
import { updateApp } from './update-app.ts'

export type AppsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  endWaitingApprovals: EndWaitingApprovals
  /** What the other slices do with their rows when an app is deleted. */
  appDeletionSteps: readonly AppDeletionStep[]
  forgetDataKeys: (appId: string) => void
}

export type Apps = ReturnType<typeof createApps>

/** The apps of organizations. */
export function createApps(deps: AppsDeps) {
  return {
    listApps: listAppsOf(deps),
    showApp: showApp(deps),
    createApp: createApp(deps),
    updateApp: updateApp(deps),
    archiveApp: archiveApp(deps),
    unarchiveApp: unarchiveApp(deps),
    deleteApp: deleteApp({ ...deps, steps: deps.appDeletionSteps }),
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
