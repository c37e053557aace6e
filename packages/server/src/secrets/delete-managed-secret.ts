import { lockApp } from '../apps/index.ts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'
import {
  type AppRef,
  assertVersion,
  type ChangeAuthor,
  changeRow,
  type Endings,
  type OnEnded,
} from '../management/index.ts'
import type { GrantsOfSecrets } from './grants-of-secrets.ts'
import { destroyCredentials, getSecret, markSecretsDeleted, saveSecret } from './managed-secret-store.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock; endings: Endings; grants: GrantsOfSecrets }

export type SecretDeletion = {
  app: AppRef
  author: ChangeAuthor
  managedSecretId: string
  expectedVersion: number
  /** The slug. */
  confirm: string
  force: boolean
}

/**
 * Deletes a secret: its values are destroyed, its grants revoked, its rules removed. Refusals: `managed_secret_not_found`,
 * `version_conflict`, `confirm_mismatch`; `has_dependants` with counts while users, groups or agents hold grants on it and
 * `force` is not set (the app's own grants go without asking).
 */
export const deleteManagedSecret =
  ({ audit, clock, endings, grants }: Deps) =>
  async (input: SecretDeletion): Promise<{ id: string; deleted: true; grants_revoked: number }> => {
    const { app, author, managedSecretId } = input
    return audit.change(appScope(app.appId, app.organizationId), async (tx, record) => {
      await lockApp(tx, app.appId)
      const { secret } = await getSecret(tx, app.appId, managedSecretId, { lock: true })
      assertVersion(secret.version, input.expectedVersion)
      if (input.confirm !== secret.slug) {
        throw new VaultError('confirm_mismatch', { message: '"confirm" must be the exact slug of the secret.' })
      }
      const at = new Date(clock.now())
      const { live, unrevoked } = await grants.countGrants(tx, app.appId, managedSecretId, at)
      const dependants = Object.fromEntries(Object.entries(live).filter(([type, n]) => type !== 'system' && n > 0))
      if (!input.force && Object.keys(dependants).length > 0) {
        throw new VaultError('has_dependants', {
          message: `Live grants use this secret: ${Object.entries(dependants)
            .map(([type, n]) => `${n} of type ${type}`)
            .join(', ')}.`,
          hint: 'Send "force": true to revoke them in the same step.',
          fields: { details: { grants: dependants } },
        })
      }
      const by = { app, author, at }
      await endings.announce(tx, record, { type: 'secret', id: managedSecretId, reason: 'deleted' }, by)
      for (const credentialId of await destroyCredentials(tx, app.appId, managedSecretId)) {
        record(credentialRevoked(author, secret.slug, credentialId))
      }
      await endings.announce(tx, record, { type: 'provider', id: secret.slug, reason: 'secret_deleted' }, by)
      await saveSecret(tx, app.appId, managedSecretId, { status: 'deleted' }, at)
      const slug = { field: 'slug', from: JSON.stringify(secret.slug), to: null }
      record(changeRow(author, { event: 'secret.deleted', type: 'secret', id: managedSecretId, changes: [slug] }))
      return { id: managedSecretId, deleted: true as const, grants_revoked: unrevoked }
    })
  }

const credentialRevoked = (author: ChangeAuthor, slug: string | null, credentialId: string) =>
  changeRow(author, {
    event: 'credential.revoked',
    providerId: slug,
    resourceKind: 'managed_secret',
    type: 'credential',
    id: credentialId,
  })

/** Destroys every value of a deleted app. */
export const endSecretsWith: OnEnded = async (tx, record, ended, { app, author, at }) => {
  if (ended.type !== 'app' || ended.reason !== 'deleted') return
  for (const credentialId of await destroyCredentials(tx, app.appId)) {
    record(credentialRevoked(author, null, credentialId))
  }
  for (const id of await markSecretsDeleted(tx, app.appId, at)) {
    record(changeRow(author, { event: 'secret.deleted', type: 'secret', id }))
  }
}
