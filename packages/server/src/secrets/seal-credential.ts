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

/**
 * Opens a stored value: the last step before a use, after its intent is durable. Throws `EnvelopeError` when the frame was not
 * made for this row.
 */
export async function openSealedCredential(
  keyring: Pick<Keyring, 'openFor'>,
  appId: string,
  credentialId: string,
  type: CredentialType,
  sealed: Buffer,
): Promise<CredentialValue> {
  const plaintext = await keyring.openFor(appId, placeOf(credentialId), sealed)
  try {
    return parseCredentialValue(type, JSON.parse(plaintext.toString('utf8')))
  } catch {
    // Not the cause: what a parser says of a text quotes from it.
    throw new Error(`The opened credential ${credentialId} is no "${type}" value.`)
  } finally {
    plaintext.fill(0)
  }
}
