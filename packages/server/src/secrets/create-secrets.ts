import type { AuditLog } from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Database } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { createManagedSecret, type SecretNeighbors } from './create-managed-secret.ts'
import { deleteManagedSecret, type SecretCascade } from './delete-managed-secret.ts'
import { listManagedSecretsOf, showManagedSecret } from './read-managed-secrets.ts'
import { rotateManagedSecret } from './rotate-managed-secret.ts'
import { updateManagedSecret } from './update-managed-secret.ts'

export type SecretsDeps = {
  db: Database
  audit: Pick<AuditLog, 'change'>
  clock: Clock
  keyring: Pick<Keyring, 'sealFor'>
} & SecretNeighbors &
  SecretCascade

export type Secrets = ReturnType<typeof createSecrets>

/** Secrets that operators store, and where they may be sent. */
export function createSecrets(deps: SecretsDeps) {
  return {
    createManagedSecret: createManagedSecret(deps),
    showManagedSecret: showManagedSecret(deps),
    listManagedSecrets: listManagedSecretsOf(deps),
    updateManagedSecret: updateManagedSecret(deps),
    rotateManagedSecret: rotateManagedSecret(deps),
    deleteManagedSecret: deleteManagedSecret(deps),
  }
}
