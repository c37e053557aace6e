import type { Keyring } from '../crypto/keyring.ts'
import {
  type CredentialType,
  type CredentialValue,
  credentialValueToJson,
  lastFour,
  parseCredentialValue,
} from '../egress/credential-value.ts'

const placeOf = (credentialId: string) => ({ table: 'credentials', column: 'sealed', rowId: credentialId })

/** Seals a value for its row; it opens in no other place. Not inside a transaction: the keyring may need one of its own. */
export async function sealCredential(
  keyring: Pick<Keyring, 'sealFor'>,
  appId: string,
  credentialId: string,
  value: CredentialValue,
): Promise<{ sealed: Buffer; hint: string | null }> {
  const plaintext = Buffer.from(JSON.stringify(credentialValueToJson(value)))
  try {
    return { sealed: await keyring.sealFor(appId, placeOf(credentialId), plaintext), hint: lastFour(value) ?? null }
  } finally {
    plaintext.fill(0)
  }
}

/** A stored value that is still closed. */
export type SealedCredential = { credentialId: string; type: CredentialType; sealed: Buffer }

/**
 * Opens stored values: the last step before a use, after its intent is durable. Throws `EnvelopeError` when the frame was not
 * made for this row.
 */
export function createOpenCredential(keyring: Pick<Keyring, 'openSecretFor'>) {
  return async (appId: string, { credentialId, type, sealed }: SealedCredential): Promise<CredentialValue> => {
    const plaintext = await keyring.openSecretFor(appId, placeOf(credentialId), sealed)
    return parseCredentialValue(type, JSON.parse(plaintext.reveal()))
  }
}

export type OpenCredential = ReturnType<typeof createOpenCredential>
