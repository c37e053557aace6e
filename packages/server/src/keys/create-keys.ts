import type { AgentKey, Key } from '@alter-vault/contracts'
import { getAgent, lockLiveAgent } from '../agents/index.ts'
import { lockApp } from '../apps/index.ts'
import type { AuditLog } from '../audit/index.ts'
import { appScope } from '../audit/index.ts'
import type { Secret } from '../crypto/secret.ts'
import type { Database, Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { type AppRef, type ChangeAuthor, changeOnce, type Endings } from '../management/index.ts'
import { getOrganization, organizationSettings } from '../organizations/index.ts'
import { markKey, renameKey } from './change-key.ts'
import { type SeenKey, toAgentKey, toKey } from './key.ts'
import { getKey, listKeys } from './key-store.ts'
import { mintKey, mintKeyOfAgent } from './mint-key.ts'
import { countKeysOf, listKeysOf, showKey } from './read-keys.ts'
import { revokeKey } from './revoke-key.ts'
import { rotateKey } from './rotate-key.ts'

export type KeysDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  keyDigest: (plain: string) => Buffer
  endings: Endings
}

export type Keys = ReturnType<typeof keyUseCases>

const MAX_AGENT_KEYS_SHOWN = 1_000

/** The keys of apps and of their agents. */
export function keyUseCases(deps: KeysDeps) {
  const { db, audit, clock } = deps
  const forAgent = async (_: Tx, key: SeenKey): Promise<AgentKey> => toAgentKey(key, new Date(clock.now()))

  /** Binds a change of a key to the app whose policy says what its limits are. */
  const showAs =
    ({ organizationId }: AppRef) =>
    async (tx: Tx, key: SeenKey): Promise<Key> => {
      const { key_policy: policy } = organizationSettings((await getOrganization(tx, organizationId)).settings)
      return toKey(key, policy, new Date(clock.now()))
    }

  return {
    mintKey: mintKey(deps),
    rotateKey: rotateKey(deps),
    showKey: showKey(deps),
    listKeys: listKeysOf(deps),
    countKeys: countKeysOf(deps),
    renameKey: (input: Parameters<ReturnType<typeof renameKey<Key>>>[0]) => renameKey(deps, showAs(input.app))(input),
    markKey: (input: Parameters<ReturnType<typeof markKey<Key>>>[0]) => markKey(deps, showAs(input.app))(input),
    revokeKey: (input: Parameters<ReturnType<typeof revokeKey<Key>>>[0]) => revokeKey(deps, showAs(input.app))(input),

    /** The agents' own port: a key of a new agent, in the transaction that makes the agent. */
    mintKeyOfAgent: mintKeyOfAgent(deps),
    markAgentKey: markKey(deps, forAgent),
    revokeAgentKey: revokeKey(deps, forAgent),

    /** Refusals: `agent_not_found`, `conflict` for a revoked agent, `agent_key_limit_reached`. */
    mintAgentKey: ({
      app,
      author,
      agentId,
      name,
    }: {
      app: AppRef
      author: ChangeAuthor
      agentId: string
      name: string
    }) =>
      changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
        await lockApp(tx, app.appId)
        await lockLiveAgent(tx, app.appId, agentId)
        const { keyId, plain }: { keyId: string; plain: Secret } = await mintKeyOfAgent(deps)(tx, record, {
          app,
          author,
          agentId,
          name,
        })
        const shown = toAgentKey(await getKey(tx, app.appId, keyId), new Date(clock.now()))
        return { ...shown, api_key: plain.reveal() }
      }),

    /** Refusal: `agent_not_found`. */
    listAgentKeys: ({ appId }: AppRef, agentId: string): Promise<AgentKey[]> =>
      db.forApp(appId, async (tx) => {
        await getAgent(tx, appId, agentId)
        const page = { limit: MAX_AGENT_KEYS_SHOWN, after: undefined, offset: 0, isTruncated: undefined }
        const now = new Date(clock.now())
        return (await listKeys(tx, appId, { agentId }, page, now)).map((row) => toAgentKey(row, now))
      }),
  }
}
