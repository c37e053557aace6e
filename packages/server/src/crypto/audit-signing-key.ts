import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign as signBytes,
} from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import type { InstallationKey } from './installation-keys.ts'

/*
 * One key of the installation, as JSON:
 *
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

/** Signs audit checkpoints. The private key stays in this closure and, wrapped, in the database. */
export type AuditSigningKeys = {
  /** The key that signs now; the RFC 7638 thumbprint of its public key. */
  keyId(): string
  /** Ed25519 over the message, 64 bytes, with the key of `keyId()`. */
  sign(message: Uint8Array): Buffer
  /** Every key that ever signed here, oldest first, for `/.well-known/alter-audit-keys.json`. */
  publicJwks(): { keys: AuditPublicJwk[] }
  /** Ends the current key and makes the next one. Other processes sign with it from their next start on. */
  rotate(): Promise<{ keyId: string }>
}

type Deps = { key: InstallationKey; clock: Pick<Clock, 'now'> }

/** Opens the signing keys of the installation, making the first one when there is none. */
export async function openAuditSigningKeys({ key, clock }: Deps): Promise<AuditSigningKeys> {
  const now = () => new Date(clock.now()).toISOString()
  let entries = parseEntries(await key.open(() => render([newEntry(now())])))
  let signer = signerOf(entries)

  return {
    keyId: () => entries[entries.length - 1]!.key_id,
    sign: (message) => signBytes(null, message, signer),
    publicJwks: () => ({ keys: entries.map(toJwk) }),

    async rotate() {
      let next = entries
      await key.change((present) => {
        const at = now()
        const ended = parseEntries(present).map((entry) => ({
          ...entry,
          not_after: entry.not_after ?? at,
          private_key_pem: null,
        }))
        next = [...ended, newEntry(at)]
        return render(next)
      })
      entries = next
      signer = signerOf(next)
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

function render(keys: Entry[]): Buffer {
  return Buffer.from(JSON.stringify({ format: FORMAT, keys }))
}

function damaged(what: string): Error {
  return new Error(`The stored list of audit signing keys is damaged: ${what}.`)
}

/** Wipes what it reads. */
function parseEntries(content: Buffer): Entry[] {
  const { format, keys } = JSON.parse(content.toString('utf8')) as { format?: unknown; keys?: unknown }
  content.fill(0)
  if (format !== FORMAT) throw damaged(`"format" is not "${FORMAT}"`)
  if (!Array.isArray(keys) || keys.length === 0) throw damaged('"keys" holds no key')
  return keys.map((value: unknown, index) => {
    const entry = (value ?? {}) as Partial<Record<keyof Entry, unknown>>
    const { key_id, not_before, not_after, public_x, private_key_pem } = entry
    if (typeof public_x !== 'string' || Buffer.from(public_x, 'base64url').length !== 32) {
      throw damaged(`"public_x" of key ${index + 1} is not 32 bytes of base64url`)
    }
    if (key_id !== thumbprint(public_x)) throw damaged(`"key_id" of key ${index + 1} does not fit its public key`)
    if (!isTime(not_before)) throw damaged(`"not_before" of key ${key_id} is not a time`)
    if (not_after !== null && !isTime(not_after)) throw damaged(`"not_after" of key ${key_id} is not a time`)
    if (private_key_pem !== null && typeof private_key_pem !== 'string') {
      throw damaged(`"private_key_pem" of key ${key_id} is neither text nor null`)
    }
    return { key_id, not_before, not_after, public_x, private_key_pem }
  })
}

function isTime(value: unknown): value is string {
  return typeof value === 'string' && !Number.isNaN(Date.parse(value))
}

function signerOf(entries: Entry[]): KeyObject {
  const { key_id, not_after, public_x, private_key_pem } = entries[entries.length - 1]!
  if (private_key_pem === null || not_after !== null) throw damaged(`the newest key ${key_id} cannot sign`)
  let key: KeyObject
  try {
    key = createPrivateKey(private_key_pem)
  } catch {
    throw damaged(`the private key of ${key_id} is not PKCS 8`)
  }
  if (key.asymmetricKeyType !== 'ed25519' || publicX(createPublicKey(key)) !== public_x) {
    throw damaged(`the private key of ${key_id} does not fit its public key`)
  }
  return key
}
