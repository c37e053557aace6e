import { Sha256 } from '@aws-crypto/sha256-js'
import { SignatureV4 } from '@smithy/signature-v4'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { encodeStrictly } from './signing.ts'
import { type AwsRequest, signAwsRequest } from './sigv4.ts'

const credentials = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
const nowMs = Date.UTC(2013, 4, 24)

function get(url: string, headers: Record<string, string> = {}): AwsRequest {
  return { method: 'GET', url: new URL(url), headers: new Headers(headers), body: undefined }
}

function signatureOf(request: AwsRequest): string {
  return /Signature=([0-9a-f]{64})$/.exec(request.headers.get('authorization')!)![1]!
}

describe('an AWS signature', () => {
  test.each([
    ['?lifecycle', 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    ['?max-keys=2&prefix=J', '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
  ])('of the S3 example %s is the one that AWS publishes', (query, signature) => {
    const request = get(`https://examplebucket.s3.amazonaws.com/${query}`)
    signAwsRequest(request, credentials, { region: 'us-east-1', service: 's3' }, nowMs)
    expect(signatureOf(request)).toBe(signature)
    expect(request.headers.get('authorization')).toBe(
      `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=${signature}`,
    )
  })

  test.each([
    { service: 'dynamodb', uriEscapePath: true },
    { service: 's3', uriEscapePath: false },
  ])('for $service agrees with an independent implementation', async ({ service, uriEscapePath }) => {
    const text = fc.string({ unit: 'binary', maxLength: 12 }).map((value) => value.toWellFormed())
    // The other implementation keeps the query in an object, where this name has a meaning of its own.
    const name = text.filter((value) => value !== '__proto__')
    const segment = text.filter((value) => !/^(\.|\.\.|%2e)*$/i.test(value))
    await fc.assert(
      fc.asyncProperty(
        fc.array(segment, { maxLength: 4 }),
        fc.array(fc.tuple(name, text), { maxLength: 4 }),
        fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined }),
        fc.option(fc.constantFrom('session/token+=='), { nil: undefined }),
        async (segments, pairs, body, sessionToken) => {
          const path = `/${segments.map(encodeStrictly).join('/')}`
          const query = pairs.map(([name, value]) => `${encodeStrictly(name)}=${encodeStrictly(value)}`).join('&')
          const request: AwsRequest = {
            method: 'POST',
            url: new URL(`https://svc.eu-west-1.amazonaws.com${path}?${query}`),
            headers: new Headers({ 'x-amz-target': 'Table.Do', 'content-type': 'application/json' }),
            body,
          }
          signAwsRequest(request, { ...credentials, sessionToken }, { region: 'eu-west-1', service }, nowMs)

          const signer = new SignatureV4({
            service,
            region: 'eu-west-1',
            uriEscapePath,
            applyChecksum: true,
            sha256: Sha256,
            credentials: {
              accessKeyId: credentials.accessKeyId,
              secretAccessKey: credentials.secretKey,
              ...(sessionToken && { sessionToken }),
            },
          })
          const grouped = new Map<string, string[]>()
          for (const [name, value] of pairs) grouped.set(name, [...(grouped.get(name) ?? []), value])
          const { headers } = await signer.sign(
            {
              method: 'POST',
              protocol: 'https:',
              hostname: 'svc.eu-west-1.amazonaws.com',
              path,
              query: Object.fromEntries(grouped),
              headers: {
                host: 'svc.eu-west-1.amazonaws.com',
                'x-amz-target': 'Table.Do',
                'x-amz-content-sha256': request.headers.get('x-amz-content-sha256')!,
              },
              ...(body && { body }),
            },
            { signingDate: new Date(nowMs) },
          )
          expect(request.headers.get('authorization')).toBe(headers.authorization)
          expect(request.headers.get('x-amz-date')).toBe(headers['x-amz-date'])
        },
      ),
      { numRuns: 150 },
    )
  })

  test('covers the query as it is then sent, where "+" means itself', () => {
    const request = get('https://sqs.eu-west-1.amazonaws.com/?b=1+2&a=%2a&a=')
    signAwsRequest(request, credentials, { region: 'eu-west-1', service: 'sqs' }, nowMs)
    expect(request.url.search).toBe('?a=&a=%2A&b=1%2B2')
  })

  test('sends an S3 path in the form that was signed', () => {
    const request = get("https://b.s3.eu-west-1.amazonaws.com/a(1)/b%2Fc/it's")
    signAwsRequest(request, credentials, { region: 'eu-west-1', service: 's3' }, nowMs)
    expect(request.url.pathname).toBe('/a%281%29/b%2Fc/it%27s')
  })

  test.each([
    ['sqs', true],
    ['s3', false],
  ])('for %s takes slashes in a row for one: %s', (service, same) => {
    const [one, two] = ['/a/b', '/a//b'].map((path) => {
      const request = get(`https://x.eu-west-1.amazonaws.com${path}`)
      signAwsRequest(request, credentials, { region: 'eu-west-1', service }, nowMs)
      return signatureOf(request)
    })
    expect(one === two).toBe(same)
  })

  test('replaces what the caller set under its own names', () => {
    const request = get('https://sqs.eu-west-1.amazonaws.com/', { 'x-amz-date': 'old', authorization: 'old' })
    signAwsRequest(request, credentials, { region: 'eu-west-1', service: 'sqs' }, nowMs)
    expect(request.headers.get('x-amz-date')).toBe('20130524T000000Z')
    expect(request.headers.get('authorization')).toMatch(/^AWS4-HMAC-SHA256 /)
  })
})
