import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CREDENTIAL_MARK, createScrubber } from './scrub.ts'

const SECRET = 'sk_live/4f+9a "b"&<c>é='

describe('a credential in an answer', () => {
  test.each([
    ['as it is', SECRET],
    ['percent-encoded', encodeURIComponent(SECRET)],
    ['percent-encoded with small letters', encodeURIComponent(SECRET).replace(/%../g, (hex) => hex.toLowerCase())],
    ['form-encoded', new URLSearchParams({ a: SECRET }).toString().slice(2)],
    ['in JSON', JSON.stringify(SECRET).slice(1, -1)],
    ['in JSON with escaped slashes', JSON.stringify(SECRET).slice(1, -1).replaceAll('/', '\\/')],
    ['in ASCII JSON', JSON.stringify(SECRET).slice(1, -1).replace('é', '\\u00e9')],
    ['in HTML', SECRET.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')],
    ['in base64', Buffer.from(SECRET).toString('base64').replace(/=+$/, '')],
    ['in base64url', Buffer.from(SECRET).toString('base64url')],
  ])('%s is replaced', (_, form) => {
    const scrubber = createScrubber([SECRET])
    const text = scrubber.text(`before ${form} after`)
    expect(text).toContain(CREDENTIAL_MARK)
    expect(text).not.toContain(form)
    expect(scrubber.body(Buffer.from(`before ${form} after`)).toString()).toBe(text)
    expect(scrubber.found()).toBe(true)
  })

  test('is replaced every time, in headers too', () => {
    const scrubber = createScrubber(['secret-1'])
    expect(scrubber.body(Buffer.from('secret-1,secret-1')).toString()).toBe('[credential],[credential]')
    expect(scrubber.headers([['x-echo', 'Bearer secret-1']])).toEqual([['x-echo', 'Bearer [credential]']])
  })

  test('is replaced whole when one secret begins another', () => {
    expect(createScrubber(['secret', 'secret-long']).text('a secret-long b')).toBe('a [credential] b')
  })

  test.each([0, 1, 2])('cannot be read out of base64 where it stands %s bytes into a group', (before) => {
    const scrubber = createScrubber(['correct-horse-battery'])
    const encoded = Buffer.from(`${'u'.repeat(before + 3)}correct-horse-battery:tail`).toString('base64')
    const scrubbed = scrubber.text(`{"auth":"${encoded}"}`)
    expect(scrubbed).toContain(CREDENTIAL_MARK)
    expect(Buffer.from(scrubbed.split('"')[3]!.split(CREDENTIAL_MARK)[0]!, 'base64').toString()).not.toContain(
      'correct',
    )
  })

  test('leaves other bytes as they are, and the very buffer when there is nothing to replace', () => {
    const binary = Buffer.from([0, 255, 254, 10, 13, 128])
    const scrubber = createScrubber(['secret-1'])
    expect(scrubber.body(binary)).toBe(binary)
    const mixed = Buffer.concat([binary, Buffer.from('secret-1'), binary])
    const expected = Buffer.concat([binary, Buffer.from(CREDENTIAL_MARK), binary])
    expect(createScrubber(['secret-1']).body(mixed)).toEqual(expected)
    expect(scrubber.found()).toBe(false)
  })

  test('shorter than four characters is not searched for', () => {
    const scrubber = createScrubber(['abc', ''])
    expect([scrubber.text('abcabc'), scrubber.found()]).toEqual(['abcabc', false])
    expect(createScrubber(['abcd']).text('xabcdx')).toBe('x[credential]x')
  })

  test('cut off at the end of a cut body is replaced as far as it goes', () => {
    const scrubber = createScrubber(['secret-token-1'])
    expect(scrubber.body(Buffer.from('body secret-to'), { truncated: true }).toString()).toBe('body [credential]')
    expect(scrubber.body(Buffer.from('body secret-to')).toString()).toBe('body secret-to')
    expect(scrubber.body(Buffer.from('body sec'), { truncated: true }).toString()).toBe('body sec')
  })
})

test('no form of any secret survives in any text', () => {
  const secretText = fc.string({ unit: 'grapheme', minLength: 6, maxLength: 30 }).filter((text) => text.isWellFormed())
  fc.assert(
    fc.property(secretText, fc.string({ maxLength: 9 }), fc.string({ maxLength: 9 }), (secret, before, after) => {
      fc.pre(!CREDENTIAL_MARK.includes(secret))
      const scrubber = createScrubber([secret])
      const forms = [
        secret,
        encodeURIComponent(secret),
        JSON.stringify(secret).slice(1, -1),
        Buffer.from(secret).toString('base64').replace(/=+$/, ''),
      ]
      for (const form of forms) {
        const text = `${before}\n${form}\n${after}`
        const scrubbed = scrubber.body(Buffer.from(text)).toString()
        expect(scrubbed).not.toContain(`\n${form}\n`)
        expect(scrubber.text(text)).toContain(CREDENTIAL_MARK)
      }
    }),
  )
})
