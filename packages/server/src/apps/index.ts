import { type AppsDeps, appUseCases } from './create-apps.ts'
import { createAppRoutes } from './routes.ts'

export { type AppRow, appNotFound, findApp, getApp, lockApp, readAppSettings, readEpoch } from './app-store.ts'
export type { Apps, AppsDeps } from './create-apps.ts'

/** The apps of organizations. */
export function createApps(deps: AppsDeps) {
  const apps = appUseCases(deps)
  return { ...apps, routes: createAppRoutes({ apps }) }
}
