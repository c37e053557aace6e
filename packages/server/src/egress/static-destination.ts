import { isIP } from 'node:net'
import { VaultError } from '../kernel/vault-error.ts'
import { type CanonicalUrl, hostAndPort } from './canonical-url.ts'
import { specialUseRange } from './special-use-ranges.ts'

type Destination = Pick<CanonicalUrl, 'scheme' | 'host' | 'port'>

/** The address that a host is, without the brackets of IPv6; undefined for a name. */
function literalAddress({ host }: Pick<CanonicalUrl, 'host'>): string | undefined {
  const bare = host.startsWith('[') ? host.slice(1, -1) : host
  return isIP(bare) === 0 ? undefined : bare
}

/**
 * Refuses `blocked_destination` for what can never be sent, whatever a name resolves to: plain http and special-use addresses, unless the
 * operator has allowed this host and port. To be asked before anybody is asked to approve.
 */
export function assertDestination(url: Destination, allowedPrivateHosts: ReadonlySet<string>): void {
  if (allowedPrivateHosts.has(hostAndPort(url))) return
  if (url.scheme === 'http') {
    throw new VaultError('blocked_destination', {
      message: 'Expected an https URL: plain http is for private hosts that the operator has allowed.',
      fields: { detail: 'scheme_not_allowed' },
    })
  }
  const address = literalAddress(url)
  if (address !== undefined) assertGlobal(url.host, address)
}

/** The answer names no range and no address: it would tell a caller what the server's network looks like inside. */
export function assertGlobal(host: string, address: string): void {
  const range = specialUseRange(address)
  if (range === undefined) return
  throw new VaultError('blocked_destination', {
    message: `The host "${host}" does not lead to a public address. An operator can allow a private host and port by name.`,
    fields: { detail: 'address_not_public' },
    log: { address, range },
  })
}
