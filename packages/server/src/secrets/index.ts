import { type SecretsDeps, secretUseCases } from './create-secrets.ts'
import { createSecretRoutes } from './routes.ts'

export { chooseCredential } from './choose-credential.ts'
export type { NewManagedSecret } from './create-managed-secret.ts'
export type { Secrets, SecretsDeps } from './create-secrets.ts'
export { endSecretsWith } from './delete-managed-secret.ts'
export type { GrantsOfSecrets } from './grants-of-secrets.ts'
export {
  type CredentialRow,
  findSecretIdBySlug,
  getSecret,
  type HeldSecret,
  type SecretRow,
} from './managed-secret-store.ts'
export { createOpenCredential, openSealedCredential } from './seal-credential.ts'

/** Secrets that operators store, and where they may be sent. */
export function createSecrets(deps: SecretsDeps) {
  const secrets = secretUseCases(deps)
  return { ...secrets, routes: createSecretRoutes({ credentials: secrets }) }
}
