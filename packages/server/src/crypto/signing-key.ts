import { createHmac, createSecretKey, type KeyObject } from 'node:crypto'
import { digestOf } from '../kernel/sha256.ts'
import { constantTimeEqual } from './constant-time.ts'

const MESSAGE = 'alter-signing-v1'
const HEX_SHA256 = /^[0-9a-f]{64}$/

/**
 * The request signing key of an API key (docs/spec/wire-protocol.md#signing-a-request): HMAC-SHA-256 of a fixed message under the plain
 * key. Never stored.
 */
export function deriveSigningKey(plainKey: string): KeyObject {
  const bytes = createHmac('sha256', plainKey).update(MESSAGE).digest()
  const key = createSecretKey(bytes)
  bytes.fill(0)
  return key
}

/** HMAC-SHA-256 as the protocol writes it: 64 lower-case hex characters. */
export function signText(key: KeyObject, text: string): string {
  return createHmac('sha256', key).update(text).digest('hex')
}

/** True when `signature` is the signature of `text`, compared in constant time. Anything but 64 lower-case hex characters is false. */
export function isSignatureOf(key: KeyObject, text: string, signature: string): boolean {
  if (!HEX_SHA256.test(signature)) return false
  const expected = digestOf(createHmac('sha256', key).update(text))
  return constantTimeEqual(expected, Buffer.from(signature, 'hex'))
}
