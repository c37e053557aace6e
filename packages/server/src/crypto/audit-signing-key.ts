import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import { findOrCreateKeyFile, garbled, parseKeyFile, replaceKeyFile } from './key-file.ts'

/*
 * {"format": "alter-audit-signing-keys.v1",
 *  "keys": [{"key_id", "not_before": RFC 3339, "not_after": RFC 3339 or null, "public_x", "private_key_pem": PKCS 8 or null}, …]}
 *
 * Oldest first. Only the last key may sign: it has a private key and no end. When it is replaced its private key is
 * erased and its public key stays listed for ever, because checkpoints signed with it stay.
 */

const FORMAT = 'alter-audit-signing-keys.v1'

type Entry = {
  key_id: string
  not_before: string
  not_after: string | null
  public_x: string
  private_key_pem: string | null
}

/** An Ed25519 public key as a JWK (RFC 8037) with the time range in which it signed. */
export type AuditPublicJwk = {
  kty: 'OKP'
  crv: 'Ed25519'
  x: string
  kid: string
  use: 'sig'
  alg: 'EdDSA'
  not_before: string
  not_after: string | null
}

/** Signs audit checkpoints. The private key stays in this closure and its file. */
export type AuditSigningKeys = {
  /** The key that signs now; the RFC 7638 thumbprint of its public key. */
  keyId(): string
  /** Ed25519 over the message, 64 bytes, with the key of `keyId()`. */
  sign(message: Uint8Array): Buffer
  /** Every key that ever signed here, oldest first, for `/.well-known/alter-audit-keys.json`. */
  publicJwks(): { keys: AuditPublicJwk[] }
  /** Ends the current key and makes the next one. */
  rotate(): Promise<{ keyId: string }>
}

type Deps = { path: string; clock: Pick<Clock, 'now'> }

/** Opens the signing key file, making it with one fresh key when there is none. Throws `KeyFileError`. */
export async function openAuditSigningKeys({ path, clock }: Deps): Promise<AuditSigningKeys> {
  const now = () => new Date(clock.now()).toISOString()
  const content = await findOrCreateKeyFile(path, () => render([newEntry(now())]))
  let entries = parseEntries(path, content)
  let signer = signerOf(path, entries)

  return {
    keyId: () => entries[entries.length - 1]!.key_id,
    sign: (message) => signBytes(null, message, signer),
    publicJwks: () => ({ keys: entries.map(toJwk) }),

    async rotate() {
      const at = now()
      const ended = entries.map((entry) => ({
        ...entry,
        not_after: entry.not_after ?? at,
        private_key_pem: null,
      }))
      const next = [...ended, newEntry(at)]
      await replaceKeyFile(path, render(next))
      entries = next
      signer = signerOf(path, next)
      return { keyId: next[next.length - 1]!.key_id }
    },
  }
}

function newEntry(notBefore: string): Entry {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519')
  const x = publicX(publicKey)
  return {
    key_id: thumbprint(x),
    not_before: notBefore,
    not_after: null,
    public_x: x,
    private_key_pem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
  }
}

function publicX(publicKey: KeyObject): string {
  const { x } = publicKey.export({ format: 'jwk' })
  if (x === undefined) throw new Error('An Ed25519 public key exports its x coordinate.')
  return x
}

/** RFC 7638, with the members of RFC 8037, appendix A.3. */
function thumbprint(x: string): string {
  return createHash('sha256')
    .update(JSON.stringify({ crv: 'Ed25519', kty: 'OKP', x }))
    .digest('base64url')
}

function toJwk({ key_id, not_before, not_after, public_x }: Entry): AuditPublicJwk {
  return { kty: 'OKP', crv: 'Ed25519', x: public_x, kid: key_id, use: 'sig', alg: 'EdDSA', not_before, not_after }
}

function render(keys: Entry[]): string {
  return `${JSON.stringify({ format: FORMAT, keys }, null, 2)}\n`
}

function parseEntries(path: string, content: string): Entry[] {
  const { keys } = parseKeyFile(path, content, FORMAT)
  if (!Array.isArray(keys) || keys.length === 0) throw garbled(path, '"keys" holds no key')
  return keys.map((value: unknown, index) => {
    const entry = (value ?? {}) as Partial<Record<keyof Entry, unknown>>
    const { key_id, not_before, not_after, public_x, private_key_pem } = entry
    if (typeof public_x !== 'string' || Buffer.from(public_x, 'base64url').length !== 32) {
      throw garbled(path, `"public_x" of key ${index + 1} is not 32 bytes of base64url`)
    }
    if (key_id !== thumbprint(public_x)) throw garbled(path, `"key_id" of key ${index + 1} does not fit its public key`)
    if (!isTime(not_before)) throw garbled(path, `"not_before" of key ${key_id} is not a time`)
    if (not_after !== null && !isTime(not_after)) throw garbled(path, `"not_after" of key ${key_id} is not a time`)
    if (private_key_pem !== null && typeof private_key_pem !== 'string') {
      throw garbled(path, `"private_key_pem" of key ${key_id} is neither text nor null`)
    }
    return { key_id, not_before, not_after, public_x, private_key_pem }
  })
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value))
}

function signerOf(path: string, entries: Entry[]): KeyObject {
  const { key_id, not_after, public_x, private_key_pem } = entries[entries.length - 1]!
  if (private_key_pem === null || not_after !== null) throw garbled(path, `the newest key ${key_id} cannot sign`)
  let key: KeyObject
  try {
    key = createPrivateKey(private_key_pem)
  } catch {
    throw garbled(path, `the private key of ${key_id} is not PKCS 8`)
  }
  if (key.asymmetricKeyType !== 'ed25519' || publicX(createPublicKey(key)) !== public_x) {
    throw garbled(path, `the private key of ${key_id} does not fit its public key`)
  }
  return key
}
