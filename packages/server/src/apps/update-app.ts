import type * as contract from '@alter-vault/contracts'
import { appSettings } from '@alter-vault/contracts'
import { type AuditLog, appScope } from '../audit/index.ts'
import { type AppRef, assertVersion, type ChangeAuthor, changeRow, changesTo } from '../management/index.ts'
import { assertBranding, assertWebUrl, parseSettingsChange, warnAboutSettings } from './app-settings.ts'
import { lockApp, readEpoch, saveApp, toApp } from './app-store.ts'
import { assertMayOpenPrivateHosts, refuseTakenName } from './create-app.ts'

type Deps = { audit: Pick<AuditLog, 'change'> }

export type AppChange = {
  app: AppRef
  author: ChangeAuthor
  /** The version that the author has seen. */
  expectedVersion: number
  change: contract.BodyOf<typeof contract.updateApp>
}

/**
 * Changes what is given; members of `branding` and `settings` are merged. Refusals: `not_found`, `version_conflict`,
 * `app_name_exists`, `role_insufficient`, `validation_failed`.
 */
export const updateApp =
  ({ audit }: Deps) =>
  async ({ app, author, expectedVersion, change }: AppChange): Promise<contract.WrittenApp> => {
    const { branding, settings, ...plain } = change
    if (typeof plain.website_url === 'string') assertWebUrl(plain.website_url, '/website_url')
    assertBranding(branding ?? {})
    const newSettings = settings && parseSettingsChange(settings)
    const warnings = warnAboutSettings(newSettings ?? {})
    return audit.change(appScope(app.appId, app.organizationId), async (tx, record) => {
      const row = await lockApp(tx, app.appId)
      assertVersion(row.version, expectedVersion)
      const before = appSettings(row.settings)
      assertMayOpenPrivateHosts(author, before.allowed_private_hosts, newSettings?.allowed_private_hosts)
      const columns = {
        ...plain,
        ...(branding === undefined ? {} : { branding: { ...(row.branding as contract.AppBranding), ...branding } }),
        ...(newSettings === undefined
          ? {}
          : { settings: { ...(row.settings as Partial<contract.AppSettings>), ...newSettings } }),
      }
      const changes = changesTo(row, columns)
      if (changes.length === 0) return { ...toApp(row, await readEpoch(tx, app.appId)), warnings }
      const saved = await saveApp(tx, app.appId, columns).catch(refuseTakenName)
      record(changeRow(author, { event: 'app.updated', type: 'app', id: app.appId, changes }))
      return { ...toApp(saved, await readEpoch(tx, app.appId)), warnings }
    })
  }
