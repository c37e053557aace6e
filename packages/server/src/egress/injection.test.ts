import { describe, expect, test } from 'vitest'
import type { CredentialType } from './credential-kind.ts'
import { credentialKinds } from './credential-kinds.ts'
import { parseInjection } from './injection.ts'

const additional = (over: Record<string, string>) => ({
  additional: [{ target: 'header', key: 'X-Account', value_source: 'token', ...over }],
})

describe('injection rules', () => {
  test('have defaults', () => {
    expect(parseInjection(credentialKinds.api_key, {})).toEqual({
      header: 'Authorization',
      format: 'Bearer {token}',
      additional: [],
    })
    expect(parseInjection(credentialKinds.aws_sigv4, {}).format).toBe('AWS4-HMAC-SHA256')
    expect(parseInjection(credentialKinds.api_key, { header: null, format: null, additional: null }).header).toBe(
      'Authorization',
    )
  })

  test('may set several headers and query parameters', () => {
    const raw = {
      header: 'X-Api-Key',
      format: '{token}',
      additional: [
        { target: 'header', key: 'X-Account', value_source: 'additional_credentials.account_id' },
        { target: 'query_param', key: 'api_key', value_source: 'token' },
      ],
    }
    expect(parseInjection(credentialKinds.custom, raw, { fieldNames: new Set(['account_id']) })).toEqual({
      header: 'X-Api-Key',
      format: '{token}',
      additional: [
        { target: 'header', key: 'X-Account', valueSource: 'additional_credentials.account_id' },
        { target: 'query_param', key: 'api_key', valueSource: 'token' },
      ],
    })
  })

  test.each([
    ...['Host', 'content-length', 'Content-Type', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'te'],
    ...['trailer', 'Cookie', 'set-cookie', 'Proxy-Authorization', 'proxy-anything', 'X-Forwarded-For'],
    ...['x-forwarded-anything', 'X-Real-IP', 'X-HTTP-Method-Override', 'X-Method-Override', 'WWW-Authenticate'],
    ...['Strict-Transport-Security', 'Content-Security-Policy', 'X-Alter-Caller'],
  ])('never use the header %s', (name) => {
    const refused = (pointer: string) =>
      expect.objectContaining({ errors: [expect.objectContaining({ pointer, code: 'forbidden_header' })] })
    expect(() => parseInjection(credentialKinds.api_key, { header: name })).toThrow(refused('/injection/header'))
    expect(() => parseInjection(credentialKinds.api_key, additional({ key: name }))).toThrow(
      refused('/injection/additional/0/key'),
    )
  })

  test.each([
    ['api_key', { header: 'X_Key' }, '/injection/header'],
    ['api_key', { header: '1-Key' }, '/injection/header'],
    ['api_key', { header: `X-${'a'.repeat(60)}` }, '/injection/header'],
    ['api_key', { header: 'X-Key\r\nHost' }, '/injection/header'],
    ['api_key', { format: 'Bearer' }, '/injection/format'],
    ['api_key', { format: '{token}{token}' }, '/injection/format'],
    ['api_key', { format: '{token}\r\nX-Evil: 1' }, '/injection/format'],
    ['api_key', { format: `{token}${'a'.repeat(200)}` }, '/injection/format'],
    ['api_key', { format: 'AWS4-HMAC-SHA256 {token}' }, '/injection/format'],
    ['aws_sigv4', { format: 'Bearer {token}' }, '/injection/format'],
    ['api_key', additional({ target: 'body' }), '/injection/additional/0/target'],
    ['api_key', additional({ target: 'query_param', key: 'a b' }), '/injection/additional/0/key'],
    ['api_key', additional({ value_source: 'password' }), '/injection/additional/0/value_source'],
    [
      'api_key',
      additional({ value_source: 'additional_credentials.account_id' }),
      '/injection/additional/0/value_source',
    ],
    ['custom', additional({ value_source: 'additional_credentials.other' }), '/injection/additional/0/value_source'],
    ['api_key', additional({ key: 'AUTHORIZATION' }), '/injection/additional/0/key'],
    [
      'api_key',
      {
        additional: Array.from({ length: 11 }, (_, n) => ({ target: 'header', key: `X-${n}`, value_source: 'token' })),
      },
      '/injection/additional',
    ],
  ] as [CredentialType, Parameters<typeof parseInjection>[1], string][])(
    'of %s are refused for %o',
    (type, raw, pointer) => {
      expect(() => parseInjection(credentialKinds[type], raw, { fieldNames: new Set(['account_id']) })).toThrow(
        expect.objectContaining({ code: 'validation_failed', errors: [expect.objectContaining({ pointer })] }),
      )
    },
  )
})
