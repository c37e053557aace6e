import type * as contract from '@alter-vault/contracts'
import { type AuditLog, appScope } from '../audit/index.ts'
import { violatedConstraint } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type ChangeAuthor, changeOnce, changeRow, changesBetween, freeSlug, slugOf } from '../management/index.ts'
import { lockOrganization } from '../organizations/index.ts'
import { assertBranding, assertWebUrl, parseSettingsChange, warnAboutSettings } from './app-settings.ts'
import { countApps, findAppSlugs, getApp, insertApp, readEpoch, toApp } from './app-store.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock }

export const MAX_APPS_PER_ORGANIZATION = 200

export type NewApp = {
  author: ChangeAuthor
  organizationId: string
  /** The apps that the author is limited to; such an author makes none. */
  authorAppIds: readonly string[] | null
} & contract.BodyOf<typeof contract.createApp>

/**
 * Makes an app. Refusals: `app_name_exists`, `conflict` at 200 apps, `role_insufficient` for private hosts by anyone but an
 * owner and for members who are limited to named apps, `validation_failed`.
 */
export const createApp =
  ({ audit, clock }: Deps) =>
  async (input: NewApp): Promise<contract.WrittenApp> => {
    if (input.authorAppIds !== null) {
      throw new VaultError('role_insufficient', {
        message: 'Your role is limited to named apps, so you cannot create one.',
      })
    }
    const settings = parseSettingsChange(input.settings ?? {})
    assertMayOpenPrivateHosts(input.author, [], settings.allowed_private_hosts)
    if (typeof input.website_url === 'string') assertWebUrl(input.website_url, '/website_url')
    assertBranding(input.branding ?? {})
    const appId = newId(clock.now())
    const { organizationId, author } = input
    return changeOnce(audit, author, appScope(appId, organizationId), async (tx, record) => {
      await lockOrganization(tx, organizationId)
      if ((await countApps(tx, organizationId)) >= MAX_APPS_PER_ORGANIZATION) {
        throw new VaultError('conflict', { message: `An organization has at most ${MAX_APPS_PER_ORGANIZATION} apps.` })
      }
      const slug = slugOf(input.name, 'app')
      const row = {
        app_id: appId,
        organization_id: organizationId,
        name: input.name,
        slug: freeSlug(slug, await findAppSlugs(tx, organizationId, slug)),
        description: input.description ?? null,
        environment: input.environment ?? 'production',
        website_url: input.website_url ?? null,
        branding: input.branding ?? {},
        settings,
        created_at: new Date(clock.now()),
      }
      const json = { branding: JSON.stringify(row.branding), settings: JSON.stringify(settings) }
      await insertApp(tx, { ...row, ...json }).catch(refuseTakenName)
      const { created_at: _, app_id: __, organization_id: ___, ...shown } = row
      record(changeRow(author, { event: 'app.created', type: 'app', id: appId, changes: changesBetween({}, shown) }))
      const app = toApp(await getApp(tx, appId), await readEpoch(tx, appId))
      return { ...app, warnings: warnAboutSettings(settings) }
    })
  }

/** Translates the unique index of live names. */
export function refuseTakenName(error: unknown): never {
  if (violatedConstraint(error) !== 'apps_live_name') throw error
  throw new VaultError('app_name_exists', { message: 'Another app of the organization has this name.' })
}

/** Private destinations are opened and closed by owners only. */
export function assertMayOpenPrivateHosts(
  author: ChangeAuthor,
  before: readonly string[],
  after: readonly string[] | undefined,
): void {
  if (after === undefined || author.kind === 'system') return
  if (author.kind === 'member' && author.role === 'owner') return
  if (JSON.stringify([...before].sort()) === JSON.stringify([...after].sort())) return
  throw new VaultError('role_insufficient', { message: '"settings.allowed_private_hosts" is changed by owners only.' })
}
