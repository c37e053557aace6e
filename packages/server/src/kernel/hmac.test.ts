import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { hmacSha256 } from './hmac.ts'

test('an HMAC is that of RFC 4231, test case 2', () => {
  const digest = hmacSha256(Buffer.from('Jefe')).update('what do ya want for nothing?').digest('hex')
  expect(digest).toBe('5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')
})

test('an HMAC is that of the raw key, whatever the key', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 200 }), fc.uint8Array(), (key, data) => {
      expect(hmacSha256(key).update(data).digest('hex')).toBe(createHmac('sha256', key).update(data).digest('hex'))
    }),
  )
})
