/**
 * AWS Signature Version 4, whole body hashed. Server and SDK make their requests ready for it in ways of their own.
 *
 *   canonical  = METHOD \n path \n query \n header lines \n \n signed names \n SHA-256(body)
 *   to sign    = AWS4-HMAC-SHA256 \n time \n date/region/service/aws4_request \n SHA-256(canonical)
 *   key        = HMAC chain over "AWS4"+secret: date, region, service, "aws4_request"
 *
 * Source: AWS, "Create a signed AWS API request".
 */

export const AWS_SIGNATURE = 'AWS4-HMAC-SHA256'

/** Region and signing name, as in the credential scope of a signature. */
export type SigningScope = { region: string; service: string }

type Pair = readonly [name: string, value: string]

/** What a signature is computed over; the pieces of the canonical request. */
export type CanonicalRequest = {
  method: string
  path: string
  query: string
  /** Lower-case names; each once. All of them are signed. */
  headers: readonly Pair[]
  payloadSha256: string
}

/** The hashes of the platform. */
export type Hashes = {
  /** Hexadecimal. */
  sha256: (text: string) => string
  hmac: (key: string | Uint8Array, text: string) => Uint8Array
}

/** Services whose paths name objects: signed as sent, encoded once, never normalized. */
const SIGNED_AS_SENT = new Set(['s3', 's3-object-lambda', 's3-outposts', 's3express'])

/** `YYYYMMDDTHHMMSSZ`. */
export function awsTime(nowMs: number): string {
  return new Date(nowMs).toISOString().replace(/[:-]|\.\d{3}/g, '')
}

/**
 * The path as it is signed. Most services encode the sent path once more, after repeated slashes were joined.
 * @param sent everything but unreserved characters escaped, without dot segments
 */
export function canonicalPath(service: string, sent: string): string {
  return SIGNED_AS_SENT.has(service) ? sent : sent.replace(/\/{2,}/g, '/').replaceAll('%', '%25')
}

/** The query as it is signed. */
export function canonicalQuery(escaped: readonly Pair[]): string {
  return [...escaped]
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

/** The `Authorization` value for a canonical request at `time`. */
export function authorizationOf(
  request: CanonicalRequest,
  keys: { accessKeyId: string; secretAccessKey: string },
  { region, service }: SigningScope,
  time: string,
  { sha256, hmac }: Hashes,
): string {
  const signed = request.headers
    .map(([name, value]) => [name, value.trim().replace(/ +/g, ' ')] as const)
    .sort(([a], [b]) => compare(a, b))
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
  const parts = [time.slice(0, 8), region, service, 'aws4_request']
  const credentialScope = parts.join('/')
  const toSign = [AWS_SIGNATURE, time, credentialScope, sha256(canonical)].join('\n')
  const key = parts.reduce<string | Uint8Array>(hmac, `AWS4${keys.secretAccessKey}`)
  const signature = Array.from(hmac(key, toSign), (byte) => byte.toString(16).padStart(2, '0')).join('')
  return `${AWS_SIGNATURE} Credential=${keys.accessKeyId}/${credentialScope}, SignedHeaders=${signedNames}, Signature=${signature}`
}

/** By bytes, for texts in ASCII. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
