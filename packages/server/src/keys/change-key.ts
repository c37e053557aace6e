import { type AuditLog, appScope } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { type AppRef, type ChangeAuthor, changeOnce, changeRow, changesBetween } from '../management/index.ts'
import type { SeenKey } from './key.ts'
import { getKey, keyNotFound, lockKey, saveKey } from './key-store.ts'
import { parseMetadata } from './mint-key.ts'
import { revokedKey } from './rotate-key.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock }
type Show<T> = (tx: Tx, key: SeenKey) => Promise<T>

export type KeyRename = {
  app: AppRef
  author: ChangeAuthor
  keyId: string
  change: { name?: string; metadata?: Record<string, unknown> }
}

/** Renames a key or replaces its metadata; its rights never change. Refusals: `key_not_found`, `validation_failed`. */
export const renameKey =
  <T>({ audit }: Pick<Deps, 'audit'>, show: Show<T>) =>
  async ({ app, author, keyId, change }: KeyRename): Promise<T> => {
    if (change.metadata !== undefined) parseMetadata(change.metadata)
    return audit.change(appScope(app.appId, app.organizationId), async (tx, record) => {
      const key = await lockKey(tx, app.appId, keyId)
      const before = { name: key.name, metadata: key.metadata }
      const changes = changesBetween(before, { ...before, ...change })
      if (changes.length > 0) {
        const { metadata, name } = change
        await saveKey(tx, app.appId, keyId, {
          ...(name === undefined ? {} : { name }),
          ...(metadata === undefined ? {} : { metadata: JSON.stringify(metadata) }),
        })
        record(changeRow(author, { event: 'key.updated', type: 'key', id: keyId, changes }))
      }
      return show(tx, await getKey(tx, app.appId, keyId))
    })
  }

export type KeyMark = { app: AppRef; author: ChangeAuthor; keyId: string; deprecated: boolean; agentId?: string }

/** Marks a key as deprecated or takes the mark off; both are idempotent. Refusals: `key_not_found`, `key_revoked` (409). */
export const markKey =
  <T>({ audit, clock }: Deps, show: Show<T>) =>
  async ({ app, author, keyId, deprecated, agentId }: KeyMark): Promise<T> =>
    changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
      const key = await lockKey(tx, app.appId, keyId)
      if (agentId !== undefined && key.agent_id !== agentId) throw keyNotFound()
      if (key.revoked_at !== null) throw revokedKey()
      if ((key.deprecated_at !== null) !== deprecated) {
        await saveKey(tx, app.appId, keyId, { deprecated_at: deprecated ? new Date(clock.now()) : null })
        const event = deprecated ? 'key.deprecated' : 'key.undeprecated'
        record(changeRow(author, { event, type: 'key', id: keyId }))
      }
      return show(tx, await getKey(tx, app.appId, keyId))
    })
