import { createHash } from 'node:crypto'
import {
  authorizationOf,
  awsTime,
  canonicalPath,
  canonicalQuery,
  type Hashes,
  type SigningScope,
} from '@alter-vault/contracts/aws/signature'
import type { Secret } from '../crypto/secret.ts'
import { HmacKey } from '../kernel/hmac.ts'
import { type CanonicalUrl, withEscapedPath, withQuery } from './canonical-url.ts'
import type { HeaderList } from './header-rules.ts'

/** The headers a signature adds; no caller's value of them is ever kept. */
export const AWS_SIGNING_HEADERS = [
  'authorization',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
] as const

type AwsKeys = { accessKeyId: string; secretAccessKey: Secret; sessionToken: Secret | undefined }

type AwsRequest = { method: string; url: CanonicalUrl; headers: HeaderList; body: Buffer | undefined }

const hashes: Hashes = {
  sha256: (text) => createHash('sha256').update(text).digest('hex'),
  hmac: (key, text) => new HmacKey(Buffer.from(key)).bytes(text),
}

/**
 * Signs a request with AWS Signature Version 4 at `nowMs`. The answer's URL is the one to send: its path and query are
 * escaped as strictly as the signature needs (`+` becomes `%2B`, since AWS reads it as a plus sign), so that what is
 * signed and what is sent are the same text. Signed are `host` and every `x-amz-*` header; the body is always hashed.
 */
export function signAwsRequest(
  { method, url, headers, body }: AwsRequest,
  keys: AwsKeys,
  scope: SigningScope,
  nowMs: number,
): { url: CanonicalUrl; headers: HeaderList } {
  const sentPath = url.path.split('/').map(strictEscapes).join('/')
  const sentQuery = queryPairs(url.query)
  const sentUrl = withEscapedPath(withQuery(url, sentQuery.map(writePair).join('&')), sentPath)
  const time = awsTime(nowMs)
  const payloadSha256 = createHash('sha256')
    .update(body ?? '')
    .digest('hex')

  const own = new Set<string>(AWS_SIGNING_HEADERS)
  const unsigned: HeaderList = headers.filter(([name]) => !own.has(name))
  const amz: HeaderList = [
    ['x-amz-content-sha256', payloadSha256],
    ['x-amz-date', time],
    ...(keys.sessionToken === undefined
      ? []
      : [['x-amz-security-token', keys.sessionToken.reveal()] as [string, string]]),
  ]
  const authorization = authorizationOf(
    {
      method,
      path: canonicalPath(scope.service, sentPath),
      query: canonicalQuery(sentQuery.map(([name, value]) => [name, value ?? ''])),
      headers: [['host', url.authority], ...unsigned.filter(([name]) => name.startsWith('x-amz-')), ...amz],
      payloadSha256,
    },
    { accessKeyId: keys.accessKeyId, secretAccessKey: keys.secretAccessKey.reveal() },
    scope,
    time,
    hashes,
  )
  return { url: sentUrl, headers: [...unsigned, ...amz, ['authorization', authorization]] }
}

/** Escapes everything but unreserved characters and leaves escapes alone; canonical URLs hold no stray `%`. */
function strictEscapes(text: string): string {
  return text.replace(/[^A-Za-z0-9._~%-]/g, (character) =>
    Buffer.from(character).reduce((out, byte) => `${out}%${byte.toString(16).toUpperCase().padStart(2, '0')}`, ''),
  )
}

function queryPairs(query: string): [name: string, value: string | undefined][] {
  return query
    .split('&')
    .filter((piece) => piece !== '')
    .map((piece) => {
      const at = piece.indexOf('=')
      return at === -1
        ? [strictEscapes(piece), undefined]
        : [strictEscapes(piece.slice(0, at)), strictEscapes(piece.slice(at + 1))]
    })
}

function writePair([name, value]: [string, string | undefined]): string {
  return value === undefined ? name : `${name}=${value}`
}
