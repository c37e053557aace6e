import type { AuditLog } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { createManagedSecret, type SecretNeighbours } from './create-managed-secret.ts'
import { deleteManagedSecret, type SecretCascade } from './delete-managed-secret.ts'
import { listManagedSecretsOf, showManagedSecret } from './read-managed-secrets.ts'
import { rotateManagedSecret } from './rotate-managed-secret.ts'
import { updateManagedSecret } from './update-managed-secret.ts'

export type CredentialsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  keyring: Pick<Keyring, 'sealFor'>
} & SecretNeighbours &
  SecretCascade

export type Credentials = ReturnType<typeof createCredentials>

/** Credentials that operators store, and where they may be sent. */
export function createCredentials(deps: CredentialsDeps) {
  return {
    createManagedSecret: createManagedSecret(deps),
    showManagedSecret: showManagedSecret(deps),
    listManagedSecrets: listManagedSecretsOf(deps),
    updateManagedSecret: updateManagedSecret(deps),
    rotateManagedSecret: rotateManagedSecret(deps),
    deleteManagedSecret: deleteManagedSecret(deps),
  }
}
