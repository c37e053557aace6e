import { hash, randomBytes } from 'node:crypto'
import { deriveSigningKey, signText } from '../crypto/signing-key.ts'

/** In the order in which they are signed, each with the word before its value. */
const SIGNED_HEADERS = [
  ['x-alter-request-rule', 'request-rule'],
  ['x-alter-caller', 'caller'],
  ['x-alter-caller-type', 'caller-type'],
  ['x-alter-actor-id', 'actor-id'],
  ['x-alter-context', 'actor-context'],
] as const

type Headers = Readonly<Record<string, string | undefined>>

/** The signature of a request, from its headers of lower-case names. The query of `path` is in order, and its values plain. */
export function signatureOf(request: {
  apiKey: string
  method: string
  path: string
  body: string | Buffer
  headers: Headers
}): string {
  const { apiKey, method, path, body, headers } = request
  const [beforeQuery = '', ...query] = path.split('?')
  const lines = [
    method,
    [decodeURIComponent(beforeQuery), ...query].join('?'),
    headers['x-alter-timestamp'],
    headers['x-alter-nonce'],
    hash('sha256', body),
    headers['x-alter-scope-constraints'] ?? '',
  ]
  for (const [name, word] of SIGNED_HEADERS) if (headers[name]) lines.push(`${word}:${headers[name]}`)
  return signText(deriveSigningKey(apiKey), lines.join('\n'))
}

/**
 * The headers of a request to the SDK API as a client signs it, for tests and measurements. `headers` are sent too, and signed where the
 * protocol says so.
 */
export function signedHeaders(request: {
  apiKey: string
  method?: string
  path: string
  body: string | Buffer
  nowMs: number
  headers?: Readonly<Record<string, string>>
}): Record<string, string> {
  const { apiKey, method = 'POST', path, body, nowMs, headers = {} } = request
  const own = {
    'x-api-key': apiKey,
    'x-alter-timestamp': String(Math.floor(nowMs / 1000)),
    'x-alter-nonce': randomBytes(16).toString('hex'),
    'x-alter-content-sha256': hash('sha256', body),
  }
  const signature = signatureOf({ apiKey, method, path, body, headers: { ...headers, ...own } })
  const namesActor = SIGNED_HEADERS.slice(1).some(([name]) => headers[name])
  return {
    ...own,
    'x-alter-signature': signature,
    ...(namesActor ? { 'x-alter-signature-v2': signature } : {}),
    ...headers,
  }
}
