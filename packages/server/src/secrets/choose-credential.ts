import { VaultError } from '../kernel/vault-error.ts'
import { type CredentialRow, credentialNotFound } from './managed-secret-store.ts'

/**
 * The credential of a secret that is meant. Refusals: `credential_not_found`, `credential_id_required` with the choice when
 * there are several, `end_user_credential_not_assignable` for an end user's own key.
 */
export function chooseCredential(
  credentials: readonly CredentialRow[],
  credentialId: string | undefined,
): CredentialRow {
  if (credentialId !== undefined) {
    const named = credentials.find((credential) => credential.credential_id === credentialId)
    if (named === undefined) throw credentialNotFound()
    if (named.kind === 'end_user') {
      throw new VaultError('end_user_credential_not_assignable', {
        message: 'This key belongs to an end user, who alone gives it out.',
      })
    }
    return named
  }
  const own = credentials.filter((credential) => credential.kind === 'developer')
  if (own.length === 0) throw credentialNotFound()
  if (own.length > 1) {
    throw new VaultError('credential_id_required', {
      message: `This secret holds ${own.length} credentials; name one in "credential_id".`,
      fields: {
        details: { credentials: own.map((credential) => ({ id: credential.credential_id, label: credential.label })) },
      },
    })
  }
  return own[0]!
}
