import { describe, expect, it } from 'vitest'
import { agoWords, durationWords, sizeWords, timeLeftWords } from './quantity-words.ts'

describe('quantity words', () => {
  it.each([
    [-5, '0:00'],
    [0.9, '0:00'],
    [63, '1:03'],
    [3_599, '59:59'],
    [3_600, '1 h 00 min'],
    [172_799, '47 h 59 min'],
    [172_800, '2 days'],
    [604_800, '7 days'],
  ])('says how long %d seconds are until the end', (seconds, words) => expect(timeLeftWords(seconds)).toBe(words))

  it.each([
    [-10, 'just now'],
    [59, 'just now'],
    [60, '1 min ago'],
    [7_200, '2 h ago'],
    [86_400, 'yesterday'],
    [172_800, '2 days ago'],
  ])('says how long ago %d seconds are', (seconds, words) => expect(agoWords(seconds)).toBe(words))

  it.each([
    [84.6, '85 ms'],
    [1_234, '1.2 s'],
    [125_000, '2 min 05 s'],
  ])('says how long %d milliseconds are', (milliseconds, words) => expect(durationWords(milliseconds)).toBe(words))

  it.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [65_536, '64.0 KiB'],
    [1_048_576, '1.0 MiB'],
  ])('says how much %d bytes are', (bytes, words) => expect(sizeWords(bytes)).toBe(words))
})
