import { createHash, createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { authorizationOf, canonicalPath, canonicalQuery, type Hashes } from './signature.ts'

const EMPTY_SHA256 = createHash('sha256').digest('hex')

/** Keys and time of the AWS Signature Version 4 test suite. */
const SUITE_KEYS = {
  accessKeyId: 'AKIDEXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY',
}
const SUITE_SCOPE = { region: 'us-east-1', service: 'service' }
const SUITE_TIME = '20150830T123600Z'

const hashes: Hashes = {
  sha256: (text) => createHash('sha256').update(text).digest('hex'),
  hmac: (key, text) => createHmac('sha256', key).update(text).digest(),
}

describe('published signatures', () => {
  test.each([
    ['get-vanilla', 'GET', '', [], EMPTY_SHA256, '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31'],
    ['post-vanilla', 'POST', '', [], EMPTY_SHA256, '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b'],
    [
      'get-vanilla-query-order-key-case',
      'GET',
      'Param1=value1&Param2=value2',
      [],
      EMPTY_SHA256,
      'b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500',
    ],
    [
      'post-x-www-form-urlencoded',
      'POST',
      '',
      [['content-type', 'application/x-www-form-urlencoded']],
      createHash('sha256').update('Param1=value1').digest('hex'),
      'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
    ],
  ] as [string, string, string, [string, string][], string, string][])(
    'of the AWS test suite: %s',
    (_, method, query, extra, payloadSha256, signature) => {
      const headers: [string, string][] = [['x-amz-date', SUITE_TIME], ['host', 'example.amazonaws.com'], ...extra]
      const request = { method, path: '/', query, headers, payloadSha256 }
      expect(authorizationOf(request, SUITE_KEYS, SUITE_SCOPE, SUITE_TIME, hashes)).toContain(`Signature=${signature}`)
    },
  )
})

describe('what is signed', () => {
  test.each([
    ['s3', '/a//b%20c', '/a//b%20c'],
    ['s3express', '/a%2Fb', '/a%2Fb'],
    ['sqs', '/a//b%20c', '/a/b%2520c'],
  ])('for %s of the path %s is %s', (service, sent, signed) => {
    expect(canonicalPath(service, sent)).toBe(signed)
  })

  test('of a query is in order of names, then of values', () => {
    const pairs = [
      ['b', '2'],
      ['a-x', '1'],
      ['a', '9'],
      ['a', '1'],
      ['A', ''],
    ] as const
    expect(canonicalQuery(pairs)).toBe('A=&a=1&a=9&a-x=1&b=2')
  })
})
