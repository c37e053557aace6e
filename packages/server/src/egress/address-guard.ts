import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { type CanonicalUrl, hostAndPort } from './canonical-url.ts'
import { assertDestination, assertGlobal } from './static-destination.ts'
import { type After, systemAfter } from './timer.ts'
import { UpstreamError, upstreamTimeout } from './upstream-error.ts'

/** An address that was checked. It is the one to dial; the name is not resolved again. */
export type CheckedAddress = { address: string; family: 4 | 6 }

/** All addresses of a host name, in the resolver's order. */
export type Resolve = (host: string) => Promise<{ address: string; family: number }[]>

/** The operating system's resolver, hosts file included, answers as they came. */
export const systemResolve: Resolve = (host) => lookup(host, { all: true, order: 'verbatim' })

/** Decides which address a call may dial. */
export type AddressGuard = {
  /**
   * Resolves the host once and checks every answer. Refuses `blocked_destination` when the scheme is http or any answer
   * lies in a special-use range, unless `allowedPrivateHosts` holds this `host:port` (canonical spelling, port always
   * written). A name that does not resolve is an `UpstreamError` with nothing sent.
   */
  guard(
    url: Pick<CanonicalUrl, 'scheme' | 'host' | 'port'>,
    allowedPrivateHosts: ReadonlySet<string>,
  ): Promise<CheckedAddress>
}

type Deps = { resolve?: Resolve; after?: After; resolveTimeoutMs?: number }

const DEFAULT_RESOLVE_TIMEOUT_MS = 5_000

/**
 * Nothing is remembered between calls: an answer is as old as the call that uses it. Calls that ask for the same name
 * while it is being resolved share the answer.
 */
export function createAddressGuard({
  resolve = systemResolve,
  after = systemAfter,
  resolveTimeoutMs = DEFAULT_RESOLVE_TIMEOUT_MS,
}: Deps = {}): AddressGuard {
  const resolving = new Map<string, ReturnType<Resolve>>()

  function resolveOnce(host: string): ReturnType<Resolve> {
    let pending = resolving.get(host)
    if (pending === undefined) {
      pending = resolveInTime(host).finally(() => resolving.delete(host))
      resolving.set(host, pending)
    }
    return pending
  }

  async function resolveInTime(host: string): ReturnType<Resolve> {
    const { promise: tooLate, reject } = Promise.withResolvers<never>()
    const cancel = after(resolveTimeoutMs, () => reject(upstreamTimeout('was not found by name', false)))
    try {
      return await Promise.race([resolve(host), tooLate])
    } catch (cause) {
      if (cause instanceof UpstreamError) throw cause
      throw new UpstreamError('provider_unreachable', false, { message: `The host "${host}" does not resolve.`, cause })
    } finally {
      cancel()
    }
  }

  return {
    async guard(url, allowedPrivateHosts) {
      const isAllowedPrivate = allowedPrivateHosts.has(hostAndPort(url))
      assertDestination(url, allowedPrivateHosts)
      const literal = url.host.startsWith('[') ? url.host.slice(1, -1) : url.host
      const answers = isIP(literal) === 0 ? await resolveOnce(url.host) : [{ address: literal, family: isIP(literal) }]
      const first = answers[0]
      if (first === undefined) {
        throw new UpstreamError('provider_unreachable', false, { message: `The host "${url.host}" has no address.` })
      }
      if (!isAllowedPrivate) {
        for (const { address } of answers) assertGlobal(url.host, address)
      } else if (isIP(first.address) === 0) {
        throw new Error(`The resolver answered "${first.address}" for "${url.host}", which is no IP address.`)
      }
      return { address: first.address, family: isIP(first.address) === 6 ? 6 : 4 }
    },
  }
}
