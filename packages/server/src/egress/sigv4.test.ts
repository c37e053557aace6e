import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { Secret } from '../crypto/secret.ts'
import { canonicalUrl } from './canonical-url.ts'
import type { HeaderList } from './header-rules.ts'
import { signAwsRequest } from './sigv4.ts'

/** Keys and time of the signing examples in the Amazon S3 API reference. */
const S3_KEYS = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: new Secret('wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY'),
  sessionToken: undefined,
}
const S3_SCOPE = { region: 'us-east-1', service: 's3' }
const S3_TIME = Date.UTC(2013, 4, 24)

function signatureIn(headers: HeaderList): string {
  return headers.find(([name]) => name === 'authorization')![1].split('Signature=')[1]!
}

describe('published signatures', () => {
  test.each([
    ['GET Bucket lifecycle', '/?lifecycle', 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    ['GET Bucket', '/?prefix=J&max-keys=2', '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
  ])('of the S3 reference: %s', (_, target, signature) => {
    const url = canonicalUrl(`https://examplebucket.s3.amazonaws.com${target}`)
    const request = { method: 'GET', url, headers: [], body: undefined }
    const signed = signAwsRequest(request, S3_KEYS, S3_SCOPE, S3_TIME)
    expect(signatureIn(signed.headers)).toBe(signature)
    expect(signed.url.pathAndQuery).toBe(target)
  })
})

const segment = fc.string({ unit: fc.constantFrom(...'abcXYZ019-_.~ +()!*,;=:@$&äé'), maxLength: 8 })
/** Paths that a call can have: the canonical URL refuses some, such as `.;`. */
const path = fc
  .array(segment, { maxLength: 4 })
  .map((segments) => `/${segments.map(encodeURI).join('/')}`)
  .filter((made) => {
    try {
      return canonicalUrl(`https://host.example.com${made}`) !== undefined
    } catch {
      return false
    }
  })
const pair = fc.tuple(
  fc.string({ unit: fc.constantFrom(...'abAB-_.~09'), minLength: 1, maxLength: 5 }),
  fc.string({ unit: fc.constantFrom(...'abc019 +&=/?é*()~'), maxLength: 8 }),
)
const amzHeader = fc.tuple(
  fc.constantFrom('x-amz-acl', 'x-amz-target', 'x-amz-meta-a'),
  fc.string({ unit: fc.constantFrom(...'ab  c1,'), maxLength: 12 }).map((text) => text.trim()),
)

describe('signAwsRequest', () => {
  test('agrees with an independent signer for every path, query, header and body', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('s3', 'execute-api', 'sqs'),
        fc.constantFrom('GET', 'PUT', 'POST'),
        path,
        fc.array(pair, { maxLength: 5 }),
        fc.uniqueArray(amzHeader, { selector: ([name]) => name, maxLength: 3 }),
        fc.uint8Array({ maxLength: 40 }),
        fc.option(fc.constant(new Secret('session/token+1=')), { nil: undefined }),
        async (service, method, rawPath, pairs, amz, bytes, sessionToken) => {
          const query = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join('&')
          const url = canonicalUrl(`https://host.example.com${rawPath}?${query}`)
          const keys = { ...S3_KEYS, sessionToken }
          const scope = { region: 'eu-west-1', service }
          const body = Buffer.from(bytes)
          const ours = signAwsRequest({ method, url, headers: amz, body }, keys, scope, S3_TIME)

          const grouped: Record<string, string[]> = {}
          for (const [name, value] of pairs) grouped[name] = [...(grouped[name] ?? []), value]
          const theirs = await new SignatureV4({
            credentials: {
              accessKeyId: keys.accessKeyId,
              secretAccessKey: keys.secretAccessKey.reveal(),
              ...(sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }),
            },
            ...scope,
            sha256: Sha256,
            uriEscapePath: service !== 's3',
          }).sign(
            {
              method,
              protocol: 'https:',
              hostname: 'host.example.com',
              path: ours.url.path,
              query: grouped,
              headers: { host: 'host.example.com', ...Object.fromEntries(amz) },
              body: bytes,
            },
            { signingDate: new Date(S3_TIME) },
          )
          expect(ours.headers.find(([name]) => name === 'authorization')![1]).toBe(theirs.headers.authorization)
        },
      ),
    )
  })

  test('sends a plus sign as %2B, which is what it signed', () => {
    const url = canonicalUrl('https://sqs.eu-west-1.amazonaws.com/a(b)/c?Message=a+b&x=%7e')
    const signed = signAwsRequest({ method: 'GET', url, headers: [], body: undefined }, S3_KEYS, S3_SCOPE, S3_TIME)
    expect(signed.url.pathAndQuery).toBe('/a%28b%29/c?Message=a%2Bb&x=~')
  })

  test('signs host, hash, date, session token and every x-amz header, and no other', () => {
    const url = canonicalUrl('https://examplebucket.s3.amazonaws.com/key')
    const headers: HeaderList = [
      ['content-type', 'text/plain'],
      ['x-amz-storage-class', 'REDUCED_REDUNDANCY'],
    ]
    const keys = { ...S3_KEYS, sessionToken: new Secret('token') }
    const signed = signAwsRequest({ method: 'PUT', url, headers, body: Buffer.from('x') }, keys, S3_SCOPE, S3_TIME)
    const authorization = signed.headers.find(([name]) => name === 'authorization')![1]
    expect(authorization).toContain(
      'SignedHeaders=host;x-amz-content-sha256;x-amz-date;x-amz-security-token;x-amz-storage-class,',
    )
    expect(signed.headers).toContainEqual(['content-type', 'text/plain'])
  })

  test("replaces a caller's own signature headers", () => {
    const url = canonicalUrl('https://examplebucket.s3.amazonaws.com/key')
    const headers: HeaderList = [
      ['authorization', 'mine'],
      ['x-amz-date', 'mine'],
      ['x-amz-security-token', 'mine'],
    ]
    const signed = signAwsRequest({ method: 'GET', url, headers, body: undefined }, S3_KEYS, S3_SCOPE, S3_TIME)
    expect(JSON.stringify(signed.headers)).not.toContain('mine')
  })

  test('keeps the order of repeated query names on the wire and sorts them in the signature only', () => {
    const url = canonicalUrl('https://host.example.com/?b=2&a-x=1&a=9&a=1')
    const signed = signAwsRequest({ method: 'GET', url, headers: [], body: undefined }, S3_KEYS, S3_SCOPE, S3_TIME)
    expect(signed.url.query).toBe('b=2&a-x=1&a=9&a=1')
    const sorted = signAwsRequest(
      { method: 'GET', url: canonicalUrl('https://host.example.com/?a=1&a=9&a-x=1&b=2'), headers: [], body: undefined },
      S3_KEYS,
      S3_SCOPE,
      S3_TIME,
    )
    expect(signatureIn(signed.headers)).toBe(signatureIn(sorted.headers))
  })
})
