/** AWS Signature Version 4 on a request of this process. */
import { createHash, createHmac } from 'node:crypto'
import {
  authorizationOf,
  awsTime,
  canonicalPath,
  canonicalQuery,
  type Hashes,
  type SigningScope,
} from '@alter-vault/contracts/aws/signature'
import { encodeStrictly } from './signing.ts'

export type AwsCredentials = { accessKeyId: string; secretKey: string; sessionToken?: string | undefined }

export type AwsRequest = {
  method: string
  /** Rewritten to the escaped path and the canonical query, so that what is sent is what was signed. */
  url: URL
  /** Extended by the signature. Every `x-amz-*` header here is signed. */
  headers: Headers
  body: string | Uint8Array | undefined
}

const hashes: Hashes = {
  sha256,
  hmac: (key, text) => createHmac('sha256', key).update(text).digest(),
}

/** Signs a request in place: `host`, time, content hash, session token and all `x-amz-*` headers. */
export function signAwsRequest(
  { method, url, headers, body }: AwsRequest,
  { accessKeyId, secretKey, sessionToken }: AwsCredentials,
  scope: SigningScope,
  nowMs: number,
): void {
  const time = awsTime(nowMs)
  const payloadSha256 = sha256(body ?? '')
  headers.set('x-amz-date', time)
  headers.set('x-amz-content-sha256', payloadSha256)
  if (sessionToken !== undefined) headers.set('x-amz-security-token', sessionToken)
  url.pathname = url.pathname.split('/').map(escapeAnew).join('/')
  const query = canonicalQuery(queryPairs(url.search.slice(1)))
  url.search = query
  const amz = [...headers].filter(([name]) => name.startsWith('x-amz-'))
  const request = {
    method,
    path: canonicalPath(scope.service, url.pathname),
    query,
    headers: [['host', url.host] as const, ...amz],
    payloadSha256,
  }
  headers.set(
    'authorization',
    authorizationOf(request, { accessKeyId, secretAccessKey: secretKey }, scope, time, hashes),
  )
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

/** A text that is no valid percent-encoding is taken literally, as the service would. `+` means itself: AWS reads by RFC 3986. */
function escapeAnew(text: string): string {
  try {
    return encodeStrictly(decodeURIComponent(text))
  } catch {
    return encodeStrictly(text)
  }
}

function queryPairs(query: string): [name: string, value: string][] {
  const pieces = query.split('&').filter((piece) => piece !== '')
  return pieces.map((piece) => {
    const [name = '', ...rest] = piece.split('=')
    return [escapeAnew(name), escapeAnew(rest.join('='))]
  })
}
