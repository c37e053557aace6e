import type * as contract from '@alter-vault/contracts'
import { readAppSettings } from '../apps/index.ts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { type AppRef, assertVersion, type ChangeAuthor, changeRow, changesTo } from '../management/index.ts'
import { type CredentialRow, getSecret, saveSecret, storedInjection, toManagedSecret } from './managed-secret-store.ts'
import { parseAllowedHosts, parseSecretInjection } from './secret-rules.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock }

export type SecretChange = {
  app: AppRef
  author: ChangeAuthor
  managedSecretId: string
  expectedVersion: number
  /** An injection is replaced as a whole. */
  change: contract.BodyOf<typeof contract.updateManagedSecret> &
    Partial<contract.BodyOf<typeof contract.setAllowedHosts>>
}

/**
 * Changes what is given; slug and type stay, and an injection may read only what every stored value has. Refusals:
 * `managed_secret_not_found`, `version_conflict`, `allowed_hosts_required`, `validation_failed`.
 */
export const updateManagedSecret =
  ({ audit, clock }: Deps) =>
  async ({ app, author, managedSecretId, expectedVersion, change }: SecretChange): Promise<contract.ManagedSecret> =>
    audit.change(appScope(app.appId, app.organizationId), async (tx, record) => {
      const { secret, credentials } = await getSecret(tx, app.appId, managedSecretId, { lock: true })
      assertVersion(secret.version, expectedVersion)
      const { allowed_private_hosts: privateHosts } = await readAppSettings(tx, app.appId)
      const { injection, allowed_hosts: hosts, ...plain } = change
      const columns = {
        ...plain,
        ...(injection === undefined
          ? {}
          : { injection: parseSecretInjection(secret.credential_type, injection, fieldsOfEvery(credentials)) }),
        ...(hosts === undefined ? {} : { allowed_hosts: parseAllowedHosts(hosts, privateHosts) }),
      }
      const changes = changesTo({ ...secret, injection: storedInjection(secret.injection) }, columns)
      if (changes.length > 0) {
        await saveSecret(tx, app.appId, managedSecretId, columns, new Date(clock.now()))
        record(changeRow(author, { event: 'secret.updated', type: 'secret', id: managedSecretId, changes }))
      }
      return toManagedSecret(await getSecret(tx, app.appId, managedSecretId))
    })

const fieldsOfEvery = (credentials: readonly CredentialRow[]): ReadonlySet<string> =>
  new Set(
    credentials[0]?.field_names.filter((field) => credentials.every((other) => other.field_names.includes(field))),
  )
