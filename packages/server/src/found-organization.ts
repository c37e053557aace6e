import { TOKEN_SCOPE_PREFIX, tokenScopes } from '@alter-vault/contracts'
import { type AuditLog, createAudit, PACE } from './audit/index.ts'
import type { Config } from './config.ts'
import type { Secret } from './crypto/secret.ts'
import type { Clock } from './kernel/clock.ts'
import type { Log } from './kernel/log.ts'
import { systemAuthor } from './management/index.ts'
import { createMembers } from './members/index.ts'
import { openInstallation } from './open-installation.ts'
import { createTokens } from './tokens/index.ts'

export type NewOrganization = { name: string; ownerEmail: string; tokenExpiresInDays?: number }
export type FoundedOrganization = { organizationId: string; ownerId: string; token: Secret; tokenExpiresAt: Date }

/**
 * Makes an organization with its owner and a token of theirs, which is shown once: the first thing of a new installation. Refusal:
 * `conflict` for a name that is taken.
 */
export const foundOrganization =
  (deps: { audit: Pick<AuditLog, 'change'>; clock: Clock; keyDigest: (plain: string) => Buffer }) =>
  async ({ name, ownerEmail, tokenExpiresInDays }: NewOrganization): Promise<FoundedOrganization> => {
    const { organization, ownerId } = await createMembers(deps).createOrganization({
      author: systemAuthor,
      name,
      owner: { email: ownerEmail },
    })
    const { token, expiresAt } = await createTokens(deps).mintPersonalAccessToken({
      author: systemAuthor,
      organizationId: organization.id,
      memberId: ownerId,
      name: 'First token',
      scopes: tokenScopes.map((scope) => `${TOKEN_SCOPE_PREFIX}${scope}`),
      ...(tokenExpiresInDays === undefined ? {} : { expiresInDays: tokenExpiresInDays }),
    })
    return { organizationId: organization.id, ownerId, token, tokenExpiresAt: expiresAt }
  }

/** As `foundOrganization`, without a server. The embedded database of the configuration must not be in use by a running one. */
export async function foundOrganizationOffline(
  config: Config,
  input: NewOrganization,
  process: { log: Log; clock: Clock; version: string },
): Promise<FoundedOrganization> {
  await using open = new AsyncDisposableStack()
  const installation = open.use(await openInstallation(config, process))
  const audit = createAudit({ ...installation, ...process, pace: PACE })
  open.defer(audit.close)
  await audit.start()
  return await foundOrganization({ ...installation, ...process, audit })(input)
}
