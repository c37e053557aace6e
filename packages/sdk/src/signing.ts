/**
 * The signature on every request to the vault.
 *
 *   K = HMAC-SHA256(key = the API key, message = "alter-signing-v1")
 *   signature = hex HMAC-SHA256(K, lines joined by "\n")
 *
 *   1  METHOD
 *   2  decoded path [ "?" canonical query ]
 *   3  X-Alter-Timestamp
 *   4  X-Alter-Nonce
 *   5  X-Alter-Content-SHA256
 *   6  X-Alter-Scope-Constraints, or empty
 *   7  request-rule:<X-Alter-Request-Rule>      only when that header is sent
 *   8  caller:<X-Alter-Caller>                  8 to 11 likewise; any of them present puts the
 *   9  caller-type:<X-Alter-Caller-Type>        signature into X-Alter-Signature-V2 as well
 *  10  actor-id:<X-Alter-Actor-ID>
 *  11  actor-context:<X-Alter-Context>
 */
import { Buffer } from 'node:buffer'
import { createHash, createHmac } from 'node:crypto'

const KEY_LABEL = 'alter-signing-v1'

/** Headers that a signature covers by name. Empty strings count as absent. */
export type SignedClaims = {
  scopeConstraints?: string | undefined
  requestRule?: string | undefined
  caller?: string | undefined
  callerType?: string | undefined
  actorId?: string | undefined
  context?: string | undefined
}

export type RequestToSign = {
  method: string
  /** Path and query as sent, without any path that the base URL itself has. */
  target: string
  body: string
  /** Whole seconds since 1970, decimal. */
  timestamp: string
  /** 32 lower-case hexadecimal digits. */
  nonce: string
  claims: SignedClaims
}

/** Derives the signing key of an API key. */
export function deriveSigningKey(apiKey: string): Uint8Array {
  return createHmac('sha256', apiKey).update(KEY_LABEL).digest()
}

/** The authentication headers of one request, claims included. Sent as returned: every value is part of the signature. */
export function signRequest(signingKey: Uint8Array, request: RequestToSign): Record<string, string> {
  const { claims } = request
  const contentSha256 = createHash('sha256').update(request.body).digest('hex')
  const headers: Record<string, string> = {
    'X-Alter-Timestamp': request.timestamp,
    'X-Alter-Nonce': request.nonce,
    'X-Alter-Content-SHA256': contentSha256,
  }
  const lines = [
    request.method,
    canonicalTarget(request.target),
    request.timestamp,
    request.nonce,
    contentSha256,
    claims.scopeConstraints ?? '',
  ]
  if (claims.scopeConstraints) headers['X-Alter-Scope-Constraints'] = claims.scopeConstraints
  if (claims.requestRule) {
    headers['X-Alter-Request-Rule'] = claims.requestRule
    lines.push(`request-rule:${claims.requestRule}`)
  }

  const actorLines: [label: string, header: string, value: string | undefined][] = [
    ['caller', 'X-Alter-Caller', claims.caller],
    ['caller-type', 'X-Alter-Caller-Type', claims.callerType],
    ['actor-id', 'X-Alter-Actor-ID', claims.actorId],
    ['actor-context', 'X-Alter-Context', claims.context],
  ]
  let actorSigned = false
  for (const [label, header, value] of actorLines) {
    if (!value) continue
    headers[header] = value
    lines.push(`${label}:${value}`)
    actorSigned = true
  }

  const signature = createHmac('sha256', signingKey).update(lines.join('\n')).digest('hex')
  headers['X-Alter-Signature'] = signature
  if (actorSigned) headers['X-Alter-Signature-V2'] = signature
  return headers
}

/** Line 2: the path decoded whole (`%2F` too), and the query, if it is not empty, sorted and encoded one way. */
export function canonicalTarget(target: string): string {
  const mark = target.indexOf('?')
  if (mark === -1) return decodePercent(target)
  const path = decodePercent(target.slice(0, mark))
  const query = target.slice(mark + 1)
  return query === '' ? path : `${path}?${canonicalQuery(query)}`
}

function canonicalQuery(query: string): string {
  const pairs = query
    .split('&')
    .filter((piece) => piece !== '')
    .map((piece) => {
      const equals = piece.indexOf('=')
      const [name, value] = equals === -1 ? [piece, ''] : [piece.slice(0, equals), piece.slice(equals + 1)]
      return { name: decodeForm(name), value: decodeForm(value) }
    })
  pairs.sort((a, b) => compareCodePoints(a.name, b.name) || compareCodePoints(a.value, b.value))
  return pairs.map(({ name, value }) => `${encodeForm(name)}=${encodeForm(value)}`).join('&')
}

/** UTF-8 orders as code points do; UTF-16, which `<` compares, does not. */
function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

function decodeForm(text: string): string {
  return decodePercent(text.replaceAll('+', ' '))
}

/**
 * Percent-decoding that never fails, unlike `decodeURIComponent`: a malformed escape stays as it is written, bytes that
 * are no UTF-8 become U+FFFD. Text outside ASCII passes through and separates the runs that are decoded.
 */
function decodePercent(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: the run is all of ASCII, control characters included
  return text.replace(/[\x00-\x7f]+/g, (run) => {
    if (!run.includes('%')) return run
    const bytes: number[] = []
    for (let index = 0; index < run.length; index++) {
      const digits = run[index] === '%' ? run.slice(index + 1, index + 3) : ''
      if (/^[0-9A-Fa-f]{2}$/.test(digits)) {
        bytes.push(Number.parseInt(digits, 16))
        index += 2
      } else {
        bytes.push(run.charCodeAt(index))
      }
    }
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes))
  })
}

function encodeForm(text: string): string {
  return encodeStrictly(text).replaceAll('%20', '+')
}

/** Percent-encodes everything but `A-Z a-z 0-9 _ . - ~` (RFC 3986 unreserved), upper-case digits. */
export function encodeStrictly(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}
