import { createHmac } from 'node:crypto'
import { HmacKey } from '../kernel/hmac.ts'
import { fillRandom } from '../kernel/ids.ts'
import type { BodyDigest } from './audit-row.ts'

/** How much of a body is kept. */
export const STORED_BODY_MAX_BYTES = 10_000
const SALT_BYTES = 32

const NEVER_STORED = new Set([
  'authorization',
  'proxy-authorization',
  'cookie',
  'set-cookie',
  'x-api-key',
  'x-auth-token',
  'x-amz-date',
  'x-amz-content-sha256',
  'x-amz-security-token',
])

/** The headers a row keeps: none that carries a credential by its name, none of `injected`, none of our own protocol. Lower-case names. */
export function storedHeaders(
  headers: readonly (readonly [name: string, value: string])[],
  injected: readonly string[] = [],
): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const [given, value] of headers) {
    const name = given.toLowerCase()
    if (NEVER_STORED.has(name) || name.startsWith('x-alter-') || injected.includes(name)) continue
    kept[name] = Object.hasOwn(kept, name) ? `${kept[name]}, ${value}` : value
  }
  return kept
}

const SECRET_QUERY_NAME =
  /(^|[_.-])(key|apikey|token|secret|password|passwd|pwd|auth|signature|sig|credential|code|jwt|session|sas)s?($|[_.-])|apikey|accesstoken|x-amz-(signature|credential|security-token)/i

/** The URL with the values of query names that usually carry a secret replaced, and those of `injected` left out. */
export function storedUrl(href: string, injected: readonly string[] = []): string {
  const at = href.indexOf('?')
  if (at < 0) return href
  const pairs = href
    .slice(at + 1)
    .split('&')
    .flatMap((pair) => {
      const [rawName = ''] = pair.split('=', 1)
      const [name = ''] = new URLSearchParams(pair).keys()
      if (injected.includes(name)) return []
      return [SECRET_QUERY_NAME.test(name) ? `${rawName}=[redacted]` : pair]
    })
  return pairs.length === 0 ? href.slice(0, at) : `${href.slice(0, at)}?${pairs.join('&')}`
}

const TEXT_TYPE =
  /^(text\/|application\/([a-z0-9.+-]*\+)?(json|xml)$|application\/(x-www-form-urlencoded|javascript|graphql|x-ndjson)$|multipart\/form-data$)/

/** A body as a row describes it, and the bytes to seal beside the row: 32 bytes of salt, then what is kept. */
export type CapturedBody = { digest: BodyDigest; toSeal: Buffer | null }

/**
 * Digests are hex HMAC-SHA-256 under a salt of the body's own: one of the first 10,000 bytes, and of a longer body one of all of it. Of
 * text types and forms the first 10,000 bytes are kept, of others the salt alone, so that a copy can still be compared.
 */
export function captureBody(body: Buffer, contentType: string | null): CapturedBody {
  const truncated = body.length > STORED_BODY_MAX_BYTES
  const kept = truncated ? body.subarray(0, STORED_BODY_MAX_BYTES) : body
  const salted = Buffer.allocUnsafe(SALT_BYTES + kept.length)
  fillRandom(salted, 0, SALT_BYTES)
  kept.copy(salted, SALT_BYTES)
  const salt = salted.subarray(0, SALT_BYTES)
  const mediaType = contentType?.replace(/;.*$/s, '').trim().toLowerCase() ?? null
  const digest: BodyDigest = {
    digest: HmacKey.once(salt, kept, 'hex'),
    length: body.length,
    truncated,
    content_type: mediaType,
    // Node's own: it copies nothing, and a body may be long.
    ...(truncated ? { whole_digest: createHmac('sha256', salt).update(body).digest('hex') } : {}),
  }
  const isText = mediaType === null || TEXT_TYPE.test(mediaType)
  return { digest, toSeal: kept.length === 0 ? null : isText ? salted : Buffer.from(salt) }
}
