import {
  type AuditLog,
  appScope,
  type BodyDigest,
  captureBody,
  type RowDetail,
  type RowDraft,
  type SealedBody,
  storedHeaders,
  storedUrl,
} from '../audit/index.ts'
import type { Keyring } from '../crypto/keyring.ts'
import type { HeaderList } from '../egress/header-rules.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { SendEnd } from './send-call.ts'
import type { AdmittedUse } from './use-kind.ts'
import { outcomeRow } from './use-rows.ts'

export type OutcomeDeps = { audit: Pick<AuditLog, 'append'>; keyring: Pick<Keyring, 'sealFor'>; clock: Clock }
type Admitted = AdmittedUse<unknown, unknown>

/**
 * Makes the outcome of an intent durable, with what the call sent and what came back, scrubbed. Throws `audit_unavailable` with
 * `upstream_may_have_executed` when it cannot: the answer must then be withheld.
 */
export function createRecordOutcome({ audit, keyring, clock }: OutcomeDeps) {
  async function recordOutcome(admitted: Admitted, end: SendEnd): Promise<void> {
    try {
      // Sealing a captured body may need the store, too.
      const outcome = await outcomeOf(admitted, end)
      const { appId, organizationId } = admitted.use.caller
      await audit.append(appScope(appId, organizationId), outcome)
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
    { use, intentId, startedMs }: Admitted,
    end: SendEnd,
  ): Promise<{ rows: RowDraft[]; bodies: SealedBody[] }> {
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
    const bodies: SealedBody[] = []
    const row = { appId: use.caller.appId, eventId, bodies: policy.captureBodies ? bodies : null }
    if (call.body !== undefined) {
      detail.requestBody = await keepBody(
        keyring,
        row,
        'request',
        scrubber?.body(call.body) ?? call.body,
        contentTypeOf(call.headers),
      )
    }
    if (end.kind === 'answered') {
      const { answer } = end
      detail.responseStatus = answer.statusCode
      detail.responseHeaders = storedHeaders(answer.headers, injected)
      detail.upstreamMs = answer.upstreamMs
      detail.bytesIn = answer.body.length
      detail.responseBody = await keepBody(keyring, row, 'response', answer.body, contentTypeOf(answer.headers))
    } else {
      detail.errorCode = end.error.code
    }
    const rows = [outcomeRow(use, intentId, { eventId, ...endingOf(end), reason, detail })]
    if (scrubber?.found()) {
      rows.push({
        ...outcomeRow(use, intentId, {
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

  return { recordOutcome, outcomeOf }
}

export type RecordOutcome = ReturnType<typeof createRecordOutcome>

/** The digest of a body, for its row. The body itself is sealed into `bodies`; null where the app captures none. */
export async function keepBody(
  keyring: Pick<Keyring, 'sealFor'>,
  { appId, eventId, bodies }: { appId: string; eventId: string; bodies: SealedBody[] | null },
  side: 'request' | 'response',
  body: Buffer,
  contentType: string | null,
): Promise<BodyDigest> {
  const captured = captureBody(body, contentType)
  if (bodies !== null && captured.toSeal !== null) {
    const place = { table: 'audit_bodies', column: 'frames', rowId: `${eventId}:${side}` }
    bodies.push({ eventId, side, frame: await keyring.sealFor(appId, place, captured.toSeal) })
  }
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
