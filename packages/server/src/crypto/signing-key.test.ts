import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { HmacKey } from '../kernel/hmac.ts'
import { deriveSigningKey, isSignatureOf, signText } from './signing-key.ts'

/** The vectors of the protocol description: one API key, its signing key, and a request signed with it. */
const PLAIN_KEY = 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'
const SIGNING_KEY = 'd686d74251939c285fe8fa5ad18c0e2003f1ca17a5346e7838389386c1ac079f'
const REQUEST = [
  'POST',
  '/sdk/grants/list',
  '1767225600',
  '000102030405060708090a0b0c0d0e0f',
  '79cca47b16046efc521110b1af7825c6ea1893f0513b5314c7d4cc8cc4bed0fb',
  '',
].join('\n')
const SIGNATURE = '958c9fd3ee528b89ee4b7ce8bd2f88623aa4ff43ee8bb02c5c15b70b66c7844a'

describe('the signing key of an API key', () => {
  test('is the published one', () => {
    const published = new HmacKey(Buffer.from(SIGNING_KEY, 'hex'))
    expect(signText(deriveSigningKey(PLAIN_KEY), 'é')).toBe(signText(published, 'é'))
  })

  test('signs as published', () => {
    expect(signText(deriveSigningKey(PLAIN_KEY), REQUEST)).toBe(SIGNATURE)
  })

  test('is not shown when it is printed', () => {
    expect(inspect(deriveSigningKey(PLAIN_KEY))).not.toContain(SIGNING_KEY.slice(0, 8))
  })
})

describe('a signature', () => {
  const key = deriveSigningKey(PLAIN_KEY)

  test('is recognized', () => {
    expect(isSignatureOf(key, REQUEST, SIGNATURE)).toBe(true)
  })

  test.each([
    ['of another text', `${REQUEST} `, SIGNATURE],
    ['with its last digit changed', REQUEST, `${SIGNATURE.slice(0, -1)}b`],
    ['in capital letters', REQUEST, SIGNATURE.toUpperCase()],
    ['that is too short', REQUEST, SIGNATURE.slice(0, -2)],
    ['that is too long', REQUEST, `${SIGNATURE}00`],
    ['that is no hex', REQUEST, 'z'.repeat(64)],
    ['that is empty', REQUEST, ''],
  ])('%s is not', (_, text, signature) => {
    expect(isSignatureOf(key, text, signature)).toBe(false)
  })

  test('of another key is not', () => {
    expect(isSignatureOf(deriveSigningKey(`${PLAIN_KEY}x`), REQUEST, SIGNATURE)).toBe(false)
  })
})
