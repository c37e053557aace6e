import type { App } from '@alter-vault/contracts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AppRef, type ChangeAuthor, changeOnce, changeRow, type Endings } from '../management/index.ts'
import { lockApp, readEpoch, saveApp, toApp } from './app-store.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; endings: Endings }
type Input = { app: AppRef; author: ChangeAuthor }

/** Stops the app's keys and ends what waits. Reversible; archiving twice changes nothing. Refusal: `not_found`. */
export const archiveApp =
  ({ audit, clock, endings }: Deps) =>
  async ({ app, author }: Input): Promise<App> =>
    changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
      const { appId } = app
      const row = await lockApp(tx, appId)
      if (row.status === 'archived') return toApp(row, await readEpoch(tx, appId))
      const at = new Date(clock.now())
      const saved = await saveApp(tx, appId, { status: 'archived', archived_at: at })
      record(changeRow(author, { event: 'app.archived', type: 'app', id: appId }))
      await endings.announce(tx, record, { type: 'app', id: appId, reason: 'archived' }, { app, author, at })
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
