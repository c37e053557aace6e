/**
 * API keys as they are written.
 *
 *   alter_<type>_<22 of a-z2-7>_<6 of a-z2-7>     type: rk app, ak agent, dk derived, pk publishable
 *   alter_key_<40 of A-Za-z0-9_->                 older keys, no checksum
 *
 * Checksum: c = CRC-32 (IEEE, as in zlib) of the ASCII text "<type>:<the 22>"; character i is alphabet[(c >> 5i) & 31],
 * lowest group first, the two highest bits unused. It finds typing mistakes; it proves nothing about the key.
 */
const SCOPED_KEY = /^alter_(rk|ak|dk|pk)_([a-z2-7]{22})_([a-z2-7]{6})$/
const LEGACY_KEY = /^alter_key_[A-Za-z0-9_-]{40}$/
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
const CHECKSUM_LENGTH = 6

/**
 * Says whether a value has the form of an API key, checksum included, without asking the vault.
 * Anything but a string is `false`. A well-formed key may still be unknown, revoked or expired.
 */
export function isValidKey(candidate: unknown): boolean {
  if (typeof candidate !== 'string') return false
  const scoped = SCOPED_KEY.exec(candidate)
  if (scoped) return keyChecksum(scoped[1]!, scoped[2]!) === scoped[3]
  return LEGACY_KEY.test(candidate)
}

function keyChecksum(type: string, random: string): string {
  const crc = crc32(`${type}:${random}`)
  let checksum = ''
  for (let group = 0; group < CHECKSUM_LENGTH; group++) checksum += BASE32[(crc >>> (5 * group)) & 31]
  return checksum
}

/** Bit by bit: 25 characters once per client need no table, and `zlib.crc32` is missing in Node 20. */
function crc32(ascii: string): number {
  let crc = 0xffffffff
  for (let index = 0; index < ascii.length; index++) {
    crc ^= ascii.charCodeAt(index)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return ~crc >>> 0
}
