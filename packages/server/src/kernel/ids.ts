import { randomFillSync } from 'node:crypto'

const POOL_BYTES = 4096
const pool = Buffer.allocUnsafe(POOL_BYTES)
let used = POOL_BYTES

/** Takes `length` random bytes from a pre-filled pool: one system call serves hundreds of ids. */
function randomBytesFromPool(length: number): Buffer {
  if (used + length > POOL_BYTES) {
    randomFillSync(pool)
    used = 0
  }
  const slice = pool.subarray(used, used + length)
  used += length
  return slice
}

/** Writes `length` random bytes into `target`. */
export function fillRandom(target: Buffer, offset: number, length: number): void {
  randomBytesFromPool(length).copy(target, offset)
}

let timeOfPrefix = -1
let timePrefix = ''

/** A UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then random bits. Lower-case, hyphenated. */
export function newId(nowMs: number = Date.now()): string {
  const random = randomBytesFromPool(10)
  if (nowMs !== timeOfPrefix) {
    const time = nowMs.toString(16).padStart(12, '0')
    timeOfPrefix = nowMs
    timePrefix = `${time.slice(0, 8)}-${time.slice(8)}-7`
  }
  const hex = random.toString('hex')
  const variant = ((random[2]! & 0x3f) | 0x80).toString(16).padStart(2, '0')
  return `${timePrefix}${hex.slice(1, 4)}-${variant}${hex.slice(6, 8)}-${hex.slice(8, 20)}`
}

/** Random bytes as lower-case hex; `bytes` is the number of bytes, not of characters. */
export function randomHex(bytes: number): string {
  return randomBytesFromPool(bytes).toString('hex')
}

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

/** True for the canonical lower-case hyphenated form of any UUID version. */
export function isUuid(text: string): boolean {
  return UUID.test(text)
}
