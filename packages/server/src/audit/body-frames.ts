import type { AppPlace } from '../crypto/keyring.ts'

/*
 * The bodies of one batch, side by side, sealed together (place: audit_batches, bodies, batch id):
 *
 *   event id (16 bytes) | side (1 byte: 1 request, 2 response) | length (4 bytes, big-endian) | 32 bytes of salt, what was kept
 *
 * No digest of the log covers them, only the digests of their own in the rows: erasing them leaves the log provable.
 */

export type BodySide = 'request' | 'response'
/** A captured side of a call: 32 bytes of salt, then the bytes that are kept. Not sealed yet. */
export type KeptBody = { eventId: string; side: BodySide; content: Buffer }

export const bodiesPlace = (batchId: string): AppPlace => ({ table: 'audit_batches', column: 'bodies', rowId: batchId })

const HEADER_BYTES = 21

export function encodeBodies(bodies: readonly KeptBody[]): Buffer {
  const all = Buffer.allocUnsafe(bodies.reduce((sum, { content }) => sum + HEADER_BYTES + content.length, 0))
  let at = 0
  for (const { eventId, side, content } of bodies) {
    all.write(eventId.replaceAll('-', ''), at, 'hex')
    all[at + 16] = side === 'request' ? 1 : 2
    all.writeUInt32BE(content.length, at + 17)
    at += HEADER_BYTES + content.copy(all, at + HEADER_BYTES)
  }
  return all
}

/** Throws on bytes that are not of this form. */
export function decodeBodies(bytes: Buffer): KeptBody[] {
  const bodies: KeptBody[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + HEADER_BYTES > bytes.length) throw new SyntaxError('a body is cut')
    const hex = bytes.toString('hex', at, at + 16)
    const end = at + HEADER_BYTES + bytes.readUInt32BE(at + 17)
    if (end > bytes.length) throw new SyntaxError('a body is cut')
    bodies.push({
      eventId: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
      side: bytes[at + 16] === 1 ? 'request' : 'response',
      content: bytes.subarray(at + HEADER_BYTES, end),
    })
    at = end
  }
  return bodies
}
