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

const HEX = Buffer.from('0123456789abcdef')
/** The text of the next id, written anew for each: the time stays from the one before. */
const idText = Buffer.from('00000000-0000-7000-8000-000000000000')
let timeOfText = -1

function writeHex(bytes: Buffer, from: number, to: number, at: number): void {
  for (let i = from; i < to; i++) {
    idText[at++] = HEX[bytes[i]! >> 4]!
    idText[at++] = HEX[bytes[i]! & 15]!
  }
}

/** A UUIDv7 (RFC 9562, 5.7): 48 bits of Unix milliseconds, then random bits. Lower-case, hyphenated. */
export function newId(nowMs: number = Date.now()): string {
  const random = randomBytesFromPool(10)
  if (nowMs !== timeOfText) {
    const time = nowMs.toString(16).padStart(12, '0')
    timeOfText = nowMs
    idText.write(`${time.slice(0, 8)}-${time.slice(8)}`, 'latin1')
  }
  idText[15] = HEX[random[0]! & 15]!
  writeHex(random, 1, 2, 16)
  idText[19] = HEX[8 | (random[2]! & 3)]!
  idText[20] = HEX[random[2]! >> 4]!
  writeHex(random, 3, 4, 21)
  writeHex(random, 4, 10, 24)
  return idText.toString('latin1')
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
