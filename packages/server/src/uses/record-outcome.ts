import {
  type AuditLog,
  appScope,
  type BodyDigest,
  captureBody,
  type KeptBody,
  type RowDetail,
  type RowDraft,
  storedHeaders,
  storedUrl,
} from '../audit/index.ts'
import type { HeaderList } from '../egress/header-rules.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { SendEnd } from './send-call.ts'
import type { AdmittedUse } from './use-kind.ts'
import { outcomeRow } from './use-rows.ts'

export type OutcomeDeps = { audit: Pick<AuditLog, 'append'>; clock: Clock }
type Admitted = AdmittedUse<unknown, unknown>

/**
 * Makes the outcome of an intent durable, with what the call sent and what came back, scrubbed. Throws `audit_unavailable` with
 * `upstream_may_have_executed` when it cannot: the answer must then be withheld.
 */
export function createRecordOutcome({ audit, clock }: OutcomeDeps) {
  async function recordOutcome(admitted: Admitted, end: SendEnd): Promise<void> {
    try {
      const { use, intentId, window } = admitted
      const scope = appScope(use.caller.appId, use.caller.organizationId)
      const stored = await audit.append(scope, { ...outcomeOf(admitted, end), outcomeOf: { intentId, window } })
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
  function outcomeOf({ use, intentId, startedMs }: Admitted, end: SendEnd): { rows: RowDraft[]; bodies: KeptBody[] } {
    const { grant, policy, reason } = use
    const call = use.call!
    const eventId = newId(clock.now())
    const { scrubber } = end
    const url = storedUrl(call.url.href, grant.target.injectedNames.queryParams)
    const injected = grant.target.injectedNames.headers
    const detail: RowDetail = {
      method: call.method,
      url: scrubber?.text(url) ?? url,
      requestHeaders: storedHeaders(scrubber?.headers(call.headers) ?? call.headers, injected),
      latencyMs: clock.monotonic() - startedMs,
      bytesOut: call.body?.length ?? 0,
    }
    const bodies: KeptBody[] = []
    const row = { eventId, bodies: policy.captureBodies ? bodies : null }
    if (call.body !== undefined) {
      const sent = scrubber?.body(call.body) ?? call.body
      detail.requestBody = keepBody(row, 'request', sent, contentTypeOf(call.headers))
    }
    if (end.kind === 'answered') {
      const { answer } = end
      detail.responseStatus = answer.statusCode
      detail.responseHeaders = storedHeaders(answer.headers, injected)
      detail.upstreamMs = answer.upstreamMs
      detail.bytesIn = answer.body.length
      detail.responseBody = keepBody(row, 'response', answer.body, contentTypeOf(answer.headers))
    } else {
      detail.errorCode = end.error.code
    }
    const rows = [outcomeRow(use, intentId, { eventId, ...endingOf(end), reason, detail })]
    if (scrubber?.found()) {
      rows.push(
        outcomeRow(use, intentId, {
          event: 'system.credential_echo_found',
          outcome: 'changed',
          primaryReason: null,
          detail: { method: call.method, resourceType: 'credential', resourceId: grant.credential.credentialId },
        }),
      )
    }
    return { rows, bodies }
  }

  return { recordOutcome, outcomeOf }
}

export type RecordOutcome = ReturnType<typeof createRecordOutcome>

/** The digest of a body, for its row. The body itself goes to `bodies`; null where the app captures none. */
export function keepBody(
  { eventId, bodies }: { eventId: string; bodies: KeptBody[] | null },
  side: 'request' | 'response',
  body: Buffer,
  contentType: string | null,
): BodyDigest {
  const captured = captureBody(body, contentType)
  if (bodies !== null && captured.toSeal !== null) bodies.push({ eventId, side, content: captured.toSeal })
  return captured.digest
}

const contentTypeOf = (headers: HeaderList) => headers.find(([name]) => name === 'content-type')?.[1] ?? null

function endingOf(end: SendEnd): Pick<RowDraft, 'event' | 'outcome' | 'primaryReason'> {
  if (end.kind === 'answered') {
    const outcome = end.answer.statusCode < 400 ? 'success' : 'provider_error'
    return { event: 'proxy.executed', outcome, primaryReason: null }
  }
  const { code } = end.error
  const dialled = end.sent || code === 'provider_unreachable' || code === 'provider_timeout'
  return dialled
    ? { event: 'proxy.failed', outcome: 'network_error', primaryReason: code }
    : { event: 'proxy.refused', outcome: 'refused', primaryReason: code }
}
