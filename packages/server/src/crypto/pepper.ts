import { HmacKey } from '../kernel/hmac.ts'

/** HMAC-SHA-256 of a plain key under the pepper: 32 bytes, the form in which a key is stored and found. */
export type KeyDigest = (plainKey: string) => Buffer

/**
 * Digests API keys under a secret that the database holds only wrapped, so a stolen table cannot be searched for keys. Wipes the bytes
 * that it is given.
 */
export function createKeyDigest(pepper: Buffer): KeyDigest {
  const key = new HmacKey(pepper)
  pepper.fill(0)
  return (plainKey) => key.bytes(plainKey)
}
