import { invalidField } from '../kernel/vault-error.ts'

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Z-]{1,32}$/

/**
 * The method in upper case. Any token passes, as providers have their own. Refused are CONNECT, which asks for a tunnel
 * instead of an answer, and TRACE, which exists to echo the request with its credential.
 */
export function parseRequestMethod(method: string): string {
  const upper = method.toUpperCase()
  if (!TOKEN.test(upper) || upper === 'CONNECT' || upper === 'TRACE') {
    throw invalidField('/method', 'Expected "method" to be an HTTP method other than CONNECT and TRACE.')
  }
  return upper
}
