import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatKey, KEY_RANDOM_LENGTH, keyPrefixOf, keyRandomFrom, parseKey, type ScopedType } from './key-format.ts'

const VECTORS: [ScopedType, string, string][] = [
  ['rk', 'aaaaaaaaaaaaaaaaaaaaaa', 'alter_rk_aaaaaaaaaaaaaaaaaaaaaa_l77ykl'],
  ['rk', 'abcdefghijklmnopqrstuv', 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'],
  ['ak', 'abcdefghijklmnopqrstuv', 'alter_ak_abcdefghijklmnopqrstuv_v7lnv3'],
  ['dk', '234567zyxwvutsrqponmlk', 'alter_dk_234567zyxwvutsrqponmlk_ntfqyo'],
  ['pk', 'mfrggzdfmztwq2lknnwg23', 'alter_pk_mfrggzdfmztwq2lknnwg23_sni5u5'],
]

const types = fc.constantFrom<ScopedType>('rk', 'ak', 'dk', 'pk', 'pat')
const randoms = fc.uint8Array({ minLength: KEY_RANDOM_LENGTH, maxLength: KEY_RANDOM_LENGTH }).map(keyRandomFrom)

describe('the written form of a key', () => {
  it.each(VECTORS)('of type %s over %s is %s', (type, random, key) => {
    expect(formatKey(type, random)).toBe(key)
    expect(parseKey(key)).toEqual({ form: 'scoped', type, random })
  })

  it('reads back what it writes', () => {
    fc.assert(
      fc.property(types, randoms, (type, random) => {
        expect(parseKey(formatKey(type, random))).toEqual({ form: 'scoped', type, random })
      }),
    )
  })

  it('finds one changed character', () => {
    fc.assert(
      fc.property(types, randoms, fc.nat({ max: KEY_RANDOM_LENGTH - 1 }), (type, random, place) => {
        const other = random[place] === 'a' ? 'b' : 'a'
        const checksum = formatKey(type, random).slice(-6)
        const changed = `${random.slice(0, place)}${other}${random.slice(place + 1)}`
        expect(parseKey(`alter_${type}_${changed}_${checksum}`)).toBeUndefined()
      }),
    )
  })

  it('accepts the older form in its one length only', () => {
    expect(parseKey(`alter_key_${'aB3_-'.repeat(8)}`)).toEqual({ form: 'older' })
    expect(parseKey(`alter_key_${'a'.repeat(39)}`)).toBeUndefined()
    expect(parseKey(`alter_key_${'a'.repeat(41)}`)).toBeUndefined()
  })

  it.each([
    '',
    'alter_rk_',
    'ALTER_RK_abcdefghijklmnopqrstuv_iwpykn',
    ' alter_rk_abcdefghijklmnopqrstuv_iwpykn',
    'sk_live_1',
  ])('refuses %j', (text) => {
    expect(parseKey(text)).toBeUndefined()
  })

  it('shows sixteen characters at most', () => {
    expect(keyPrefixOf('alter_rk_abcdefghijklmnopqrstuv_iwpykn')).toBe('alter_rk_abcdefg')
  })

  it('will not write a key of the wrong length or alphabet', () => {
    expect(() => formatKey('rk', 'short')).toThrow(RangeError)
    expect(() => formatKey('rk', 'A'.repeat(22))).toThrow(RangeError)
    expect(() => keyRandomFrom(new Uint8Array(21))).toThrow(RangeError)
  })
})
