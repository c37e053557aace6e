/**
 * AWS Signature Version 4, whole body hashed.
 *
 *   canonical  = METHOD \n path \n query \n header lines \n \n signed names \n SHA-256(body)
 *   to sign    = AWS4-HMAC-SHA256 \n time \n date/region/service/aws4_request \n SHA-256(canonical)
 *   key        = HMAC chain over "AWS4"+secret: date, region, service, "aws4_request"
 *
 * Source: AWS, "Create a signed AWS API request". S3 signs the path encoded once, every other service encodes it again.
 */
import { createHash, createHmac } from 'node:crypto'
import { encodeStrictly } from './signing.ts'

const AWS_FORMAT = 'AWS4-HMAC-SHA256'

export type AwsCredentials = { accessKeyId: string; secretKey: string; sessionToken?: string | undefined }

export type AwsRequest = {
  method: string
  /** Rewritten to the canonical query, and for S3 path, so that what is sent is what was signed. */
  url: URL
  /** Extended by the signature. Every `x-amz-*` header here is signed. */
  headers: Headers
  body: string | Uint8Array | undefined
}

/** Signs a request in place: `host`, time, content hash, session token and all `x-amz-*` headers. */
export function signAwsRequest(
  request: AwsRequest,
  credentials: AwsCredentials,
  scope: { region: string; service: string },
  nowMs: number,
): void {
  const { url, headers } = request
  const time = new Date(nowMs).toISOString().replace(/[-:]|\.\d{3}/g, '')
  const date = time.slice(0, 8)
  const bodyHash = sha256(request.body ?? '')
  headers.set('x-amz-date', time)
  headers.set('x-amz-content-sha256', bodyHash)
  if (credentials.sessionToken !== undefined) headers.set('x-amz-security-token', credentials.sessionToken)

  const encodedPath = encodeSegments(url.pathname, decodeSegment)
  const isS3 = scope.service.startsWith('s3')
  if (isS3) url.pathname = encodedPath
  const canonicalPath = isS3 ? encodedPath : encodeSegments(url.pathname)
  const canonicalQuery = canonicaliseQuery(url.search.slice(1))
  url.search = canonicalQuery

  const signed: [string, string][] = [['host', url.host]]
  for (const [name, value] of headers) if (name.startsWith('x-amz-')) signed.push([name, value])
  signed.sort(([a], [b]) => (a < b ? -1 : 1))
  const signedNames = signed.map(([name]) => name).join(';')
  const headerLines = signed.map(([name, value]) => `${name}:${value.trim().replace(/ +/g, ' ')}\n`).join('')

  const canonical = [request.method, canonicalPath, canonicalQuery, headerLines, signedNames, bodyHash].join('\n')
  const credentialScope = `${date}/${scope.region}/${scope.service}/aws4_request`
  const toSign = [AWS_FORMAT, time, credentialScope, sha256(canonical)].join('\n')
  const key = [date, scope.region, scope.service, 'aws4_request'].reduce<string | Uint8Array>(
    (chained, part) => createHmac('sha256', chained).update(part).digest(),
    `AWS4${credentials.secretKey}`,
  )
  const signature = createHmac('sha256', key).update(toSign).digest('hex')
  headers.set(
    'authorization',
    `${AWS_FORMAT} Credential=${credentials.accessKeyId}/${credentialScope}, SignedHeaders=${signedNames}, Signature=${signature}`,
  )
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

function encodeSegments(path: string, prepare = (segment: string) => segment): string {
  return path
    .split('/')
    .map((segment) => encodeStrictly(prepare(segment)))
    .join('/')
}

/** A path that is no valid percent-encoding is taken literally, as the service would. */
function decodeSegment(segment: string): string {
  try {
    return decodeURIComponent(segment)
  } catch {
    return segment
  }
}

/** `+` means itself here, not a space: AWS decodes queries by RFC 3986. */
function canonicaliseQuery(query: string): string {
  return query
    .split('&')
    .filter((piece) => piece !== '')
    .map((piece) => {
      const [name = '', ...rest] = piece.split('=')
      return [encodeStrictly(decodeSegment(name)), encodeStrictly(decodeSegment(rest.join('=')))] as const
    })
    .sort(([nameA, valueA], [nameB, valueB]) => compare(nameA, nameB) || compare(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
