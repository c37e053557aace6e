import type { ManagedSecret } from '@alter-vault/contracts'
import { type AuditLog, appScope } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import { parseCredentialValue } from '../egress/credential-kinds.ts'
import type { Clock } from '../kernel/clock.ts'
import { type AppRef, type ChangeAuthor, changeOnce, changeRow, secretChange } from '../management/index.ts'
import { chooseCredential } from './choose-credential.ts'
import {
  getSecret,
  type HeldSecret,
  replaceSealed,
  saveSecret,
  storedInjection,
  toManagedSecret,
} from './managed-secret-store.ts'
import { sealCredential } from './seal-credential.ts'
import { assertFitsInjection, fieldNamesOf } from './secret-rules.ts'

type Deps = {
  db: Pick<Database, 'forApp'>
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  keyring: Pick<Keyring, 'sealFor'>
}

export type SecretRotation = {
  app: AppRef
  author: ChangeAuthor
  managedSecretId: string
  /** Needed when the secret holds several. */
  credentialId?: string
  value: Record<string, unknown>
}

/**
 * Replaces a stored value in place: every grant goes on, the next use has the new value, the old one is gone with the commit.
 * Refusals: `managed_secret_not_found`, `credential_not_found`, `credential_id_required`, `validation_failed`.
 */
export const rotateManagedSecret =
  ({ db, audit, clock, keyring }: Deps) =>
  async ({ app, author, managedSecretId, credentialId, value }: SecretRotation): Promise<ManagedSecret> => {
    const held = await db.forApp(app.appId, (tx) => getSecret(tx, app.appId, managedSecretId))
    const chosen = chooseOwn(held, credentialId)
    const parsed = parseCredentialValue(held.secret.credential_type, value)
    const { sealed, hint } = await sealCredential(keyring, app.appId, chosen, parsed)
    return changeOnce(audit, author, appScope(app.appId, app.organizationId), async (tx, record) => {
      const now = await getSecret(tx, app.appId, managedSecretId, { lock: true })
      const { secret } = now
      chooseOwn(now, chosen)
      assertFitsInjection(secret.credential_type, storedInjection(secret.injection), parsed)
      const at = new Date(clock.now())
      await replaceSealed(tx, app.appId, chosen, { sealed, hint, fieldNames: [...fieldNamesOf(parsed)], at })
      await saveSecret(tx, app.appId, managedSecretId, {}, at)
      record(
        changeRow(author, {
          event: 'credential.rotated',
          providerId: secret.slug,
          resourceKind: 'managed_secret',
          type: 'credential',
          id: chosen,
          changes: [secretChange('value')],
        }),
      )
      return toManagedSecret(await getSecret(tx, app.appId, managedSecretId))
    })
  }

/** End users replace their own keys themselves: to an operator there are none. */
const chooseOwn = ({ credentials }: HeldSecret, credentialId: string | undefined): string =>
  chooseCredential(
    credentials.filter(({ kind }) => kind === 'developer'),
    credentialId,
  ).credential_id
