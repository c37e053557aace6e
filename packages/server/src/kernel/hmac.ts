import { hash } from 'node:crypto'

const BLOCK_BYTES = 64
const DIGEST_BYTES = 32
const MAX_MESSAGE_BYTES = 16_384
const NO_KEY = new Uint8Array(0)

/* Pad and message of the inner hash, pad and digest of the outer one. They serve every HMAC in turn: nothing here waits. */
const innerText = Buffer.alloc(BLOCK_BYTES + MAX_MESSAGE_BYTES)
const outerText = Buffer.alloc(BLOCK_BYTES + DIGEST_BYTES)

/**
 * A key made ready for HMAC-SHA-256 (RFC 2104: two hashes, each with a padded key). Node's own `Hmac` makes an object of OpenSSL's for
 * each digest, which costs twice what the hashes do. Printing the key shows nothing of it.
 */
export class HmacKey {
  readonly #inner = Buffer.allocUnsafe(BLOCK_BYTES)
  readonly #outer = Buffer.allocUnsafe(BLOCK_BYTES)

  constructor(key: Uint8Array) {
    this.#hold(key)
  }

  #hold(key: Uint8Array): void {
    const bytes = key.length > BLOCK_BYTES ? hash('sha256', key, 'buffer') : key
    this.#inner.fill(0x36)
    this.#outer.fill(0x5c)
    for (let i = 0; i < bytes.length; i++) {
      this.#inner[i]! ^= bytes[i]!
      this.#outer[i]! ^= bytes[i]!
    }
  }

  /** The HMAC of one message under a key that is used once. */
  static once(key: Uint8Array, message: string | Uint8Array, encoding: 'hex' | 'binary'): string {
    HmacKey.#single.#hold(key)
    const digest = HmacKey.#single.digest(message, encoding)
    HmacKey.#single.#hold(NO_KEY)
    return digest
  }

  static readonly #single = new HmacKey(NO_KEY)

  /** Of bytes, or of text as UTF-8. `binary` is a text with a character for each of the 32 bytes. */
  digest(message: string | Uint8Array, encoding: 'hex' | 'binary'): string {
    const isShort = (typeof message === 'string' ? message.length * 3 : message.length) <= MAX_MESSAGE_BYTES
    const text = isShort ? innerText : Buffer.alloc(BLOCK_BYTES + Buffer.byteLength(message))
    text.set(this.#inner)
    let length = message.length
    if (typeof message === 'string') length = text.write(message, BLOCK_BYTES)
    else text.set(message, BLOCK_BYTES)
    const inner = hash('sha256', text.subarray(0, BLOCK_BYTES + length), 'binary')
    // The message may be a secret itself.
    text.fill(0, 0, BLOCK_BYTES + length)
    outerText.set(this.#outer)
    outerText.write(inner, BLOCK_BYTES, 'latin1')
    const digest = hash('sha256', outerText, encoding)
    outerText.fill(0)
    return digest
  }

  /** The 32 bytes of the digest. */
  bytes(message: string | Uint8Array): Buffer {
    return Buffer.from(this.digest(message, 'binary'), 'latin1')
  }
}
