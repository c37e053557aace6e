import type { AuditLog } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Endings } from '../management/index.ts'
import { createManagedSecret } from './create-managed-secret.ts'
import { deleteManagedSecret } from './delete-managed-secret.ts'
import type { GrantsOfSecrets } from './grants-of-secrets.ts'
import { listManagedSecretsOf, showManagedSecret } from './read-managed-secrets.ts'
import { rotateManagedSecret } from './rotate-managed-secret.ts'
import { updateManagedSecret } from './update-managed-secret.ts'

export type SecretsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  keyring: Pick<Keyring, 'sealFor'>
  endings: Endings
  grants: GrantsOfSecrets
}

export type Secrets = ReturnType<typeof secretUseCases>

/** Secrets that operators store, and where they may be sent. */
export function secretUseCases(deps: SecretsDeps) {
  return {
    createManagedSecret: createManagedSecret(deps),
    showManagedSecret: showManagedSecret(deps),
    listManagedSecrets: listManagedSecretsOf(deps),
    updateManagedSecret: updateManagedSecret(deps),
    rotateManagedSecret: rotateManagedSecret(deps),
    deleteManagedSecret: deleteManagedSecret(deps),
  }
}
