import { type AuditLog, appScope, type RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AppRef, assertVersion, type ChangeAuthor, changeRow } from '../management/index.ts'
import { eraseDataKeys, lockApp, saveApp } from './app-store.ts'
import type { EndWaitingApprovals } from './archive-app.ts'

/** What one slice does with its own rows when their app is deleted, in the deletion's transaction. */
export type AppDeletionStep = (
  tx: Tx,
  ending: { app: AppRef; author: ChangeAuthor; at: Date },
  record: RecordEvent,
) => Promise<void>

type Deps = {
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  endWaitingApprovals: EndWaitingApprovals
  /** In this order: keys, credentials, grants, agents. */
  steps: readonly AppDeletionStep[]
  /** Drops the app's unwrapped data keys from memory. */
  forgetDataKeys: (appId: string) => void
}

export type AppDeletion = { app: AppRef; author: ChangeAuthor; expectedVersion: number; confirm: string }

/**
 * Deletes an app for ever: keys revoked, credentials destroyed and their data keys erased, grants and agents ended. The audit
 * log stays, with the app's name. Refusals: `not_found`, `version_conflict`, `confirm_mismatch`.
 */
export const deleteApp =
  ({ audit, clock, endWaitingApprovals, steps, forgetDataKeys }: Deps) =>
  async ({ app, author, expectedVersion, confirm }: AppDeletion): Promise<{ id: string; deleted: true }> => {
    const { appId, organizationId } = app
    await audit.change(appScope(appId, organizationId), async (tx, record) => {
      const row = await lockApp(tx, appId)
      assertVersion(row.version, expectedVersion)
      if (confirm !== row.name) {
        throw new VaultError('confirm_mismatch', { message: '"confirm" must be the exact name of the app.' })
      }
      const at = new Date(clock.now())
      for (const step of steps) await step(tx, { app, author, at }, record)
      await endWaitingApprovals(tx, appId, { all: true }, 'app_archived', record)
      await eraseDataKeys(tx, appId)
      await saveApp(tx, appId, { status: 'deleted', archived_at: row.archived_at ?? at })
      const name = { field: 'name', from: JSON.stringify(row.name), to: null }
      record(changeRow(author, { event: 'app.deleted', type: 'app', id: appId, changes: [name] }))
    })
    forgetDataKeys(appId)
    return { id: appId, deleted: true }
  }
