import type { AuditLog } from '../audit/index.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { archiveApp, type EndWaitingApprovals, unarchiveApp } from './archive-app.ts'
import { createApp } from './create-app.ts'
import { addMember, createOrganization } from './create-organization.ts'
import { type AppDeletionStep, deleteApp } from './delete-app.ts'
import { mintPersonalAccessToken, revokePersonalAccessToken } from './mint-token.ts'
import { listAppsOf, showApp } from './read-apps.ts'
import { updateApp } from './update-app.ts'

export { appSettings } from './app-settings.ts'
export { type AppRow, findApp, getApp, lockApp, readAppSettings, readEpoch } from './app-store.ts'
export type { EndWaitingApprovals } from './archive-app.ts'
export { createPatAuthenticator } from './authenticate-operator.ts'
export {
  type AppRef,
  authorColumn,
  type ChangeAuthor,
  callerAuthor,
  changeRow,
  changesBetween,
  operatorAuthor,
  secretChange,
  shownAuthor,
  systemAuthor,
} from './change-author.ts'
export type { AppDeletionStep } from './delete-app.ts'
export type { MintedToken, NewToken } from './mint-token.ts'
export { bindForOperators, refuseTokens } from './operator-endpoint.ts'
export { findOrganization, getOrganization, lockOrganization, organizationSettings } from './organization-store.ts'
export { createOrganisationRoutes } from './routes.ts'
export { freeSlug, slugOf } from './slug.ts'
export { assertVersion } from './update-app.ts'

export type OrganisationsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  keyDigest: (plain: string) => Buffer
  endWaitingApprovals: EndWaitingApprovals
  /** What the other slices do with their rows when an app is deleted. */
  appDeletionSteps: readonly AppDeletionStep[]
  forgetDataKeys: (appId: string) => void
}

export type Organisations = ReturnType<typeof createOrganisations>

/** Organisations, their members and tokens, and their apps. */
export function createOrganisations(deps: OrganisationsDeps) {
  return {
    createOrganization: createOrganization(deps),
    addMember: addMember(deps),
    mintPersonalAccessToken: mintPersonalAccessToken(deps),
    revokePersonalAccessToken: revokePersonalAccessToken(deps),
    listApps: listAppsOf(deps),
    showApp: showApp(deps),
    createApp: createApp(deps),
    updateApp: updateApp(deps),
    archiveApp: archiveApp(deps),
    unarchiveApp: unarchiveApp(deps),
    deleteApp: deleteApp({ ...deps, steps: deps.appDeletionSteps }),
  }
}
