import type * as contract from '@alter-vault/contracts'
import { appSettings } from '@alter-vault/contracts'
import { lockApp, readAppSettings } from '../apps/index.ts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import { parseCredentialValue } from '../egress/credential-kinds.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import {
  type AppRef,
  authorColumn,
  type ChangeAuthor,
  changeOnce,
  changeRow,
  changesBetween,
  freeSlug,
  secretChange,
  slugOf,
} from '../management/index.ts'
import type { GrantsOfSecrets } from './grants-of-secrets.ts'
import { findSecretSlugs, getSecret, insertCredential, insertSecret, toManagedSecret } from './managed-secret-store.ts'
import { sealCredential } from './seal-credential.ts'
import { fieldNamesOf, parseAllowedHosts, parseSecretInjection } from './secret-rules.ts'

type Deps = {
  db: Pick<Database, 'forApp'>
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  keyring: Pick<Keyring, 'sealFor'>
  grants: Pick<GrantsOfSecrets, 'createBaseGrant'>
}

/** `value` is the plaintext as it came; it is sealed and goes nowhere else. */
export type NewManagedSecret = { app: AppRef; author: ChangeAuthor } & contract.BodyOf<
  typeof contract.createManagedSecret
>

/**
 * Stores a credential under a slug. Refusals: `not_found` for the app, `allowed_hosts_required`, `validation_failed` for the
 * value, the injection or the hosts.
 */
export const createManagedSecret =
  ({ db, audit, clock, keyring, grants }: Deps) =>
  async (input: NewManagedSecret): Promise<contract.ManagedSecret & { base_grant_id: string | null }> => {
    const { app, author, name, credential_type: type } = input
    const { appId, organizationId } = app
    const value = parseCredentialValue(type, input.value)
    const injection = parseSecretInjection(type, input.injection ?? {}, fieldNamesOf(value))
    const settings = await db.forApp(appId, (tx) => readAppSettings(tx, appId))
    const hosts = parseAllowedHosts(input.allowed_hosts, settings.allowed_private_hosts)
    const credentialId = newId(clock.now())
    const { sealed, hint } = await sealCredential(keyring, appId, credentialId, value)
    return changeOnce(audit, author, appScope(appId, organizationId), async (tx, record) => {
      const row = await lockApp(tx, appId)
      const managedSecretId = newId(clock.now())
      const slug = slugOf(name, 'secret')
      const at = new Date(clock.now())
      const shown = {
        slug: freeSlug(slug, await findSecretSlugs(tx, appId, slug)),
        name,
        credential_type: type,
        allowed_hosts: hosts,
        proxy_only: input.proxy_only ?? appSettings(row.settings).secrets_proxy_only,
      }
      await insertSecret(tx, {
        ...shown,
        app_id: appId,
        managed_secret_id: managedSecretId,
        injection: JSON.stringify(injection),
        created_by: authorColumn(author),
        created_at: at,
        updated_at: at,
      })
      await insertCredential(tx, {
        app_id: appId,
        credential_id: credentialId,
        source_kind: 'managed_secret',
        source_id: managedSecretId,
        label: input.credential_label ?? 'default',
        sealed,
        hint,
        field_names: [...fieldNamesOf(value)],
        created_at: at,
      })
      const changes = [...changesBetween({}, { ...shown, injection }), secretChange('value')]
      record(changeRow(author, { event: 'secret.created', type: 'secret', id: managedSecretId, changes }))
      const grantId = input.no_base_grant
        ? null
        : await grants.createBaseGrant(tx, record, { app, author, managedSecretId, slug: shown.slug, credentialId, at })
      return { ...toManagedSecret(await getSecret(tx, appId, managedSecretId)), base_grant_id: grantId }
    })
  }
