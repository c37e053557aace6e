export { chooseCredential } from './choose-credential.ts'
export type { NewManagedSecret, SecretNeighbors } from './create-managed-secret.ts'
export { createSecrets, type Secrets, type SecretsDeps } from './create-secrets.ts'
export { destroyCredentialsOfApp, type SecretCascade } from './delete-managed-secret.ts'
export {
  type CredentialRow,
  findSecretIdBySlug,
  getSecret,
  type HeldSecret,
  type SecretRow,
} from './managed-secret-store.ts'
export { createSecretRoutes } from './routes.ts'
export { createOpenCredential, openSealedCredential } from './seal-credential.ts'
