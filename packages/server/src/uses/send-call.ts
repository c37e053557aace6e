import type { AddressGuard } from '../egress/address-guard.ts'
import type { AwsClockSkew } from '../egress/aws-clock-skew.ts'
import { resolveAwsScope } from '../egress/aws-hosts.ts'
import { type CredentialValue, secretStrings } from '../egress/credential-value.ts'
import { decodeBody } from '../egress/decode-body.ts'
import { type HeaderList, withDefaultHeaders } from '../egress/header-rules.ts'
import { injectCredential } from '../egress/inject.ts'
import { createScrubber, type Scrubber } from '../egress/scrub.ts'
import type { SendWindow } from '../egress/send-window.ts'
import { signAwsRequest } from '../egress/sigv4.ts'
import type { Upstream, UpstreamResponse } from '../egress/upstream.ts'
import { UpstreamError } from '../egress/upstream-error.ts'
import type { Faults } from '../kernel/faults.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { PreparedCall } from './prepare-call.ts'
import type { CallUse } from './proxy-use.ts'

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
  openCredential: (appId: string, grant: GrantFacts) => Promise<CredentialValue>
  awsClockSkew: AwsClockSkew
  faults: Faults
  maxResponseBytes: number
}

export type SendCall = ReturnType<typeof createSendCall>

/**
 * Step 6 of a use (docs/architecture.md): guard the address, open the credential, inject, send once, scrub the answer. To be called
 * only after the intent is durable; sending begins while `window` is open, or never. Faults of ours are thrown.
 */
export function createSendCall(deps: SendDeps) {
  return async function sendCall({ caller, grant, call, policy }: CallUse, window: SendWindow): Promise<SendEnd> {
    const { appId } = caller
    let scrubber: Scrubber | null = null
    let handedOver = false
    try {
      const address = await deps.guard(call.url, policy.allowedPrivateHosts)
      const credential = await deps.openCredential(appId, grant)
      await deps.faults.at('after_open')
      const found = createScrubber(secretStrings(credential))
      scrubber = found
      const send = () => {
        const signed = signOrInject(credential, grant, call, deps.awsClockSkew)
        handedOver = true
        return deps.upstream.send({
          url: signed.url,
          address,
          method: call.method,
          headers: withDefaultHeaders(signed.headers),
          body: call.body,
          sendWindow: window,
          maxResponseBytes: deps.maxResponseBytes,
        })
      }
      let response = await send()
      // AWS refused the signature's time and executed nothing: once more with its own clock.
      if (credential.type === 'aws_sigv4' && deps.awsClockSkew.learn(call.url.host, response) && window.isOpen())
        response = await send()
      await deps.faults.at('after_send')
      return { kind: 'answered', answer: await scrub(response, found, deps.maxResponseBytes), scrubber: found }
    } catch (error) {
      if (error instanceof UpstreamError) return { kind: 'failed', error, sent: error.sent, scrubber }
      // A fault of ours ends the call as any failure does, so that it has an outcome; once handed over it may have been sent.
      const refusal = error instanceof VaultError ? error : new VaultError('internal_error', { cause: error })
      refusal.fields.upstream_may_have_executed = handedOver
      return { kind: 'failed', error: refusal, sent: handedOver, scrubber }
    }
  }
}

function signOrInject(credential: CredentialValue, grant: GrantFacts, call: PreparedCall, skew: AwsClockSkew) {
  if (credential.type !== 'aws_sigv4') return injectCredential(credential, grant.secret.injection, call)
  const { accessKeyId, secretAccessKey, sessionToken, region, service } = credential
  const scope = resolveAwsScope(call.url, { region, service })
  return signAwsRequest(call, { accessKeyId, secretAccessKey, sessionToken }, scope, skew.signingTimeMs(call.url.host))
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
