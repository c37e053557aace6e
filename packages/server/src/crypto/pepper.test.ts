import { createHmac, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { expect, test } from 'vitest'
import { createKeyDigest } from './pepper.ts'

const KEY = 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'

test('a key is digested with HMAC-SHA-256 under the pepper, which is wiped from where it came', () => {
  const pepper = randomBytes(32)
  const expected = createHmac('sha256', pepper).update(KEY).digest()
  const keyDigest = createKeyDigest(pepper)
  expect(keyDigest(KEY)).toEqual(expected)
  expect(pepper).toEqual(Buffer.alloc(32))
})

test('another pepper gives another digest', () => {
  const [one, other] = [createKeyDigest(randomBytes(32)), createKeyDigest(randomBytes(32))]
  expect(one(KEY)).not.toEqual(other(KEY))
})

test('the pepper is not shown when it is printed', () => {
  const pepper = randomBytes(32)
  const shown = [pepper.toString('hex'), pepper.toString('base64')].map((text) => text.slice(0, 8))
  const printed = inspect({ keyDigest: createKeyDigest(pepper) }, { depth: 9, showHidden: true })
  for (const text of shown) expect(printed).not.toContain(text)
})
