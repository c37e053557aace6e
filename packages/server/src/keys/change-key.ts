import type * as contract from '@alter-vault/contracts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { type AppRef, type ChangeAuthor, changeOnce, changeRow, changesTo } from '../management/index.ts'
import type { SeenKey } from './key.ts'
import { getKey, keyNotFound, saveKey } from './key-store.ts'
import { parseMetadata } from './mint-key.ts'
import { revokedKey } from './rotate-key.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock }
/** How the answer shows a key that was changed. */
export type ShowKey<T> = (tx: Tx, key: SeenKey, app: AppRef) => Promise<T>

export type KeyRename = {
  app: AppRef
  author: ChangeAuthor
  keyId: string
  change: contract.BodyOf<typeof contract.updateKey>
}

/** Renames a key or replaces its metadata; its rights never change. Refusals: `key_not_found`, `validation_failed`. */
export const renameKey =
  <T>({ audit }: Pick<Deps, 'audit'>, show: ShowKey<T>) =>
  async ({ app, author, keyId, change }: KeyRename): Promise<T> => {
    if (change.metadata !== undefined) parseMetadata(change.metadata)
    return audit.change(appScope(app.appId, app.organizationId), async (tx, record) => {
      const key = await getKey(tx, app.appId, keyId, { lock: true })
      const changes = changesTo(key, change)
      if (changes.length > 0) {
        await saveKey(tx, app.appId, keyId, change)
        record(changeRow(author, { event: 'key.updated', type: 'key', id: keyId, changes }))
      }
      return show(tx, await getKey(tx, app.appId, keyId), app)
    })
  }

export type KeyMark = { app: AppRef; author: ChangeAuthor; keyId: string; deprecated: boolean; agentId?: string }

/** Marks a key as deprecated or takes the mark off; both are idempotent. Refusals: `key_not_found`, `key_revoked` (409). */
export const markKey =
  <T>({ audit, clock }: Deps, show: ShowKey<T>) =>
  async ({ app, author, keyId, deprecated, agentId }: KeyMark): Promise<T> =>
    changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
      const key = await getKey(tx, app.appId, keyId, { lock: true })
      if (agentId !== undefined && key.agent_id !== agentId) throw keyNotFound()
      if (key.revoked_at !== null) throw revokedKey()
      if ((key.deprecated_at !== null) !== deprecated) {
        await saveKey(tx, app.appId, keyId, { deprecated_at: deprecated ? new Date(clock.now()) : null })
        const event = deprecated ? 'key.deprecated' : 'key.undeprecated'
        record(changeRow(author, { event, type: 'key', id: keyId }))
      }
      return show(tx, await getKey(tx, app.appId, keyId), app)
    })
