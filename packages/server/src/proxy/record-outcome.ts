import {
  type AuditLog,
  appScope,
  captureBody,
  type KeptBody,
  type RowDetail,
  type RowDraft,
  storedHeaders,
  storedUrl,
} from '../audit/index.ts'
import type { SendWindow } from '../egress/send-window.ts'
import type { SdkCaller } from '../http/principals.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { PreparedCall } from './prepare-call.ts'
import type { SendEnd } from './send-call.ts'
import { outcomeRow } from './use-rows.ts'

type OutcomeOptions = { captureBodies: boolean; startedMs: number; reason: string | null }

export type OutcomeDeps = { audit: Pick<AuditLog, 'append'>; clock: Clock }

/**
 * Makes the outcome of an intent durable, with what the call sent and what came back, scrubbed. Throws `audit_unavailable` with
 * `upstream_may_have_executed` when it cannot: the answer must then be withheld.
 */
export function createRecordOutcome({ audit, clock }: OutcomeDeps) {
  async function recordOutcome(
    caller: SdkCaller,
    grant: GrantFacts,
    call: PreparedCall,
    intentId: string,
    end: SendEnd,
    { window, ...options }: OutcomeOptions & { window: SendWindow },
  ): Promise<void> {
    try {
      const outcome = outcomeOf(caller, grant, call, intentId, end, options)
      const scope = appScope(caller.appId, caller.organizationId)
      const stored = await audit.append(scope, { ...outcome, outcomeOf: { intentId, window } })
      if (stored.kind === 'late_answer') throw new Error('the intent was declared unknown before')
    } catch (cause) {
      const sent = end.kind === 'answered' || end.sent
      throw new VaultError('audit_unavailable', {
        message: sent
          ? 'The call was sent, but what became of it could not be recorded, so the answer is withheld. Look at the provider before trying again.'
          : 'What became of the call could not be recorded. Nothing was sent.',
        fields: { upstream_may_have_executed: sent },
        cause,
      })
    }
  }

  /** The rows and bodies of an outcome; also used where an approved request records its own. */
  function outcomeOf(
    caller: SdkCaller,
    grant: GrantFacts,
    call: PreparedCall,
    intentId: string,
    end: SendEnd,
    { captureBodies, startedMs, reason }: OutcomeOptions,
  ): { rows: RowDraft[]; bodies: KeptBody[] } {
    const eventId = newId(clock.now())
    const { scrubber } = end
    const clean = (text: string) => scrubber?.text(text) ?? text
    const contentTypeOf = (headers: readonly (readonly [string, string])[]) =>
      headers.find(([name]) => name === 'content-type')?.[1] ?? null
    const injected = grant.secret.injectedNames.headers
    const detail: RowDetail = {
      method: call.method,
      url: clean(storedUrl(call.url.href, grant.secret.injectedNames.queryParams)),
      requestHeaders: storedHeaders(scrubber?.headers(call.headers) ?? call.headers, injected),
      latencyMs: clock.monotonic() - startedMs,
      bytesOut: call.body?.length ?? 0,
    }
    const bodies: KeptBody[] = []
    const keep = (side: 'request' | 'response', body: Buffer, contentType: string | null) => {
      const captured = captureBody(body, contentType)
      if (captureBodies && captured.toSeal !== null) {
        bodies.push({ eventId, side, content: captured.toSeal })
      }
      return captured.digest
    }
    if (call.body !== undefined) {
      detail.requestBody = keep('request', scrubber?.body(call.body) ?? call.body, contentTypeOf(call.headers))
    }
    const ended = endingOf(end, detail, keep, contentTypeOf, injected)
    const rows = [outcomeRow(caller, grant, intentId, { eventId, ...ended, reason, detail })]
    if (scrubber?.found()) {
      rows.push({
        ...outcomeRow(caller, grant, intentId, {
          event: 'system.credential_echo_found',
          outcome: 'changed',
          primaryReason: null,
          detail: { method: call.method, resourceType: 'credential', resourceId: grant.credential.credentialId },
        }),
      })
    }
    return { rows, bodies }
  }

  function endingOf(
    end: SendEnd,
    detail: RowDetail,
    keep: (side: 'response', body: Buffer, contentType: string | null) => NonNullable<RowDetail['responseBody']>,
    contentTypeOf: (headers: readonly (readonly [string, string])[]) => string | null,
    injected: readonly string[],
  ): Pick<RowDraft, 'event' | 'outcome' | 'primaryReason'> {
    if (end.kind === 'answered') {
      const { answer } = end
      detail.responseStatus = answer.statusCode
      detail.responseHeaders = storedHeaders(answer.headers, injected)
      detail.upstreamMs = answer.upstreamMs
      detail.bytesIn = answer.body.length
      detail.responseBody = keep('response', answer.body, contentTypeOf(answer.headers))
      return {
        event: 'proxy.executed',
        outcome: answer.statusCode < 400 ? 'success' : 'provider_error',
        primaryReason: null,
      }
    }
    detail.errorCode = end.error.code
    const dialled = end.sent || end.error.code === 'provider_unreachable' || end.error.code === 'provider_timeout'
    return dialled
      ? { event: 'proxy.failed', outcome: 'network_error', primaryReason: end.error.code }
      : { event: 'proxy.refused', outcome: 'refused', primaryReason: end.error.code }
  }

  return { recordOutcome, outcomeOf }
}

export type RecordOutcome = ReturnType<typeof createRecordOutcome>
