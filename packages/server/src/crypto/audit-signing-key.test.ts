import { createPrivateKey, createPublicKey, generateKeyPairSync, verify } from 'node:crypto'
import { beforeEach, describe, expect, test } from 'vitest'
import { type AuditPublicJwk, openAuditSigningKeys } from './audit-signing-key.ts'
import { createPlainKey } from './installation-keys-fixture.ts'

const MESSAGE = Buffer.from('alter.audit.checkpoint.v1\n{}')
let key: ReturnType<typeof createPlainKey>
let nowMs: number
const clock = { now: () => nowMs }

beforeEach(() => {
  key = createPlainKey()
  nowMs = Date.UTC(2026, 0, 1)
})

function verifies(jwk: AuditPublicJwk, signature: Buffer): boolean {
  return verify(
    null,
    MESSAGE,
    createPublicKey({ key: { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, format: 'jwk' }),
    signature,
  )
}

describe('audit signing keys', () => {
  test('sign with Ed25519 what anyone can check with the published key', async () => {
    const keys = await openAuditSigningKeys({ key, clock })
    const [jwk] = keys.publicJwks().keys
    const signature = keys.sign(MESSAGE)
    expect(signature).toHaveLength(64)
    expect(verifies(jwk!, signature)).toBe(true)
    signature[0]! ^= 1
    expect(verifies(jwk!, signature)).toBe(false)
  })

  test('are published without a private part, named by their thumbprint', async () => {
    const keys = await openAuditSigningKeys({ key, clock })
    const [jwk] = keys.publicJwks().keys
    expect(jwk).toEqual({
      kty: 'OKP',
      crv: 'Ed25519',
      x: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/),
      kid: keys.keyId(),
      use: 'sig',
      alg: 'EdDSA',
      not_before: '2026-01-01T00:00:00.000Z',
      not_after: null,
    })
  })

  test('have the thumbprint and the signature that RFC 8037 gives for its key', async () => {
    const d = 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A'
    const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo'
    const privateKey = createPrivateKey({ key: { kty: 'OKP', crv: 'Ed25519', d, x }, format: 'jwk' })
    const entry = {
      key_id: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
      not_before: '2026-01-01T00:00:00.000Z',
      not_after: null,
      public_x: x,
      private_key_pem: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    }
    key = createPlainKey(JSON.stringify({ format: 'alter-audit-signing-keys.v1', keys: [entry] }))
    const keys = await openAuditSigningKeys({ key, clock })
    expect(keys.keyId()).toBe(entry.key_id)
    const signingInput = 'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc'
    expect(keys.sign(Buffer.from(signingInput)).toString('base64url')).toBe(
      'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg',
    )
  })

  test('are the same after a restart', async () => {
    const first = await openAuditSigningKeys({ key, clock })
    const again = await openAuditSigningKeys({ key, clock })
    expect(again.publicJwks()).toEqual(first.publicJwks())
    expect(verifies(first.publicJwks().keys[0]!, again.sign(MESSAGE))).toBe(true)
  })

  test('can be rotated: the old one stays listed with its end and can no longer sign', async () => {
    const keys = await openAuditSigningKeys({ key, clock })
    const oldSignature = keys.sign(MESSAGE)
    nowMs = Date.UTC(2026, 5, 1)
    const { keyId } = await keys.rotate()
    const restarted = await openAuditSigningKeys({ key, clock })
    for (const one of [keys, restarted]) {
      const [old, current] = one.publicJwks().keys
      expect(one.keyId()).toBe(keyId)
      expect([old!.not_after, current!.not_before, current!.not_after]).toEqual([
        '2026-06-01T00:00:00.000Z',
        '2026-06-01T00:00:00.000Z',
        null,
      ])
      expect(verifies(old!, oldSignature)).toBe(true)
      expect([verifies(old!, one.sign(MESSAGE)), verifies(current!, one.sign(MESSAGE))]).toEqual([false, true])
    }
    const stored = JSON.parse(key.read())
    expect(stored.keys.map((key: { private_key_pem: string | null }) => key.private_key_pem === null)).toEqual([
      true,
      false,
    ])
  })

  test.each([
    ['no key', () => ({ keys: [] })],
    ['another format', () => ({ format: 'x' })],
    ['a key id that does not fit', (one: object) => ({ keys: [{ ...one, key_id: 'x' }] })],
    ['a public key that is too short', (one: object) => ({ keys: [{ ...one, public_x: 'AAAA' }] })],
    ['a private key of another pair', (one: object) => ({ keys: [{ ...one, private_key_pem: strangerPem() }] })],
    ['a private key that is no PEM', (one: object) => ({ keys: [{ ...one, private_key_pem: 'x' }] })],
    ['no private key for the newest', (one: object) => ({ keys: [{ ...one, private_key_pem: null }] })],
    ['an ended newest key', (one: object) => ({ keys: [{ ...one, not_after: '2026-01-01T00:00:00Z' }] })],
    ['a start that is no time', (one: object) => ({ keys: [{ ...one, not_before: 1 }] })],
  ] as [string, (key: object) => object][])('with %s are refused', async (_, change) => {
    await openAuditSigningKeys({ key, clock })
    const stored = JSON.parse(key.read())
    const changed = createPlainKey(JSON.stringify({ ...stored, ...change(stored.keys[0]) }))
    await expect(openAuditSigningKeys({ key: changed, clock })).rejects.toThrow('is damaged')
  })
})

function strangerPem(): string {
  return generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
}
