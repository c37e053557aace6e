/*
 * The bodies of one block, side by side, each sealed on its own (place: audit_bodies, frames, "<event id>:<side>"):
 *
 *   event id (16 bytes) | side (1 byte: 1 request, 2 response) | length of frame (4 bytes, big-endian) | frame
 *
 * A frame holds the 32-byte salt and the stored bytes; erasing it leaves the chain valid.
 */

export type BodySide = 'request' | 'response'
export type SealedBody = { eventId: string; side: BodySide; frame: Buffer }

const HEADER_BYTES = 21

export function encodeBodies(bodies: readonly SealedBody[]): Buffer {
  return Buffer.concat(
    bodies.flatMap(({ eventId, side, frame }) => {
      const header = Buffer.alloc(HEADER_BYTES)
      header.write(eventId.replaceAll('-', ''), 0, 'hex')
      header[16] = side === 'request' ? 1 : 2
      header.writeUInt32BE(frame.length, 17)
      return [header, frame]
    }),
  )
}

/** Throws on bytes that are not of this form. */
export function decodeBodies(frames: Buffer): SealedBody[] {
  const bodies: SealedBody[] = []
  let at = 0
  while (at < frames.length) {
    if (at + HEADER_BYTES > frames.length) throw new SyntaxError('a body frame is cut')
    const hex = frames.toString('hex', at, at + 16)
    const end = at + HEADER_BYTES + frames.readUInt32BE(at + 17)
    if (end > frames.length) throw new SyntaxError('a body frame is cut')
    bodies.push({
      eventId: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`,
      side: frames[at + 16] === 1 ? 'request' : 'response',
      frame: frames.subarray(at + HEADER_BYTES, end),
    })
    at = end
  }
  return bodies
}
