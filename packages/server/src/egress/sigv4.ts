import { createHash } from 'node:crypto'
import type { Secret } from '../crypto/secret.ts'
import { HmacKey } from '../kernel/hmac.ts'
import { type CanonicalUrl, withEscapedPath, withQuery } from './canonical-url.ts'
import type { HeaderList } from './header-rules.ts'

/** Region and signing name, as in the credential scope of a signature. */
export type SigningScope = { region: string; service: string }

/** The headers a signature adds; no caller's value of them is ever kept. */
export const AWS_SIGNING_HEADERS = [
  'authorization',
  'x-amz-content-sha256',
  'x-amz-date',
  'x-amz-security-token',
] as const

type AwsKeys = { accessKeyId: string; secretAccessKey: Secret; sessionToken: Secret | undefined }

type AwsRequest = { method: string; url: CanonicalUrl; headers: HeaderList; body: Buffer | undefined }

/** What a signature is computed over; the pieces of the canonical request. */
export type CanonicalRequest = {
  method: string
  path: string
  query: string
  /** Lower-case names; each once. All of them are signed. */
  headers: HeaderList
  payloadSha256: string
}

/** Services whose paths name objects: signed as sent, encoded once, never normalized. */
const SIGNED_AS_SENT = new Set(['s3', 's3-object-lambda', 's3-outposts', 's3express'])

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
  const time = new Date(nowMs).toISOString().replace(/[:-]|\.\d{3}/g, '')
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
      path: SIGNED_AS_SENT.has(scope.service) ? sentPath : doubleEncoded(sentPath),
      query: sentQuery
        .toSorted(byNameThenValue)
        .map(([name, value]) => `${name}=${value ?? ''}`)
        .join('&'),
      headers: [['host', url.authority], ...unsigned.filter(([name]) => name.startsWith('x-amz-')), ...amz],
      payloadSha256,
    },
    keys,
    scope,
    time,
  )
  return { url: sentUrl, headers: [...unsigned, ...amz, ['authorization', authorization]] }
}

/** The `Authorization` value for a canonical request at `time` (`YYYYMMDDTHHMMSSZ`). */
export function authorizationOf(
  request: CanonicalRequest,
  keys: Pick<AwsKeys, 'accessKeyId' | 'secretAccessKey'>,
  { region, service }: SigningScope,
  time: string,
): string {
  const signed = request.headers
    .map(([name, value]) => [name, value.trim().replace(/ +/g, ' ')] as const)
    .sort(([a], [b]) => byBytes(a, b))
  const signedNames = signed.map(([name]) => name).join(';')
  const canonical = [
    request.method,
    request.path,
    request.query,
    ...signed.map(([name, value]) => `${name}:${value}`),
    '',
    signedNames,
    request.payloadSha256,
  ].join('\n')
  const date = time.slice(0, 8)
  const credentialScope = `${date}/${region}/${service}/aws4_request`
  const hash = createHash('sha256').update(canonical).digest('hex')
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${credentialScope}\n${hash}`
  const hmac = (key: Buffer, text: string) => new HmacKey(key).bytes(text)
  const dateKey = hmac(Buffer.from(`AWS4${keys.secretAccessKey.reveal()}`), date)
  const signingKey = hmac(hmac(hmac(dateKey, region), service), 'aws4_request')
  const signature = hmac(signingKey, toSign).toString('hex')
  return `AWS4-HMAC-SHA256 Credential=${keys.accessKeyId}/${credentialScope}, SignedHeaders=${signedNames}, Signature=${signature}`
}

/** Escapes everything but unreserved characters and leaves escapes alone; canonical URLs hold no stray `%`. */
function strictEscapes(text: string): string {
  return text.replace(/[^A-Za-z0-9._~%-]/g, (character) =>
    Buffer.from(character).reduce((out, byte) => `${out}%${byte.toString(16).toUpperCase().padStart(2, '0')}`, ''),
  )
}

/** Other services encode the sent path once more, after repeated slashes were joined (dot segments are gone already). */
function doubleEncoded(path: string): string {
  return path.replace(/\/{2,}/g, '/').replaceAll('%', '%25')
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

function byNameThenValue(a: [string, string | undefined], b: [string, string | undefined]): number {
  return byBytes(a[0], b[0]) || byBytes(a[1] ?? '', b[1] ?? '')
}

function byBytes(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
