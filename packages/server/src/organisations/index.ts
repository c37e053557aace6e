export { appSettings } from './app-settings.ts'
export { type AppRow, getApp, lockApp, readAppSettings, readEpoch } from './app-store.ts'
export type { EndWaitingApprovals } from './archive-app.ts'
export { createPatAuthenticator } from './authenticate-operator.ts'
export {
  type AppRef,
  authorColumn,
  type ChangeAuthor,
  callerAuthor,
  changeRow,
  changesBetween,
  secretChange,
  shownAuthor,
  systemAuthor,
} from './change-author.ts'
export { createOrganisations, type Organisations, type OrganisationsDeps } from './create-organisations.ts'
export type { AppDeletionStep } from './delete-app.ts'
export type { MintedToken, NewToken } from './mint-token.ts'
export { bindForOperators, refuseTokens } from './operator-endpoint.ts'
export { getOrganization, lockOrganization, organizationSettings } from './organization-store.ts'
export { createOrganisationRoutes } from './routes.ts'
export { freeSlug, slugOf } from './slug.ts'
export { assertVersion } from './update-app.ts'
