import { parseKey } from '@alter-vault/contracts/key-format'

/**
 * Says whether a value has the form of an API key, checksum included, without asking the vault.
 * Anything but a string is `false`. A well-formed key may still be unknown, revoked or expired.
 */
export function isValidKey(candidate: unknown): boolean {
  const key = typeof candidate === 'string' ? parseKey(candidate) : undefined
  return key !== undefined && (key.form === 'older' || key.type !== 'pat')
}
