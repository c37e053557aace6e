import type { Keyring } from '../crypto/keyring.ts'
import { createAwsClockSkew } from '../egress/aws-clock-skew.ts'
import type { CredentialKind, CredentialType, CredentialValue, Opened } from '../egress/credential-kind.ts'
import { credentialKinds, lastFour, parseCredentialValue } from '../egress/credential-kinds.ts'
import type { Injection } from '../egress/injection.ts'
import type { Clock } from '../kernel/clock.ts'
import { VaultError } from '../kernel/vault-error.ts'

const placeOf = (credentialId: string) => ({ table: 'credentials', column: 'sealed', rowId: credentialId })

/** Seals a value for its row; it opens in no other place. Not inside a transaction: the keyring may need one of its own. */
export async function sealCredential(
  keyring: Pick<Keyring, 'sealFor'>,
  appId: string,
  credentialId: string,
  value: CredentialValue,
): Promise<{ sealed: Buffer; hint: string | null }> {
  const plaintext = Buffer.from(JSON.stringify(credentialKinds[value.type].toJson(value)))
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

/** Opens the credential of a grant for one use. Refusal: `credential_revoked`. */
export function createOpenCredential(keyring: Pick<Keyring, 'openFor'>, clock: Pick<Clock, 'now'>) {
  const context = { awsClockSkew: createAwsClockSkew({ clock }) }
  return async (appId: string, { credential }: { credential: Sealed }): Promise<Opened> => {
    const { credentialId, kind, injection, sealed } = credential
    if (sealed === null) throw new VaultError('credential_revoked')
    return kind.open(await openSealedCredential(keyring, appId, credentialId, kind.type, sealed), injection, context)
  }
}

type Sealed = { credentialId: string; kind: CredentialKind; injection: Injection; sealed: Buffer | null }
