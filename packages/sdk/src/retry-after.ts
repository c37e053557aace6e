/** Longest wait believed for rate limits and unavailable servers, in seconds. */
export const MAX_RATE_LIMIT_WAIT_SECONDS = 3_600
/** Longest wait believed for quotas, in seconds (31 days). */
export const MAX_QUOTA_WAIT_SECONDS = 2_678_400

/**
 * How long the vault asks to wait, in seconds: `Retry-After` in digits (dates are not read), else the body's field.
 * `null` when neither says so.
 */
export function readRetryAfter(headers: Headers, bodyField: unknown, maxSeconds: number): number | null {
  const header = headers.get('retry-after')?.trim() ?? ''
  if (/^[0-9]+$/.test(header)) return Math.min(Number(header), maxSeconds)
  if (typeof bodyField === 'number' && Number.isFinite(bodyField) && bodyField >= 0) {
    return Math.min(Math.ceil(bodyField), maxSeconds)
  }
  return null
}
