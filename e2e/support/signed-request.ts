import { createHash, createHmac, randomBytes } from 'node:crypto'

type SignedRequest = {
  apiKey: string
  method?: string
  /** Path and query. */
  path: string
  /** Sent as it is; an object as JSON. */
  body?: unknown
  /** Headers besides those of the signature; `x-alter-*` ones are signed where the protocol says so. */
  headers?: Record<string, string>
  /** Changes made after signing; undefined takes a header away. */
  afterwards?: Record<string, string | undefined>
}

/** What the vault answered, whatever its status. */
export type SdkAnswer = { status: number; headers: Headers; text: string; body: Record<string, unknown> }

/** In the order in which they are signed, each with the word before its value. */
const SIGNED_HEADERS = [
  ['x-alter-request-rule', 'request-rule'],
  ['x-alter-caller', 'caller'],
  ['x-alter-caller-type', 'caller-type'],
  ['x-alter-actor-id', 'actor-id'],
  ['x-alter-context', 'actor-context'],
] as const

/**
 * One request to the SDK API, signed by hand, so that it can hold what no client would send. Queries are signed as they are: their names
 * are to be in order and their values plain.
 */
export async function signedRequest(baseUrl: string, request: SignedRequest): Promise<SdkAnswer> {
  const { apiKey, path, headers = {}, afterwards = {} } = request
  const method = request.method ?? 'POST'
  const body =
    typeof request.body === 'string' ? request.body : request.body === undefined ? '' : JSON.stringify(request.body)
  const timestamp = String(Math.floor(Date.now() / 1000))
  const nonce = randomBytes(16).toString('hex')
  const digest = createHash('sha256').update(body).digest('hex')
  const lines = [method, decodeURIComponent(path), timestamp, nonce, digest, headers['x-alter-scope-constraints'] ?? '']
  for (const [name, word] of SIGNED_HEADERS) if (headers[name]) lines.push(`${word}:${headers[name]}`)
  const signingKey = createHmac('sha256', apiKey).update('alter-signing-v1').digest()
  const signature = createHmac('sha256', signingKey).update(lines.join('\n')).digest('hex')
  const withActor = SIGNED_HEADERS.slice(1).some(([name]) => headers[name])
  const all: Record<string, string | undefined> = {
    'x-api-key': apiKey,
    'x-alter-timestamp': timestamp,
    'x-alter-nonce': nonce,
    'x-alter-content-sha256': digest,
    'x-alter-signature': signature,
    ...(withActor ? { 'x-alter-signature-v2': signature } : {}),
    ...(body === '' ? {} : { 'content-type': 'application/json' }),
    ...headers,
    ...afterwards,
  }
  const sent = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined)
  const response = await fetch(`${baseUrl}${path}`, { method, headers: sent, ...(body === '' ? {} : { body }) })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, body: readObject(text) }
}

function readObject(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}
