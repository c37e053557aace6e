import type { AgentKey, Key } from '@alter-vault/contracts'
import { getAgent, lockLiveAgent } from '../agents/index.ts'
import { lockApp } from '../apps/index.ts'
import type { AuditLog } from '../audit/index.ts'
import { appScope } from '../audit/index.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { type AppRef, changeOnce, type Endings } from '../management/index.ts'
import { markKey, renameKey, type ShowKey } from './change-key.ts'
import { toAgentKey, toKey } from './key.ts'
import { getKey, listKeys } from './key-store.ts'
import { mintKey, mintKeyOfAgent, type NewAgentKey } from './mint-key.ts'
import { countKeysOf, keyPolicyOf, listKeysOf, showKey } from './read-keys.ts'
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
  const asOwn: ShowKey<Key> = async (tx, key, { organizationId }) =>
    toKey(key, await keyPolicyOf(tx, organizationId), new Date(clock.now()))
  const asAgents: ShowKey<AgentKey> = async (_tx, key) => toAgentKey(key, new Date(clock.now()))

  return {
    mintKey: mintKey(deps),
    rotateKey: rotateKey(deps),
    showKey: showKey(deps),
    listKeys: listKeysOf(deps),
    countKeys: countKeysOf(deps),
    renameKey: renameKey(deps, asOwn),
    markKey: markKey(deps, asOwn),
    revokeKey: revokeKey(deps, asOwn),

    /** The agents' own port: a key of a new agent, in the transaction that makes the agent. */
    mintKeyOfAgent: mintKeyOfAgent(deps),
    markAgentKey: markKey(deps, asAgents),
    revokeAgentKey: revokeKey(deps, asAgents),

    /** Refusals: `agent_not_found`, `conflict` for a revoked agent, `agent_key_limit_reached`. */
    mintAgentKey: (input: NewAgentKey) => {
      const { app, author, agentId } = input
      return changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
        await lockApp(tx, app.appId)
        await lockLiveAgent(tx, app.appId, agentId)
        const { keyId, plain } = await mintKeyOfAgent(deps)(tx, record, input)
        const shown = toAgentKey(await getKey(tx, app.appId, keyId), new Date(clock.now()))
        return { ...shown, api_key: plain.reveal() }
      })
    },

    /** Refusal: `agent_not_found`. */
    listAgentKeys: ({ appId }: AppRef, agentId: string): Promise<AgentKey[]> =>
      db.forApp(appId, async (tx) => {
        await getAgent(tx, appId, agentId)
        const page = { limit: MAX_AGENT_KEYS_SHOWN, after: undefined, offset: 0, isTruncated: undefined }
        const now = new Date(clock.now())
        return (await listKeys(tx, appId, { agent_id: agentId }, page, now)).map((row) => toAgentKey(row, now))
      }),
  }
}
