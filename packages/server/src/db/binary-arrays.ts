/*
 * Arrays in PostgreSQL's binary form (array_recv). As text every element is quoted here and parsed there, and bytes travel as hex.
 *
 *   dimensions (1) | has nulls | type of the elements | length | lower bound (1) | each: length, or -1 for null, and bytes
 *
 * `pg` sends a Buffer as a binary parameter.
 */
const HEADER_BYTES = 20

/** An array parameter; null where every element is null, which `unnest` fills up with nulls. */
export type ArrayParameter = Buffer | null

type Kind<T> = {
  /** PostgreSQL's number of the element type. */
  type: number
  /** At least as many bytes as `write` needs. */
  room: (value: T) => number
  /** Writes the element and returns its length. */
  write: (into: Buffer, at: number, value: T) => number
}

const arrayOf =
  <T>({ type, room, write }: Kind<T>) =>
  (values: readonly (T | null | undefined)[]): ArrayParameter => {
    let bytes = HEADER_BYTES
    let isEmpty = values.length > 0
    for (const value of values) {
      bytes += 4
      if (value === null || value === undefined) continue
      bytes += room(value)
      isEmpty = false
    }
    if (isEmpty) return null
    const all = Buffer.allocUnsafe(bytes)
    all.writeInt32BE(values.length === 0 ? 0 : 1, 0)
    all.writeInt32BE(1, 4)
    all.writeInt32BE(type, 8)
    if (values.length === 0) return all.subarray(0, 12)
    all.writeInt32BE(values.length, 12)
    all.writeInt32BE(1, 16)
    let at = HEADER_BYTES
    for (const value of values) {
      const length = value === null || value === undefined ? -1 : write(all, at + 4, value)
      all.writeInt32BE(length, at)
      at += 4 + Math.max(0, length)
    }
    return all.subarray(0, at)
  }

const writeInt8 = (into: Buffer, at: number, value: number): number => {
  const high = Math.floor(value / 0x1_0000_0000)
  into.writeInt32BE(high, at)
  into.writeUInt32BE(value - high * 0x1_0000_0000, at + 4)
  return 8
}

/** PostgreSQL counts microseconds from 2000. */
const EPOCH_MICROS = 946_684_800_000_000

export const int4Array = arrayOf<number>({
  type: 23,
  room: () => 4,
  write: (into, at, value) => into.writeInt32BE(value, at) - at,
})
export const int8Array = arrayOf<number>({ type: 20, room: () => 8, write: writeInt8 })
/** Of microseconds since 1970. */
export const timestamptzArray = arrayOf<number>({
  type: 1184,
  room: () => 8,
  write: (into, at, micros) => writeInt8(into, at, micros - EPOCH_MICROS),
})
export const textArray = arrayOf<string>({
  type: 25,
  // A UTF-16 unit is at most three bytes of UTF-8.
  room: (value) => value.length * 3,
  write: (into, at, value) => into.write(value, at),
})
export const byteaArray = arrayOf<Buffer>({
  type: 17,
  room: (value) => value.length,
  write: (into, at, value) => value.copy(into, at),
})
/** Of ids in their canonical form. */
export const uuidArray = arrayOf<string>({
  type: 2950,
  room: () => 16,
  write: (into, at, id) => into.write(id.replaceAll('-', ''), at, 16, 'hex'),
})
