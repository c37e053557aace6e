import {
  type AuditLog,
  appScope,
  captureBody,
  type RowDetail,
  type RowDraft,
  type SealedBody,
  storedHeaders,
  storedUrl,
} from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { SdkCaller } from '../management/index.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { PreparedCall } from './prepare-call.ts'
import type { SendEnd } from './send-call.ts'
import { outcomeRow } from './use-rows.ts'

export type OutcomeDeps = { audit: Pick<AuditLog, 'append'>; keyring: Pick<Keyring, 'sealFor'>; clock: Clock }

/**
 * Makes the outcome of an intent durable, with what the call sent and what came back, scrubbed. Throws `audit_unavailable` with
 * `upstream_may_have_executed` when it cannot: the answer must then be withheld.
 */
export function createRecordOutcome({ audit, keyring, clock }: OutcomeDeps) {
  async function recordOutcome(
    caller: SdkCaller,
    grant: GrantFacts,
    call: PreparedCall,
    intentId: string,
    end: SendEnd,
    options: { captureBodies: boolean; startedMs: number; reason: string | null },
  ): Promise<void> {
    try {
      // Sealing a captured body may need the store, too.
      const outcome = await outcomeOf(caller, grant, call, intentId, end, options)
      await audit.append(appScope(caller.appId, caller.organizationId), outcome)
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
  async function outcomeOf(
    caller: SdkCaller,
    grant: GrantFacts,
    call: PreparedCall,
    intentId: string,
    end: SendEnd,
    { captureBodies, startedMs, reason }: { captureBodies: boolean; startedMs: number; reason: string | null },
  ): Promise<{ rows: RowDraft[]; bodies: SealedBody[] }> {
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
    const bodies: SealedBody[] = []
    const keep = async (side: 'request' | 'response', body: Buffer, contentType: string | null) => {
      const captured = captureBody(body, contentType)
      if (captureBodies && captured.toSeal !== null) {
        const place = { table: 'audit_bodies', column: 'frames', rowId: `${eventId}:${side}` }
        bodies.push({ eventId, side, frame: await keyring.sealFor(caller.appId, place, captured.toSeal) })
      }
      return captured.digest
    }
    if (call.body !== undefined) {
      detail.requestBody = await keep('request', scrubber?.body(call.body) ?? call.body, contentTypeOf(call.headers))
    }
    const ended = await endingOf(end, detail, keep, contentTypeOf, injected)
    const rows = [outcomeRow(caller, grant, intentId, { eventId, ...ended, reason, detail })]
    if (scrubber?.found()) {
      rows.push({
        ...outcomeRow(caller, grant, intentId, {
          event: 'system.credential_echo_found',
          outcome: 'changed',
          primaryReason: null,
          detail: { method: call.method, resourceType: 'credential', resourceId: grant.credential.credentialId },
        }),
        stream: 'system',
      })
    }
    return { rows, bodies }
  }

  async function endingOf(
    end: SendEnd,
    detail: RowDetail,
    keep: (
      side: 'response',
      body: Buffer,
      contentType: string | null,
    ) => Promise<NonNullable<RowDetail['responseBody']>>,
    contentTypeOf: (headers: readonly (readonly [string, string])[]) => string | null,
    injected: readonly string[],
  ): Promise<Pick<RowDraft, 'event' | 'outcome' | 'primaryReason'>> {
    if (end.kind === 'answered') {
      const { answer } = end
      detail.responseStatus = answer.statusCode
      detail.responseHeaders = storedHeaders(answer.headers, injected)
      detail.upstreamMs = answer.upstreamMs
      detail.bytesIn = answer.body.length
      detail.responseBody = await keep('response', answer.body, contentTypeOf(answer.headers))
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
