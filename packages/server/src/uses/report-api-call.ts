import { type ApiCallReport, CONTEXT_MAX_LENGTH, CONTEXT_MAX_MEMBERS } from '@alter-vault/contracts'
import { type AuditLog, appScope, type KeptBody, type RowDetail, storedHeaders, storedUrl } from '../audit/index.ts'
import { mayNameGrantOf } from '../grants/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { SdkCaller } from '../management/index.ts'
import type { AppPolicy } from './app-policy.ts'
import type { GrantFacts } from './grant-facts.ts'
import { reasonOf } from './presented-use.ts'
import { keepBody } from './record-outcome.ts'
import { callerColumns, useColumns } from './use-rows.ts'

type Deps = {
  audit: Pick<AuditLog, 'append'>
  clock: Clock
  findGrant: (appId: string, grantId: string) => Promise<GrantFacts | undefined>
  appPolicy: (appId: string) => Promise<AppPolicy>
}

/**
 * SDK call 5: what the SDK says it did with a retrieved credential. The row carries `source: "sdk"`: it is the client's word and
 * proves nothing about the server. Refusal: `grant_not_found`.
 */
export function createReportApiCall({ audit, clock, findGrant, appPolicy }: Deps) {
  return async function reportApiCall(
    caller: SdkCaller,
    report: ApiCallReport,
  ): Promise<{ success: true; event_id: string }> {
    const grant = await findGrant(caller.appId, report.grant_id)
    if (grant === undefined || !mayNameGrantOf(grant.principal, caller)) throw new VaultError('grant_not_found')
    const policy = await appPolicy(caller.appId)
    const eventId = newId(clock.now())
    const columns = useColumns(callerColumns(caller), grant)
    const injected = grant.target.injectedNames
    const bodies: KeptBody[] = []
    const kept = { eventId, bodies: policy.captureBodies ? bodies : null }
    const keep = (side: 'request' | 'response', body: unknown): RowDetail['requestBody'] => {
      if (body === undefined || body === null || body === '') return null
      const bytes = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body))
      return keepBody(kept, side, bytes, typeof body === 'string' ? null : 'application/json')
    }
    const reached = report.response_status > 0
    const result = await audit.append(appScope(caller.appId, caller.organizationId), {
      rows: [
        {
          ...columns,
          event: 'call.reported',
          eventId,
          outcome: !reached ? 'network_error' : report.response_status < 400 ? 'success' : 'provider_error',
          reason: reasonOf(report.reason ?? undefined).text,
          detail: {
            ...columns.detail,
            ...contextOf(report),
            source: 'sdk',
            method: report.method.toUpperCase(),
            url: storedUrl(report.url, injected.queryParams),
            requestHeaders: storedHeaders(Object.entries(report.request_headers ?? {}), injected.headers),
            responseHeaders: storedHeaders(Object.entries(report.response_headers ?? {})),
            requestBody: keep('request', report.request_body) ?? null,
            responseBody: keep('response', report.response_body) ?? null,
            responseStatus: report.response_status,
            latencyMs: report.latency_ms,
            grantLabel: grant.label,
          },
        },
      ],
      bodies,
    })
    if (result.kind !== 'stored') throw new VaultError('internal_error', { log: { append: result.kind } })
    return { success: true, event_id: eventId }
  }
}

/** The report's own context where the request carried none: the SDK repeats it in the body. */
function contextOf(report: ApiCallReport): Pick<RowDetail, 'context'> {
  const entries = Object.entries(report.context ?? {}).filter(
    (entry): entry is [string, string] => typeof entry[1] === 'string',
  )
  const context = Object.fromEntries(entries)
  const isKept = entries.length <= CONTEXT_MAX_MEMBERS && JSON.stringify(context).length <= CONTEXT_MAX_LENGTH
  return isKept && entries.length > 0 ? { context } : {}
}
