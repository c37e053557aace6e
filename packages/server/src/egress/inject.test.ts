import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAwsClockSkew } from './aws-clock-skew.ts'
import { type CanonicalUrl, canonicalUrl } from './canonical-url.ts'
import type { CredentialType, CredentialValue } from './credential-kind.ts'
import { credentialKinds, parseCredentialValue } from './credential-kinds.ts'
import { dropInjectedNames } from './inject.ts'
import { DEFAULT_INJECTION, type Injection } from './injection.ts'

const credential = parseCredentialValue
const context = { awsClockSkew: createAwsClockSkew({ clock: { now: () => 0 } }) }
const open = (value: CredentialValue, injection: Injection) =>
  credentialKinds[value.type].open(value, injection, context)
const injectedNames = (type: CredentialType, injection: Injection) => credentialKinds[type].injectedNames(injection)
const retrieveFields = (value: CredentialValue, injection: Injection) => open(value, injection).retrieve()

function injectCredential(
  value: CredentialValue,
  injection: Injection,
  call: { url: CanonicalUrl; headers: [string, string][] },
) {
  const { apply, secrets } = open(value, injection)
  const names = injectedNames(value.type, injection)
  return { ...apply({ ...call, method: 'GET', body: undefined }), names, secrets }
}

const CUSTOM = credential('custom', { token: 'tok-$&-1', fields: { account: 'acct/1', region: 'eu' } })
const CUSTOM_INJECTION: Injection = {
  header: 'X-Token',
  format: 'Token token="{token}"',
  additional: [
    { target: 'header', key: 'X-Account', valueSource: 'additional_credentials.account' },
    { target: 'query_param', key: 'api_key', valueSource: 'token' },
    { target: 'query_param', key: 'acct', valueSource: 'additional_credentials.account' },
  ],
}
const REQUEST = {
  url: canonicalUrl('https://api.example.com/v1?q=1'),
  headers: [['accept', 'a/b']] as [string, string][],
}

describe('a credential on a request', () => {
  test('of type bearer is a bearer token, whatever the rules say', () => {
    const injection: Injection = { header: 'X-Elsewhere', format: 'k={token}', additional: [] }
    const injected = injectCredential(credential('bearer', { token: 'tok-1' }), injection, REQUEST)
    expect(injected.names).toEqual({ headers: ['authorization'], queryParams: [] })
    expect(injected.headers).toContainEqual(['authorization', 'Bearer tok-1'])
  })

  test('of type api_key goes where it is told', () => {
    const injection: Injection = { header: 'X-Api-Key', format: 'k={token}', additional: [] }
    const injected = injectCredential(credential('api_key', { token: 'tok-1' }), injection, REQUEST)
    expect(injected).toMatchObject({
      headers: [
        ['accept', 'a/b'],
        ['x-api-key', 'k=tok-1'],
      ],
      names: { headers: ['x-api-key'], queryParams: [] },
      secrets: ['tok-1'],
    })
    expect(injected.url).toBe(REQUEST.url)
  })

  test('of type basic is the base64 of both parts', () => {
    const basic = credential('basic', { username: 'Aladdin', password: 'open sesame' })
    const injected = injectCredential(basic, DEFAULT_INJECTION, REQUEST)
    expect(injected.headers).toContainEqual(['authorization', 'Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=='])
    expect(injected.secrets).toEqual(['open sesame', 'QWxhZGRpbjpvcGVuIHNlc2FtZQ=='])
  })

  test('of type custom sets several headers and query parameters, the query last', () => {
    const injected = injectCredential(CUSTOM, CUSTOM_INJECTION, REQUEST)
    expect(injected.headers).toEqual([
      ['accept', 'a/b'],
      ['x-token', 'Token token="tok-$&-1"'],
      ['x-account', 'acct/1'],
    ])
    expect(injected.url.query).toBe('q=1&api_key=tok-%24%26-1&acct=acct%2F1')
    expect(injected.names).toEqual({ headers: ['x-token', 'x-account'], queryParams: ['api_key', 'acct'] })
    expect(injected.secrets).toEqual(['tok-$&-1', 'acct/1', 'eu'])
  })

  test("replaces the caller's own headers and query parameters of the same name", () => {
    const url = canonicalUrl('https://api.example.com/v1?api%5Fkey=mine&q=1&acct=mine&account=kept&api_key')
    const headers: [string, string][] = [
      ['x-account', 'mine'],
      ['x-other', 'kept'],
    ]
    const { headers: sent, url: sentUrl } = injectCredential(CUSTOM, CUSTOM_INJECTION, { url, headers })
    expect(sent.filter(([name]) => name === 'x-account')).toEqual([['x-account', 'acct/1']])
    expect(sentUrl.query).toBe('q=1&account=kept&api_key=tok-%24%26-1&acct=acct%2F1')
    const cleared = dropInjectedNames(injectedNames('custom', CUSTOM_INJECTION), url, headers)
    expect(cleared.dropped).toEqual({ headers: ['x-account'], queryParams: ['api_key', 'acct'] })
    expect(cleared.url.query).toBe('q=1&account=kept')
    expect(cleared.headers).toEqual([['x-other', 'kept']])
  })

  test('says which names it takes without being opened', () => {
    expect(injectedNames('bearer', CUSTOM_INJECTION).headers).toEqual(['authorization', 'x-account'])
    expect(injectedNames('aws_sigv4', DEFAULT_INJECTION)).toEqual({
      headers: ['authorization', 'x-amz-content-sha256', 'x-amz-date', 'x-amz-security-token'],
      queryParams: [],
    })
  })

  test('cannot be injected by a rule that reads a field it does not have', () => {
    const injection: Injection = {
      ...DEFAULT_INJECTION,
      additional: [{ target: 'header', key: 'X-A', valueSource: 'additional_credentials.gone' }],
    }
    expect(() => injectCredential(CUSTOM, injection, REQUEST)).toThrow('gone')
  })

  test("is the only value of its names, whatever the caller's query is", () => {
    const name = fc.constantFrom(
      'api_key',
      'api%5Fkey',
      '%61pi_key',
      'API_KEY',
      'api.key',
      'x;api_key',
      'api_key[]',
      '+api_key',
      'acct',
      'a%63ct',
      'other',
      '',
    )
    const value = fc.constantFrom('', '=', '=mine', '=mi%26ne', '==')
    const pieces = fc.array(
      fc.tuple(name, value).map((pair) => pair.join('')),
      { maxLength: 6 },
    )
    fc.assert(
      fc.property(pieces, (parts) => {
        const url = canonicalUrl(`https://api.example.com/?${parts.join('&')}`)
        const query = new URLSearchParams(injectCredential(CUSTOM, CUSTOM_INJECTION, { url, headers: [] }).url.query)
        expect(query.getAll('api_key')).toEqual(['tok-$&-1'])
        expect(query.getAll('acct')).toEqual(['acct/1'])
        expect([...query.keys()].filter((name) => /api.key/i.test(name))).toEqual(['api_key'])
      }),
    )
  })
})

