import type { App } from '@alter-vault/contracts'
import { type AuditLog, appScope, type RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AppRef, type ChangeAuthor, changeOnce, changeRow } from '../management/index.ts'
import { lockApp, readEpoch, saveApp, toApp } from './app-store.ts'

/**
 * Ends what waits for a decision, because that for which it waits has ended. Part of the change's own transaction; what it
 * did is recorded through `record`.
 */
export type EndWaitingApprovals = (
  tx: Tx,
  appId: string,
  of: { grantId: string } | { agentId: string } | { all: true },
  reason: 'grant_revoked' | 'agent_revoked' | 'app_archived',
  record: RecordEvent,
) => Promise<unknown>

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; endWaitingApprovals: EndWaitingApprovals }
type Input = { app: AppRef; author: ChangeAuthor }

/** Stops the app's keys and ends what waits. Reversible; archiving twice changes nothing. Refusal: `not_found`. */
export const archiveApp =
  ({ audit, clock, endWaitingApprovals }: Deps) =>
  async ({ app: { appId, organizationId }, author }: Input): Promise<App> =>
    changeOnce(audit, author, appScope(appId, organizationId), async (tx, record) => {
      const row = await lockApp(tx, appId)
      if (row.status === 'archived') return toApp(row, await readEpoch(tx, appId))
      const saved = await saveApp(tx, appId, { status: 'archived', archived_at: new Date(clock.now()) })
      record(changeRow(author, { event: 'app.archived', type: 'app', id: appId }))
      await endWaitingApprovals(tx, appId, { all: true }, 'app_archived', record)
      return toApp(saved, await readEpoch(tx, appId))
    })

/** Lets the app's keys work again. Refusals: `not_found`, `app_not_archived`. */
export const unarchiveApp =
  ({ audit }: Pick<Deps, 'audit'>) =>
  async ({ app: { appId, organizationId }, author }: Input): Promise<App> =>
    changeOnce(audit, author, appScope(appId, organizationId), async (tx, record) => {
      const row = await lockApp(tx, appId)
      if (row.status !== 'archived') throw new VaultError('app_not_archived', { message: 'This app is not archived.' })
      const saved = await saveApp(tx, appId, { status: 'live', archived_at: null })
      record(changeRow(author, { event: 'app.unarchived', type: 'app', id: appId }))
      return toApp(saved, await readEpoch(tx, appId))
    })
