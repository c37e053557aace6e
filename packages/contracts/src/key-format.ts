/**
 * Keys and tokens as they are written (docs/spec/wire-protocol.md#keys).
 *
 *   alter_<type>_<22 of a-z2-7>_<6 of a-z2-7>     type: rk app, ak agent, dk derived, pk reserved, pat operator token
 *   alter_key_<40 of A-Za-z0-9_->                 older keys, no checksum
 *
 * Checksum: c = CRC-32 (IEEE, as in zlib) of the ASCII text "<type>:<the 22>"; character i is alphabet[(c >> 5i) & 31],
 * lowest group first, the two highest bits unused. It finds typing mistakes; it proves nothing about the key.
 */
const SCOPED_KEY = /^alter_(rk|ak|dk|pk|pat)_([a-z2-7]{22})_([a-z2-7]{6})$/
const OLDER_KEY = /^alter_key_[A-Za-z0-9_-]{40}$/
const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567'
const CHECKSUM_LENGTH = 6

/** Characters after the type that carry the randomness: 22 of 5 bits, 110 bits. */
export const KEY_RANDOM_LENGTH = 22
/** How much of a key may be shown after it was minted. */
export const KEY_PREFIX_LENGTH = 16

export type KeyType = 'rk' | 'ak' | 'dk'
export type ScopedType = KeyType | 'pk' | 'pat'

/** What a well-formed text is: one of the scoped forms, or a key of the older form. */
export type ParsedKey = { form: 'scoped'; type: ScopedType; random: string } | { form: 'older' }

/**
 * Reads a key's form, checksum included; undefined when the text is not a key. A well-formed key may still be unknown,
 * revoked or expired.
 */
export function parseKey(text: string): ParsedKey | undefined {
  const scoped = SCOPED_KEY.exec(text)
  if (scoped) {
    const type = scoped[1] as ScopedType
    const random = scoped[2]!
    return keyChecksum(type, random) === scoped[3] ? { form: 'scoped', type, random } : undefined
  }
  return OLDER_KEY.test(text) ? { form: 'older' } : undefined
}

/** Writes a key from its type and 22 random characters of `a-z2-7`. Throws a RangeError for anything else. */
export function formatKey(type: ScopedType, random: string): string {
  const key = `alter_${type}_${random}_${keyChecksum(type, random)}`
  if (!SCOPED_KEY.test(key)) throw new RangeError(`a key holds ${KEY_RANDOM_LENGTH} characters of a-z2-7`)
  return key
}

/** The 22 characters that a key is made of: the low five bits of each of 22 random bytes. */
export function keyRandomFrom(bytes: Uint8Array): string {
  if (bytes.length !== KEY_RANDOM_LENGTH) throw new RangeError(`a key is made from ${KEY_RANDOM_LENGTH} bytes`)
  let random = ''
  for (const byte of bytes) random += BASE32[byte & 31]
  return random
}

/** What may be shown of a key in lists, rows and logs. */
export function keyPrefixOf(key: string): string {
  return key.slice(0, KEY_PREFIX_LENGTH)
}

/** Six characters over `"<type>:<random>"`, lowest five bits first. */
export function keyChecksum(type: string, random: string): string {
  const crc = crc32(`${type}:${random}`)
  let checksum = ''
  for (let group = 0; group < CHECKSUM_LENGTH; group++) checksum += BASE32[(crc >>> (5 * group)) & 31]
  return checksum
}

/** Bit by bit: thirty characters need no table, and this package uses nothing of a platform. */
function crc32(ascii: string): number {
  let crc = 0xffffffff
  for (let index = 0; index < ascii.length; index++) {
    crc ^= ascii.charCodeAt(index)
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1
  }
  return ~crc >>> 0
}
