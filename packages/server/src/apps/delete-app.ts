import { type AuditLog, appScope } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AppRef, assertVersion, type ChangeAuthor, changeRow, type Endings } from '../management/index.ts'
import { eraseDataKeys, lockApp, saveApp } from './app-store.ts'

type Deps = {
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  endings: Endings
  /** Holds the app's unwrapped data keys in memory. */
  keyring: Pick<Keyring, 'forget'>
}

export type AppDeletion = { app: AppRef; author: ChangeAuthor; expectedVersion: number; confirm: string }

/**
 * Deletes an app for ever: keys revoked, credentials destroyed and their data keys erased, grants and agents ended. The audit
 * log stays, with the app's name. Refusals: `not_found`, `version_conflict`, `confirm_mismatch`.
 */
export const deleteApp =
  ({ audit, clock, endings, keyring }: Deps) =>
  async ({ app, author, expectedVersion, confirm }: AppDeletion): Promise<{ id: string; deleted: true }> => {
    const { appId, organizationId } = app
    await audit.change(appScope(appId, organizationId), async (tx, record) => {
      const row = await lockApp(tx, appId)
      assertVersion(row.version, expectedVersion)
      if (confirm !== row.name) {
        throw new VaultError('confirm_mismatch', { message: '"confirm" must be the exact name of the app.' })
      }
      const at = new Date(clock.now())
      await endings.announce(tx, record, { type: 'app', id: appId, reason: 'deleted' }, { app, author, at })
      await eraseDataKeys(tx, appId)
      await saveApp(tx, appId, { status: 'deleted', archived_at: row.archived_at ?? at })
      const name = { field: 'name', from: JSON.stringify(row.name), to: null }
      record(changeRow(author, { event: 'app.deleted', type: 'app', id: appId, changes: [name] }))
    })
    keyring.forget(appId)
    return { id: appId, deleted: true }
  }
