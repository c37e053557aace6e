import { randomBytes } from 'node:crypto'
import { HmacKey } from '../kernel/hmac.ts'
import { findOrCreateKeyFile, garbled, keyCheck, parseKeyFile } from './key-file.ts'

/* {"format": "alter-api-key-pepper.v1", "pepper": base64 of 32 bytes, "check": 16 hex characters} */

const FORMAT = 'alter-api-key-pepper.v1'
const PEPPER_BYTES = 32

/** Digests API keys under a secret that the database does not hold, so a stolen table cannot be searched for keys. */
export type Pepper = {
  /** HMAC-SHA-256 of the plain key under the pepper: 32 bytes, the form in which a key is stored and found. */
  keyDigest(plainKey: string): Buffer
  /** Tells two peppers apart and reveals neither: an installation can notice that its pepper file was lost and made anew. */
  fingerprint: string
}

/** Opens the pepper file, making it when there is none. Losing it makes every API key unknown. Throws `KeyFileError`. */
export async function openPepper({ path }: { path: string }): Promise<Pepper> {
  const content = await findOrCreateKeyFile(path, () => {
    const bytes = randomBytes(PEPPER_BYTES)
    const fields = { format: FORMAT, pepper: bytes.toString('base64'), check: keyCheck(FORMAT, bytes) }
    return `${JSON.stringify(fields, null, 2)}\n`
  })
  const { pepper, check } = parseKeyFile(path, content, FORMAT)
  if (typeof pepper !== 'string') throw garbled(path, 'it has no "pepper"')
  const bytes = Buffer.from(pepper, 'base64')
  if (bytes.length !== PEPPER_BYTES) throw garbled(path, `"pepper" has ${bytes.length} bytes and not ${PEPPER_BYTES}`)
  const fingerprint = keyCheck(FORMAT, bytes)
  if (check !== fingerprint) throw garbled(path, '"check" does not fit the pepper')
  const key = new HmacKey(bytes)
  bytes.fill(0)
  return { keyDigest: (plainKey) => key.bytes(plainKey), fingerprint }
}
