import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import type { CredentialType, CredentialValue } from './credential-kind.ts'
import { credentialKinds, lastFour, parseCredentialValue } from './credential-kinds.ts'

const secretStrings = (value: CredentialValue) => credentialKinds[value.type].secrets(value)
const credentialValueToJson = (value: CredentialValue) => credentialKinds[value.type].toJson(value)

const AWS = { access_key_id: 'AKIAIOSFODNN7EXAMPLE', secret_access_key: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
const VALID: [CredentialType, Record<string, unknown>, string[]][] = [
  ['bearer', { token: 'tok-12345' }, ['tok-12345']],
  ['api_key', { token: 'key 12345' }, ['key 12345']],
  ['basic', { username: 'ann', password: 'pä:ss' }, ['pä:ss', Buffer.from('ann:pä:ss').toString('base64')]],
  ['basic', { encoded: 'YW5uOmh1bnRlcjI=' }, ['hunter2', 'YW5uOmh1bnRlcjI=']],
  ['aws_sigv4', AWS, [AWS.secret_access_key]],
  [
    'aws_sigv4',
    { ...AWS, session_token: 'session-1', region: 'eu-west-1', service: 's3' },
    [AWS.secret_access_key, 'session-1'],
  ],
  ['custom', { token: 'tok-12345' }, ['tok-12345']],
  ['custom', { token: 'tok-12345', fields: { account_id: 'acct-1' } }, ['tok-12345', 'acct-1']],
]

describe('a credential value', () => {
  test.each(VALID)('of type %s is read from %o', (type, json, secrets) => {
    const value = parseCredentialValue(type, json)
    expect(value.type).toBe(type)
    expect(secretStrings(value)).toEqual(secrets)
  })

  test.each(VALID)('of type %s comes back from what is sealed of %o', (type, json, secrets) => {
    const sealed = credentialValueToJson(parseCredentialValue(type, json))
    const again = parseCredentialValue(type, JSON.parse(JSON.stringify(sealed)))
    expect(secretStrings(again)).toEqual(secrets)
    expect(credentialValueToJson(again)).toEqual(sealed)
  })

  test.each(VALID)('of type %s prints none of its secrets, from %o', (type, json, secrets) => {
    const value = parseCredentialValue(type, json)
    const printed = [inspect(value, { depth: 9 }), JSON.stringify(value), `${Object.values(value).join()}`].join()
    for (const secret of secrets) expect(printed).not.toContain(secret)
  })

  test.each([
    ['bearer', {}, '/value/token'],
    ['bearer', { token: '' }, '/value/token'],
    ['bearer', { token: 12345678 }, '/value/token'],
    ['bearer', { token: 'a\r\nX-Evil: 1' }, '/value/token'],
    ['bearer', { token: 'a\u0000b' }, '/value/token'],
    ['bearer', { token: 'pasted\n' }, '/value/token'],
    ['bearer', { token: ' padded' }, '/value/token'],
    ['bearer', { token: 'ünïcode' }, '/value/token'],
    ['bearer', { token: 'x'.repeat(8_193) }, '/value/token'],
    ['bearer', { token: 'x', extra: 1 }, '/value/extra'],
    ['basic', { username: 'a:b', password: 'c' }, '/value/username'],
    ['basic', { username: 'a\n', password: 'c' }, '/value/username'],
    ['basic', { username: 'a', password: 'c\u0007' }, '/value/password'],
    ['basic', { username: 'a' }, '/value/password'],
    ['basic', { username: '', password: '' }, '/value/username'],
    ['basic', { username: 'a', password: 'x'.repeat(7_000) }, '/value'],
    ['basic', { encoded: 'bm8gY29sb24=' }, '/value/encoded'],
    ['basic', { encoded: 'not base64!' }, '/value/encoded'],
    ['basic', { encoded: 'YTpi', username: 'a' }, '/value/encoded'],
    ['aws_sigv4', { ...AWS, access_key_id: 'short' }, '/value/access_key_id'],
    ['aws_sigv4', { access_key_id: AWS.access_key_id }, '/value/secret_access_key'],
    ['aws_sigv4', { ...AWS, region: 'EU West' }, '/value/region'],
    ['aws_sigv4', { ...AWS, role_arn: 'arn:aws:iam::1:role/x' }, '/value/role_arn'],
    ['custom', { token: 'x', fields: { 'Bad-Name': 'y' } }, '/value/fields/Bad-Name'],
    ['custom', { token: 'x', fields: { a: '  ' } }, '/value/fields/a'],
    ['custom', { token: 'x', fields: { a: 'b\nc' } }, '/value/fields/a'],
    ['custom', { token: 'x', fields: [] }, '/value/fields'],
    [
      'custom',
      { token: 'x', fields: Object.fromEntries(Array.from({ length: 11 }, (_, n) => [`f${n}`, 'v'])) },
      '/value/fields',
    ],
    ['bearer', null, '/value'],
    ['bearer', 'text', '/value'],
    ['bearer', [], '/value'],
  ] as [CredentialType, unknown, string][])('of type %s is refused for %o', (type, json, pointer) => {
    expect(() => parseCredentialValue(type, json)).toThrow(
      expect.objectContaining({ code: 'validation_failed', errors: [expect.objectContaining({ pointer })] }),
    )
  })

  test('is not repeated in its refusal', () => {
    const parse = () => parseCredentialValue('custom', { token: 'very-secret\n', fields: { a: 'hidden-too\n' } }, '/v')
    try {
      parse()
      expect.unreachable()
    } catch (error) {
      expect(inspect(error)).not.toMatch(/very-secret|hidden-too/)
    }
  })

  test('shows its last four characters only when it is long', () => {
    expect(lastFour(parseCredentialValue('bearer', { token: `${'x'.repeat(15)}12345` }))).toBe('2345')
    expect(lastFour(parseCredentialValue('bearer', { token: `${'x'.repeat(15)}1234` }))).toBeUndefined()
    expect(lastFour(parseCredentialValue('aws_sigv4', AWS))).toBe('EKEY')
    expect(lastFour(parseCredentialValue('basic', { username: 'ann', password: 'p'.repeat(19) }))).toBeUndefined()
  })
})
