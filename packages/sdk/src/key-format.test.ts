import { formatKey } from '@alter-vault/contracts/key-format'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { isValidKey } from './key-format.ts'

const SCOPED = [
  'alter_rk_aaaaaaaaaaaaaaaaaaaaaa_l77ykl',
  'alter_ak_abcdefghijklmnopqrstuv_v7lnv3',
  'alter_dk_234567zyxwvutsrqponmlk_ntfqyo',
  'alter_pk_mfrggzdfmztwq2lknnwg23_sni5u5',
  'alter_rk_abcdefghijklmnopqrstuv_iwpykn',
]

describe('isValidKey', () => {
  test.each(SCOPED)('accepts %s, whose checksum fits', (key) => {
    expect(isValidKey(key)).toBe(true)
  })

  test('refuses a scoped key in which any one character is another', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...SCOPED),
        fc.integer({ min: 'alter_rk_'.length, max: SCOPED[0]!.length - 1 }),
        fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz234567'),
        (key, position, character) => {
          fc.pre(key[position] !== character)
          expect(isValidKey(key.slice(0, position) + character + key.slice(position + 1))).toBe(false)
        },
      ),
    )
  })

  test('refuses the token of an operator, which is written alike', () => {
    expect(isValidKey(formatKey('pat', 'abcdefghijklmnopqrstuv'))).toBe(false)
  })

  test('refuses a key whose type was changed', () => {
    expect(isValidKey('alter_ak_aaaaaaaaaaaaaaaaaaaaaa_l77ykl')).toBe(false)
  })

  test('accepts an older key by its length and alphabet alone', () => {
    expect(isValidKey(`alter_key_${'aZ09_-'.repeat(7).slice(0, 40)}`)).toBe(true)
    expect(isValidKey(`alter_key_${'a'.repeat(39)}`)).toBe(false)
    expect(isValidKey(`alter_key_${'a'.repeat(41)}`)).toBe(false)
    expect(isValidKey(`alter_key_${'a'.repeat(39)}!`)).toBe(false)
  })

  test.each([undefined, null, '', 7, {}, `${SCOPED[0]}\n`, ` ${SCOPED[0]}`, 'alter_pat_abc'])('refuses %j', (value) => {
    expect(isValidKey(value)).toBe(false)
  })
})
