import { describe, expect, it } from 'vitest'
import { bytesOf, escapeBytes } from './raw-bytes.ts'

describe('raw bytes', () => {
  it('reads base64', () => expect([...bytesOf('/wBB')]).toEqual([0xff, 0, 0x41]))

  it('escapes what cannot be read, and what could be taken for an escape', () => {
    expect(escapeBytes(Uint8Array.of(0x41, 0xff, 0x00, 0x5c, 0x0a, 0x7f))).toBe('A\\xff\\x00\\\\\\n\n\\x7f')
  })
})
