import { lockApp } from '../apps/index.ts'
import { type AuditLog, appScope, type RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import {
  type AppRef,
  type ChangeAuthor,
  changeOnce,
  changeRow,
  type EndedBy,
  type Endings,
  type OnEnded,
} from '../management/index.ts'
import type { ShowKey } from './change-key.ts'
import { isLive } from './key.ts'
import {
  countAgentKeys,
  deleteKeyRoutes,
  findUnrevokedKeyIds,
  getKey,
  keyNotFound,
  revokeWithDescendants,
} from './key-store.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; endings: Endings }

export type KeyRevocation = {
  app: AppRef
  author: ChangeAuthor
  keyId: string
  /** Revoke the last live key of an agent too. */
  force: boolean
  /** Only a key of this agent. */
  agentId?: string
}

/**
 * Revokes a key and everything derived from it, at once and for ever, with the requests that they hold waiting. Revoking twice changes nothing. Refusals:
 * `key_not_found`, `last_active_key` for the last live key of an agent without `force`.
 */
export const revokeKey =
  <T>({ audit, clock, endings }: Deps, show: ShowKey<T>) =>
  async ({ app, author, keyId, force, agentId }: KeyRevocation): Promise<T> =>
    changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
      // Held before the key, so that two revocations cannot each believe that the other's key is left.
      await lockApp(tx, app.appId)
      const key = await getKey(tx, app.appId, keyId, { lock: true })
      if (agentId !== undefined && key.agent_id !== agentId) throw keyNotFound()
      const now = new Date(clock.now())
      if (key.revoked_at === null) {
        if (!force && key.key_type === 'ak' && key.agent_id !== null && isLive(key, now)) {
          const live = await countAgentKeys(tx, app.appId, key.agent_id, now)
          if (live <= (key.rotated_to === null ? 1 : 0)) {
            throw new VaultError('last_active_key', {
              message: 'This is the last live key of its agent, which could then make no call.',
              hint: 'Mint another key first, or send "force": true.',
            })
          }
        }
        const by = { app, author, at: now }
        await revokeTree(tx, record, by, keyId, (id) =>
          endings.announce(tx, record, { type: 'key', id, reason: 'revoked' }, by),
        )
      }
      return show(tx, await getKey(tx, app.appId, keyId), app)
    })

async function revokeTree(
  tx: Tx,
  record: RecordEvent,
  { app, author, at }: EndedBy,
  keyId: string,
  announce: (id: string) => ReturnType<Endings['announce']>,
): Promise<void> {
  for (const id of await revokeWithDescendants(tx, app.appId, keyId, at)) {
    const { inFlight } = await announce(id)
    const changes = inFlight.length === 0 ? [] : [{ field: 'in_flight', from: null, to: JSON.stringify(inFlight) }]
    record(changeRow(author, { event: 'key.revoked', type: 'key', id, changes }))
  }
}

/** Revokes every key of an agent or app that ends, which ends their requests itself; a deleted app's routes to its keys are forgotten. */
export const endKeysWith: OnEnded = async (tx, record, ended, by) => {
  const { appId } = by.app
  const agentId = ended.type === 'agent' ? ended.id : undefined
  const isDeletedApp = ended.type === 'app' && ended.reason === 'deleted'
  if (agentId === undefined && !isDeletedApp) return
  for (const keyId of await findUnrevokedKeyIds(tx, appId, agentId)) {
    await revokeTree(tx, record, by, keyId, async () => ({ inFlight: [] }))
  }
  if (isDeletedApp) await deleteKeyRoutes(tx, appId)
}
