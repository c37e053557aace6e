import { createHmac, createSecretKey, type Hmac } from 'node:crypto'

/**
 * HMAC-SHA-256 under a key that is used once. Node finds out by exceptions that raw bytes are no other kind of key, which costs five
 * times what the HMAC itself does; so they are wrapped first. Keys that live longer are kept as `KeyObject`s.
 */
export function hmacSha256(key: Uint8Array): Hmac {
  return createHmac('sha256', createSecretKey(key))
}
