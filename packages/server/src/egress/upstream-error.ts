import { VaultError, type VaultErrorOptions } from '../kernel/vault-error.ts'

/** Codes that end an upstream call without an answer. */
export type UpstreamErrorCode = 'provider_unreachable' | 'provider_timeout' | 'service_unavailable'

/** A call that brought no answer. `sent` is true when any byte of the request may have left this process. */
export class UpstreamError extends VaultError {
  readonly sent: boolean

  constructor(code: UpstreamErrorCode, sent: boolean, options: VaultErrorOptions = {}) {
    const fields = { ...options.fields, upstream_may_have_executed: sent }
    super(code, { ...options, fields })
    this.name = 'UpstreamError'
    this.sent = sent
  }
}

/** The upstream took longer than a limit. `what` completes "The provider … in time." */
export function upstreamTimeout(what: string, sent: boolean, cause?: unknown): UpstreamError {
  return new UpstreamError('provider_timeout', sent, {
    message: `The provider ${what} in time.`,
    fields: { timeout_reason: 'upstream_timeout' },
    ...(cause === undefined ? {} : { cause }),
  })
}
