import { AlterValueError } from './generated/errors.ts'

export const DEFAULT_BASE_URL = 'https://backend.alterauth.com'

const LOOPBACK_HOSTS = ['localhost', '127.0.0.1', '[::1]']

/** Says whether plain http may be spoken to a host of a parsed URL, because it is this machine. */
export function isLoopbackHost(hostname: string): boolean {
  return LOOPBACK_HOSTS.includes(hostname)
}

/**
 * Checks where the vault is and returns it without trailing slashes. A path is kept; it is put before every request's
 * own path and is not part of what is signed.
 *
 * @throws {AlterValueError} unless it is http(s) with a host and without user, query and fragment; http only for loopback
 */
export function parseBaseUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || !/^https?:$/.test(url.protocol))
    throw new AlterValueError('The base URL must be an absolute http or https URL')
  if (url.username !== '' || url.password !== '') throw new AlterValueError('The base URL must not name a user')
  if (/[?#]/.test(text)) throw new AlterValueError('The base URL must not have a query or a fragment')
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) {
    throw new AlterValueError('The base URL must be https, except on localhost, 127.0.0.1 and ::1')
  }
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}
