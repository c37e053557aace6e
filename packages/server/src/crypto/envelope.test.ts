import { createCipheriv, createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type EnvelopeKey, FRAME_OVERHEAD_BYTES, frameKeyId, open, type Place, seal } from './envelope.ts'
import format1 from './envelope-format-1.fixture.json' with { type: 'json' }

const key: EnvelopeKey = { id: randomUUID(), key: createSecretKey(randomBytes(32)) }
const place: Place = { appId: 'app', table: 'credentials', column: 'sealed_value', rowId: 'row' }

describe('a frame', () => {
  test('opens to what was sealed, for any place and plaintext', () => {
    const places = fc.record({ appId: fc.string(), table: fc.string(), column: fc.string(), rowId: fc.string() })
    fc.assert(
      fc.property(places, fc.uint8Array({ maxLength: 300 }), (anywhere, plaintext) => {
        const frame = seal(key, anywhere, plaintext)
        expect(frame.length).toBe(plaintext.length + FRAME_OVERHEAD_BYTES)
        expect(open(key, anywhere, frame)).toEqual(Buffer.from(plaintext))
      }),
    )
  })

  test('names the key that sealed it', () => {
    expect(frameKeyId(seal(key, place, Buffer.from('x')))).toBe(key.id)
  })

  test('differs each time, and its nonce never comes back', () => {
    const nonces = new Set(
      Array.from({ length: 2_000 }, () => seal(key, place, Buffer.from('x')).toString('hex', 17, 29)),
    )
    expect(nonces.size).toBe(2_000)
  })

  test('opens in no other place', () => {
    const texts = fc.string({ unit: fc.constantFrom('a', 'b', '/', 'ä', '\0'), maxLength: 4 })
    const parts = fc.tuple(texts, texts, texts, texts)
    const toPlace = ([appId, table, column, rowId]: string[]) => ({ appId, table, column, rowId }) as Place
    fc.assert(
      fc.property(parts, parts, (here, there) => {
        fc.pre(here.some((part, index) => part !== there[index]))
        const frame = seal(key, toPlace(here), Buffer.from('secret'))
        expect(() => open(key, toPlace(there), frame)).toThrow(expect.objectContaining({ reason: 'not_authentic' }))
      }),
    )
  })

  test('does not open when any one bit of it was changed', () => {
    const frame = seal(key, place, Buffer.from('secret'))
    for (let bit = 0; bit < frame.length * 8; bit += 1) {
      const changed = Buffer.from(frame)
      changed[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => open(key, place, changed)).toThrow(expect.objectContaining({ name: 'EnvelopeError' }))
    }
  })

  test('does not open when it was cut', () => {
    const frame = seal(key, place, Buffer.from('secret'))
    for (let length = 0; length < frame.length; length += 1) {
      const reason = length < FRAME_OVERHEAD_BYTES ? 'malformed' : 'not_authentic'
      expect(() => open(key, place, frame.subarray(0, length))).toThrow(expect.objectContaining({ reason }))
    }
  })

  test('does not open with another key, nor with another key of the same id', () => {
    const frame = seal(key, place, Buffer.from('secret'))
    const other = { id: randomUUID(), key: createSecretKey(randomBytes(32)) }
    expect(() => open(other, place, frame)).toThrow(expect.objectContaining({ reason: 'wrong_key' }))
    expect(() => open({ ...other, id: key.id }, place, frame)).toThrow(
      expect.objectContaining({ reason: 'not_authentic' }),
    )
  })

  test('does not open when it says another key sealed it, even one with the same bytes', () => {
    const twin = { id: randomUUID(), key: key.key }
    const frame = seal(key, place, Buffer.from('secret'))
    Buffer.from(twin.id.replaceAll('-', ''), 'hex').copy(frame, 1)
    expect(() => open(twin, place, frame)).toThrow(expect.objectContaining({ reason: 'not_authentic' }))
  })

  test('of an unknown format is refused as such', () => {
    const frame = seal(key, place, Buffer.from('secret'))
    frame[0] = 2
    expect(() => open(key, place, frame)).toThrow(expect.objectContaining({ reason: 'unknown_format' }))
  })

  test('cannot be sealed with a key whose id is no UUID', () => {
    expect(() => seal({ ...key, id: 'main' }, place, Buffer.from('x'))).toThrow('not a UUID')
  })

  test('tells nothing of its content when it does not open', () => {
    const frame = seal(key, place, Buffer.from('very-secret'))
    frame[frame.length - 1]! ^= 1
    try {
      open(key, place, frame)
      expect.unreachable()
    } catch (error) {
      expect(String((error as Error).stack)).not.toContain('very-secret')
    }
  })
})

describe('format 1', () => {
  const fixed = { id: format1.key_id, key: createSecretKey(Buffer.from(format1.key, 'hex')) }

  // These frames stand for data that exists. If this test fails, the code is wrong and never the fixture.
  test.each(format1.frames)(
    'opens the frame kept for $place.table',
    ({ place: { app_id, row_id, ...rest }, plaintext, frame }) => {
      const opened = open(fixed, { appId: app_id, rowId: row_id, ...rest }, Buffer.from(frame, 'base64'))
      expect(opened.toString()).toBe(plaintext)
    },
  )

  test('is as it is drawn: built here by hand, it opens', () => {
    const nonce = randomBytes(12)
    const header = Buffer.from(`01${fixed.id.replaceAll('-', '')}`, 'hex')
    const sized = (text: string) => {
      const length = Buffer.alloc(4)
      length.writeUInt32BE(Buffer.byteLength(text))
      return Buffer.concat([length, Buffer.from(text)])
    }
    const cipher = createCipheriv('aes-256-gcm', fixed.key, nonce)
    cipher.setAAD(Buffer.concat([header, ...['app', 'credentials', 'sealed_value', 'row'].map(sized)]))
    const sealed = Buffer.concat([cipher.update('by hand'), cipher.final()])
    const frame = Buffer.concat([header, nonce, sealed, cipher.getAuthTag()])
    expect(open(fixed, place, frame).toString()).toBe('by hand')
  })
})
