import { findAgent } from '../agents/index.ts'
import type { AuditLog } from '../audit/index.ts'
import type { Database } from '../db/database.ts'
import { findGrantTargets } from '../grants/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { findKey } from '../keys/index.ts'
import { findSecretIdBySlug } from '../secrets/index.ts'
import { createRuleRoutes } from './routes.ts'
import { createWriteRules, type TargetExists } from './write-rule.ts'

/** Rules of apps and organizations. */
export function createRules(deps: { db: Database; audit: Pick<AuditLog, 'change'>; clock: Clock }) {
  const writeRules = createWriteRules({ ...deps, targetExists })
  return { ...writeRules, routes: createRuleRoutes({ ...deps, writeRules }) }
}

const targetExists: TargetExists = async (tx, appId, { type, id }) => {
  switch (type) {
    case 'organization':
      return true
    case 'app':
      return id === appId
    case 'agent':
      return (await findAgent(tx, appId, id)) !== undefined
    case 'key':
      return (await findKey(tx, appId, id)) !== undefined
    case 'grant':
      return (await findGrantTargets(tx, appId, id)) !== undefined
    case 'provider':
      return (await findSecretIdBySlug(tx, appId, id)) !== undefined
  }
}
