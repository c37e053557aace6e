import { TOKEN_SCOPE_PREFIX, tokenScopes } from '@alter-vault/contracts'
import { createAuditLog } from './audit/index.ts'
import type { Config } from './config.ts'
import { openPepper } from './crypto/pepper.ts'
import type { Secret } from './crypto/secret.ts'
import type { Clock } from './kernel/clock.ts'
import type { Log } from './kernel/log.ts'
import { openDatabase } from './open-database.ts'
import { createOrganisations, systemAuthor } from './organisations/index.ts'

export type FoundedOrganization = { organizationId: string; ownerId: string; token: Secret; tokenExpiresAt: Date }

/**
 * Makes an organisation with its owner and a token of theirs, which is shown once: the first thing of a new installation. Works on the
 * database of the configuration; the embedded one must not be in use by a running server. Refusal: `conflict` for a name that is taken.
 */
export async function foundOrganization(
  config: Config,
  input: { name: string; ownerEmail: string },
  { log, clock, version }: { log: Log; clock: Clock; version: string },
): Promise<FoundedOrganization> {
  const { keyDigest } = await openPepper({ path: config.keys.pepperFile })
  const database = await openDatabase(config.database, { log, version })
  const { db } = database
  const audit = createAuditLog({ db, clock, log })
  try {
    const organisations = createOrganisations({
      db,
      audit,
      clock,
      keyDigest,
      endWaitingApprovals: async () => undefined,
      appDeletionSteps: [],
      forgetDataKeys: () => undefined,
    })
    const { organization, ownerId } = await organisations.createOrganization({
      author: systemAuthor,
      name: input.name,
      owner: { email: input.ownerEmail },
    })
    const { token, expiresAt } = await organisations.mintPersonalAccessToken({
      author: systemAuthor,
      organizationId: organization.id,
      memberId: ownerId,
      name: 'First token',
      scopes: tokenScopes.map((scope) => `${TOKEN_SCOPE_PREFIX}${scope}`),
    })
    return { organizationId: organization.id, ownerId, token, tokenExpiresAt: expiresAt }
  } finally {
    await audit.close()
    await database.close()
  }
}