describe('a credential handed to a client', () => {
  test.each([
    [
      'bearer',
      { token: 'tok-1' },
      { access_token: 'tok-1', injection_header: 'Authorization', injection_format: 'Bearer {token}' },
    ],
    [
      'basic',
      { username: 'a', password: 'b' },
      { access_token: 'YTpi', injection_header: 'Authorization', injection_format: 'Basic {token}' },
    ],
    [
      'api_key',
      { token: 'tok-1' },
      { access_token: 'tok-1', injection_header: 'X-Key', injection_format: 'k={token}' },
    ],
  ] as const)('of type %s says where it goes', (type, json, fields) => {
    const injection: Injection = { header: 'X-Key', format: 'k={token}', additional: [] }
    expect(retrieveFields(parseCredentialValue(type, json), injection)).toEqual({
      token_type: type === 'basic' ? 'Basic' : 'Bearer',
      ...fields,
      additional_credentials: null,
      additional_injections: null,
    })
  })

  test('of type custom brings its fields and rules', () => {
    expect(retrieveFields(CUSTOM, CUSTOM_INJECTION)).toEqual({
      access_token: 'tok-$&-1',
      token_type: 'Bearer',
      injection_header: 'X-Token',
      injection_format: 'Token token="{token}"',
      additional_credentials: { account: 'acct/1', region: 'eu' },
      additional_injections: [
        { target: 'header', key: 'X-Account', value_source: 'additional_credentials.account' },
        { target: 'query_param', key: 'api_key', value_source: 'token' },
        { target: 'query_param', key: 'acct', value_source: 'additional_credentials.account' },
      ],
    })
  })

  test('of type aws_sigv4 brings what a client needs to sign', () => {
    const value = parseCredentialValue('aws_sigv4', {
      access_key_id: 'AKIAIOSFODNN7EXAMPLE',
      secret_access_key: 'secret-1',
      session_token: 'session-1',
      region: 'eu-west-1',
    })
    expect(retrieveFields(value, DEFAULT_INJECTION)).toEqual({
      access_token: 'AKIAIOSFODNN7EXAMPLE',
      token_type: 'Bearer',
      injection_header: 'Authorization',
      injection_format: 'AWS4-HMAC-SHA256',
      additional_credentials: { secret_key: 'secret-1', session_token: 'session-1', region: 'eu-west-1' },
      additional_injections: null,
    })
  })
})
