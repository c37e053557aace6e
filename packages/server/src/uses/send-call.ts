import type { AddressGuard } from '../egress/address-guard.ts'
import type { Opened } from '../egress/credential-kind.ts'
import { decodeBody } from '../egress/decode-body.ts'
import { type HeaderList, withDefaultHeaders } from '../egress/header-rules.ts'
import { createScrubber, type Scrubber } from '../egress/scrub.ts'
import type { SendWindow } from '../egress/send-window.ts'
import type { Upstream, UpstreamResponse } from '../egress/upstream.ts'
import { UpstreamError } from '../egress/upstream-error.ts'
import type { Faults } from '../kernel/faults.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { AnswerRoom } from './answer-room.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { CallUse } from './use-kind.ts'

/** The provider's answer without the credential, and the scrubber that knows it: for what is still to be recorded. */
export type ScrubbedAnswer = {
  statusCode: number
  headers: HeaderList
  body: Buffer
  truncated: boolean
  upstreamMs: number
}

/** How a send ended. `sent`: whether any byte may have left. `scrubber` is null when the credential was never opened. */
export type SendEnd =
  | { kind: 'answered'; answer: ScrubbedAnswer; scrubber: Scrubber }
  | { kind: 'failed'; error: VaultError; sent: boolean; scrubber: Scrubber | null }

export type SendDeps = {
  guard: AddressGuard['guard']
  upstream: Pick<Upstream, 'send'>
  /** Opens the sealed credential of the grant: the only place where plaintext comes into being on this path. */
  openCredential: (appId: string, grant: GrantFacts) => Promise<Opened>
  faults: Faults
  maxResponseBytes: number
}

export type SendCall = ReturnType<typeof createSendCall>

/**
 * Step 6 of a use (docs/architecture.md): guard the address, open the credential, inject, send once, scrub the answer. To be called
 * only after the intent is durable; sending begins while `window` is open, or never. Faults of ours are thrown.
 */
export function createSendCall(deps: SendDeps) {
  return async function sendCall(
    { caller, grant, call, policy }: CallUse,
    window: SendWindow,
    room: AnswerRoom,
  ): Promise<SendEnd> {
    const { appId, keyId } = caller
    let scrubber: Scrubber | null = null
    let handedOver = false
    try {
      const address = await deps.guard(call.url, policy.allowedPrivateHosts)
      const credential = await deps.openCredential(appId, grant)
      await deps.faults.at('after_open')
      scrubber = createScrubber(credential.secrets)
      for (let tries = 1; ; tries++) {
        const { url, headers } = credential.apply(call)
        handedOver = true
        const response = await deps.upstream.send({
          owner: { appId, keyId },
          takeRoom: (bytes) => room.take(keyId ?? appId, bytes),
          url,
          address,
          method: call.method,
          headers: withDefaultHeaders(headers),
          body: call.body,
          sendWindow: window,
          maxResponseBytes: deps.maxResponseBytes,
        })
        if (tries === 1 && credential.onAnswer?.(call, response) === 'again' && window.isOpen()) continue
        await deps.faults.at('after_send')
        return { kind: 'answered', answer: await scrub(response, scrubber, deps.maxResponseBytes), scrubber }
      }
    } catch (error) {
      room.release()
      if (error instanceof UpstreamError) return { kind: 'failed', error, sent: error.sent, scrubber }
      // A fault of ours ends the call as any failure does, so that it has an outcome; once handed over it may have been sent.
      const refusal = error instanceof VaultError ? error : new VaultError('internal_error', { cause: error })
      refusal.fields.upstream_may_have_executed = handedOver
      return { kind: 'failed', error: refusal, sent: handedOver, scrubber }
    }
  }
}

async function scrub(response: UpstreamResponse, scrubber: Scrubber, maxBytes: number): Promise<ScrubbedAnswer> {
  const decoded = await decodeBody(response, maxBytes)
  return {
    statusCode: response.statusCode,
    headers: scrubber.headers(decoded.headers),
    body: scrubber.body(decoded.body, { truncated: decoded.truncated }),
    truncated: decoded.truncated,
    upstreamMs: response.upstreamMs,
  }
}
