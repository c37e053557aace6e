import type { Database } from '../db/database.ts'
import { type Principal, principalSubject } from '../grants/index.ts'
import { createFactCache } from '../kernel/fact-cache.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import {
  type AgentFacts,
  findKeyRoute,
  type KeyFacts,
  loadAgentForCall,
  loadKeyForAuthentication,
} from '../keys/index.ts'
import type { AppPolicy } from './app-policy.ts'
import { loadAppPolicy } from './app-policy-store.ts'
import type { Candidates, GrantFacts } from './grant-facts.ts'
import { loadCandidates, loadGrantFacts } from './grant-facts-store.ts'
import { grantSources } from './grant-source.ts'

export type UseFacts = ReturnType<typeof createUseFacts>

const MAX_KEYS = 20_000
const MAX_AGENTS = 20_000
const MAX_GRANTS = 50_000
const MAX_CANDIDATES = 20_000
const MAX_APPS = 2_000

/**
 * The facts that uses rest on, in this process's memory. Each was read in one snapshot with its versions, which the intent carries: a
 * fact that has moved since is refused there, forgotten here and read again. Nothing needs to be told of a change.
 */
export function createUseFacts(db: Pick<Database, 'unscoped' | 'readForApp'>, sources = grantSources) {
  const routes = createFactCache<{ appId: string; keyId: string }>(MAX_KEYS)
  const keys = createFactCache<KeyFacts>(MAX_KEYS)
  const agents = createFactCache<AgentFacts>(MAX_AGENTS)
  const grants = createFactCache<GrantFacts>(MAX_GRANTS)
  const candidates = createFactCache<Candidates>(MAX_CANDIDATES)
  const policies = createFactCache<AppPolicy>(MAX_APPS)

  const subjectsOf = (appId: string, versions: readonly ReadVersion[]) =>
    versions.map(({ subject }) => `${appId} ${subject}`)

  const findKeyById = (appId: string, keyId: string): Promise<KeyFacts | undefined> =>
    keys.get(`${appId} ${keyId}`, async () => {
      const key = await db.readForApp(appId, (tx) => loadKeyForAuthentication(tx, appId, keyId))
      return key && { value: key, subjects: subjectsOf(appId, key.versions) }
    })

  return {
    /** The key of a digest. A route never changes, so only the key itself rests on versions. */
    async findKey(digest: Buffer): Promise<KeyFacts | undefined> {
      const name = digest.toString('latin1')
      const route = await routes.get(name, async () => {
        const stored = await db.unscoped((tx) => findKeyRoute(tx, digest))
        return stored && { value: stored, subjects: [] }
      })
      return route && findKeyById(route.appId, route.keyId)
    },

    findKeyById,

    findAgent: (appId: string, agentId: string): Promise<AgentFacts | undefined> =>
      agents.get(`${appId} ${agentId}`, async () => {
        const agent = await db.readForApp(appId, (tx) => loadAgentForCall(tx, appId, agentId))
        return agent && { value: agent, subjects: subjectsOf(appId, [agent.version]) }
      }),

    findGrant: (appId: string, grantId: string): Promise<GrantFacts | undefined> =>
      grants.get(`${appId} ${grantId}`, async () => {
        const grant = await db.readForApp(appId, (tx) => loadGrantFacts(tx, appId, grantId, sources))
        return grant && { value: grant, subjects: subjectsOf(appId, grant.versions) }
      }),

    async findCandidates(appId: string, principal: Principal, providerId: string): Promise<Candidates> {
      const name = `${appId} ${principalSubject(principal)} ${providerId}`
      const cached = await candidates.get(name, async () => {
        const value = await db.readForApp(appId, (tx) => loadCandidates(tx, appId, principal, providerId, sources))
        const versions = [value.version, ...value.grants.flatMap((grant) => grant.versions)]
        return { value, subjects: subjectsOf(appId, versions) }
      })
      return cached!
    },

    async appPolicy(appId: string): Promise<AppPolicy> {
      const policy = await policies.get(appId, async () => {
        const value = await db.readForApp(appId, (tx) => loadAppPolicy(tx, appId))
        return { value, subjects: subjectsOf(appId, [value.epoch]) }
      })
      return policy!
    },

    /** Drops what was read with these versions of an app. */
    forget(appId: string, subjects: readonly string[]): void {
      const named = subjects.map((subject) => `${appId} ${subject}`)
      for (const cache of [keys, agents, grants, candidates, policies]) cache.forget(named)
    },
  }
}
