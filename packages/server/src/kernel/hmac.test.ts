import { createHmac } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HmacKey } from './hmac.ts'

test('an HMAC is that of RFC 4231, test case 2', () => {
  const digest = new HmacKey(Buffer.from('Jefe')).digest('what do ya want for nothing?', 'hex')
  expect(digest).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')
})

test('an HMAC is that of Node, whatever the key and the message', () => {
  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 300 }),
    fc.constantFrom('é'.repeat(6_000), 'x'.repeat(20_000)),
  )
  const bytes = fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(Buffer.alloc(20_000, 7)))
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.oneof(text, bytes), (raw, message) => {
      const key = new HmacKey(raw)
      const expected = createHmac('sha256', raw).update(message).digest()
      expect(key.digest(message, 'hex')).toBe(expected.toString('hex'))
      expect(key.bytes(message)).toEqual(expected)
      expect(HmacKey.once(raw, message, 'hex')).toBe(expected.toString('hex'))
    }),
  )
})

test('a key shows nothing of itself when it is printed', () => {
  expect(inspect(new HmacKey(Buffer.from('Jefe')), { showHidden: true, depth: 5 })).toBe('HmacKey {}')
})
