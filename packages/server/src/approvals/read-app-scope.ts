import { appScope, type Scope } from '../audit/index.ts'
import type { Database } from '../db/database.ts'
import { readApp } from './approval-store.ts'

/** The audit scope of an app. The organization of an app never changes, so each is read once. */
export type ReadAppScope = (appId: string) => Promise<Scope>

export function createReadAppScope(db: Pick<Database, 'readForApp'>, maxApps = 10_000): ReadAppScope {
  const known = new Map<string, Scope>()
  return async (appId) => {
    let scope = known.get(appId)
    if (scope === undefined) {
      const { organizationId } = await db.readForApp(appId, (tx) => readApp(tx, appId))
      scope = appScope(appId, organizationId)
      if (known.size >= maxApps) known.delete(known.keys().next().value!)
      known.set(appId, scope)
    }
    return scope
  }
}
