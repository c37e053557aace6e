/** The rate-limit budget that the vault last reported. */
export type RateLimitSnapshot = {
  /** Requests per window. */
  limit: number
  /** Requests left in this window. */
  remaining: number
  /** Unix time in seconds when the window ends. */
  resetAtSeconds: number
}

const DIGITS = /^[0-9]+$/
const NAMED_ITEM = /^"([A-Za-z0-9_.:-]{1,64})"((?:\s*;\s*[a-z][a-z0-9_.*-]*=[0-9]+)*)$/

/**
 * Reads the budget from the headers of an answer: the three `X-RateLimit-*` headers together, else the pair
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers) that share a policy name.
 *
 * @param nowSeconds Unix time, for the second form, which counts from now.
 */
export function readRateLimit(headers: Headers, nowSeconds: number): RateLimitSnapshot | null {
  return readTripleHeaders(headers) ?? readNamedPolicy(headers, nowSeconds)
}

function readTripleHeaders(headers: Headers): RateLimitSnapshot | null {
  const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map(
    (part) => headers.get(`x-ratelimit-${part}`) ?? '',
  )
  if (![limit, remaining, reset].every((value) => DIGITS.test(value!))) return null
  return { limit: Number(limit), remaining: Number(remaining), resetAtSeconds: Number(reset) }
}

function readNamedPolicy(headers: Headers, nowSeconds: number): RateLimitSnapshot | null {
  const policies = readItems(headers.get('ratelimit-policy'))
  for (const [name, state] of readItems(headers.get('ratelimit'))) {
    const limit = policies.get(name)?.get('q')
    const remaining = state.get('r')
    const resetSeconds = state.get('t')
    if (limit === undefined || remaining === undefined || resetSeconds === undefined) continue
    return { limit, remaining, resetAtSeconds: nowSeconds + resetSeconds }
  }
  return null
}

function readItems(header: string | null): Map<string, Map<string, number>> {
  const items = new Map<string, Map<string, number>>()
  for (const piece of header?.split(',') ?? []) {
    const item = NAMED_ITEM.exec(piece.trim())
    if (!item) continue
    const parameters = new Map<string, number>()
    for (const parameter of item[2]!.split(';').slice(1)) {
      const [name, value] = parameter.trim().split('=')
      parameters.set(name!, Number(value))
    }
    items.set(item[1]!, parameters)
  }
  return items
}
