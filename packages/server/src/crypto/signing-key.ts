import { HmacKey } from '../kernel/hmac.ts'
import { constantTimeEqual } from './constant-time.ts'

const MESSAGE = 'alter-signing-v1'
const HEX_SHA256 = /^[0-9a-f]{64}$/

/** The request signing key of an API key (docs/spec/wire-protocol.md#signing-a-request). Never stored. */
export function deriveSigningKey(plainKey: string): HmacKey {
  const bytes = new HmacKey(Buffer.from(plainKey)).bytes(MESSAGE)
  const key = new HmacKey(bytes)
  bytes.fill(0)
  return key
}

/** HMAC-SHA-256 as the protocol writes it: 64 lower-case hex characters. */
export function signText(key: HmacKey, text: string): string {
  return key.digest(text, 'hex')
}

/** True when `signature` is the signature of `text`, compared in constant time. Anything but 64 lower-case hex characters is false. */
export function isSignatureOf(key: HmacKey, text: string, signature: string): boolean {
  if (!HEX_SHA256.test(signature)) return false
  return constantTimeEqual(key.bytes(text), Buffer.from(signature, 'hex'))
}
