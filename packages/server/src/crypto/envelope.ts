import { createCipheriv, createDecipheriv, type KeyObject, randomFillSync } from 'node:crypto'

/*
 * One frame for every ciphertext the database holds:
 *
 *   offset  bytes  content
 *   0       1      format version, 0x01
 *   1       16     id of the key that sealed it (UUID, raw bytes)
 *   17      12     nonce, random
 *   29      n      AES-256-GCM ciphertext, as long as the plaintext
 *   29+n    16     GCM tag
 *
 * Additional data (authenticated, not stored): the bytes 0..16 of the frame, then app id, table, column and row id,
 * each as UTF-8 behind its length in bytes (32 bits, big endian). A frame copied to any other place does not open.
 */

const FORMAT_1 = 1
const KEY_ID_BYTES = 16
const NONCE_BYTES = 12
const TAG_BYTES = 16
const HEADER_BYTES = 1 + KEY_ID_BYTES
const NONCE_END = HEADER_BYTES + NONCE_BYTES

/** Bytes a frame is longer than its plaintext. */
export const FRAME_OVERHEAD_BYTES = NONCE_END + TAG_BYTES

/** Where a ciphertext lives. Two different places never have the same additional data. */
export type Place = { appId: string; table: string; column: string; rowId: string }

/** A 256-bit AES key with its id (a UUID). The `KeyObject` is made once: importing raw bytes per call costs a quarter of the CPU of sealing. */
export type EnvelopeKey = { id: string; key: KeyObject }

/** A frame that does not open: a fault, never the caller's mistake. Says which check failed and nothing of the content. */
export class EnvelopeError extends Error {
  readonly reason: 'malformed' | 'unknown_format' | 'wrong_key' | 'not_authentic'

  constructor(reason: EnvelopeError['reason'], message: string) {
    super(message)
    this.name = 'EnvelopeError'
    this.reason = reason
  }
}

const noncePool = Buffer.allocUnsafeSlow(NONCE_BYTES * 256)
let nonceAt = noncePool.length

/** Fills `target` with fresh random bytes; one system call serves 256 nonces. */
function writeNonce(target: Buffer, offset: number): void {
  if (nonceAt === noncePool.length) {
    randomFillSync(noncePool)
    nonceAt = 0
  }
  noncePool.copy(target, offset, nonceAt, nonceAt + NONCE_BYTES)
  nonceAt += NONCE_BYTES
}

function additionalData(header: Buffer, place: Place): Buffer {
  const parts = [place.appId, place.table, place.column, place.rowId]
  let length = header.length
  for (const part of parts) length += 4 + Buffer.byteLength(part)
  const data = Buffer.allocUnsafe(length)
  let at = header.copy(data, 0)
  for (const part of parts) {
    const written = data.write(part, at + 4)
    data.writeUInt32BE(written, at)
    at += 4 + written
  }
  return data
}

/** Seals `plaintext` for one place. The nonce is random, so one key may seal at most 2^32 times (NIST SP 800-38D, 8.3). */
export function seal(key: EnvelopeKey, place: Place, plaintext: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_OVERHEAD_BYTES + plaintext.length)
  frame[0] = FORMAT_1
  writeUuid(frame, key.id)
  writeNonce(frame, HEADER_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key.key, frame.subarray(HEADER_BYTES, NONCE_END))
  cipher.setAAD(additionalData(frame.subarray(0, HEADER_BYTES), place))
  cipher.update(plaintext).copy(frame, NONCE_END)
  cipher.final()
  cipher.getAuthTag().copy(frame, NONCE_END + plaintext.length)
  return frame
}

/** Opens a frame sealed by `seal` for the same place. Throws `EnvelopeError`. */
export function open(key: EnvelopeKey, place: Place, frame: Buffer): Buffer {
  const keyId = frameKeyId(frame)
  if (keyId !== key.id) {
    throw new EnvelopeError('wrong_key', `The frame was sealed with key ${keyId}, not with ${key.id}.`)
  }
  const decipher = createDecipheriv('aes-256-gcm', key.key, frame.subarray(HEADER_BYTES, NONCE_END), {
    authTagLength: TAG_BYTES,
  })
  decipher.setAAD(additionalData(frame.subarray(0, HEADER_BYTES), place))
  decipher.setAuthTag(frame.subarray(frame.length - TAG_BYTES))
  const plaintext = decipher.update(frame.subarray(NONCE_END, frame.length - TAG_BYTES))
  try {
    decipher.final()
  } catch {
    plaintext.fill(0)
    throw new EnvelopeError(
      'not_authentic',
      `The content of "${place.table}"."${place.column}" of row ${place.rowId} was changed, or belongs to another place.`,
    )
  }
  return plaintext
}

/** The id of the key that sealed `frame`. Throws `EnvelopeError` for a frame that is too short or of an unknown format. */
export function frameKeyId(frame: Buffer): string {
  if (frame.length < FRAME_OVERHEAD_BYTES) {
    throw new EnvelopeError(
      'malformed',
      `A frame has at least ${FRAME_OVERHEAD_BYTES} bytes; this one has ${frame.length}.`,
    )
  }
  if (frame[0] !== FORMAT_1) {
    throw new EnvelopeError('unknown_format', `Frame format ${frame[0]} is not known to this version of the server.`)
  }
  const hex = frame.toString('hex', 1, HEADER_BYTES)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}

function writeUuid(frame: Buffer, id: string): void {
  const written = frame.write(id.replaceAll('-', ''), 1, KEY_ID_BYTES, 'hex')
  if (written !== KEY_ID_BYTES) throw new EnvelopeError('malformed', `"${id}" is not a UUID, so it cannot name a key.`)
}
