export { chooseCredential } from './choose-credential.ts'
export { type Credentials, type CredentialsDeps, createCredentials } from './create-credentials.ts'
export type { NewManagedSecret, SecretNeighbours } from './create-managed-secret.ts'
export { destroyCredentialsOfApp, type SecretCascade } from './delete-managed-secret.ts'
export {
  type CredentialRow,
  findSecretIdBySlug,
  getSecret,
  type HeldSecret,
  type SecretRow,
} from './managed-secret-store.ts'
export { createCredentialRoutes } from './routes.ts'
export { openSealedCredential } from './seal-credential.ts'
