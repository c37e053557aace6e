import type { AuditLog } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Endings } from '../management/index.ts'
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
  }
}
