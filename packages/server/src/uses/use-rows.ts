import {
  callerDetail,
  callerKindOf,
  type RowDetail,
  type RowDraft,
  storedUrl,
  type WrittenRuns,
  writeRuns,
} from '../audit/index.ts'
import type { VaultError } from '../kernel/vault-error.ts'
import type { Caller } from '../management/index.ts'
import type { GrantFacts } from './grant-facts.ts'
import type { PreparedCall } from './prepare-call.ts'

const RUN_AND_THREAD_MAX_LENGTH = 255

/** What a caller asks for. `declared`: they say so, and nobody holds them to it. */
export type RequestColumns = { method: string | null; url: string | null; reason: string | null; declared: boolean }

/** The columns that all rows of one attempt share. */
export type CallerColumns = Pick<
  RowDraft,
  'callerKind' | 'keyId' | 'agentId' | 'actorId' | 'traceId' | 'runId' | 'threadId'
> & { detail: RowDetail }

/** What rows need of a use. */
type RowUse = { columns: UseColumns; grant: GrantFacts }
export type UseColumns = CallerColumns & ReturnType<typeof grantColumns> & { runs: WrittenRuns }

/** Who made a call. */
export function callerColumns(caller: Caller): CallerColumns {
  const { context } = caller
  return {
    callerKind: callerKindOf(caller),
    keyId: caller.keyId,
    agentId: caller.agentId,
    actorId: caller.actorId,
    traceId: caller.traceId,
    runId: context.run_id?.slice(0, RUN_AND_THREAD_MAX_LENGTH) ?? null,
    threadId: context.thread_id?.slice(0, RUN_AND_THREAD_MAX_LENGTH) ?? null,
    detail: {
      ...callerDetail(caller),
      context: Object.keys(context).length === 0 ? null : context,
    },
  }
}

/** What is used. */
export function grantColumns(grant: GrantFacts) {
  return {
    principalType: grant.principal.type,
    principalId: grant.principal.id,
    grantId: grant.grantId,
    providerId: grant.target.providerId,
    resourceKind: grant.target.kind,
  }
}

/** Who uses what, once for all rows of an attempt. */
export function useColumns(who: CallerColumns, grant: GrantFacts): UseColumns {
  const columns = { ...who, ...grantColumns(grant) }
  return { ...columns, runs: runsOf(columns, grant) }
}

const lastUses = new WeakMap<GrantFacts, { columns: CallerColumns; runs: WrittenRuns }>()

/** A grant is mostly used by the same caller as before: then its rows begin alike. */
function runsOf(columns: CallerColumns, grant: GrantFacts): WrittenRuns {
  const last = lastUses.get(grant)
  const isSame =
    last !== undefined &&
    last.columns.keyId === columns.keyId &&
    last.columns.agentId === columns.agentId &&
    last.columns.actorId === columns.actorId &&
    last.columns.callerKind === columns.callerKind
  if (isSame) return last.runs
  const runs = writeRuns(columns)
  lastUses.set(grant, { columns, runs })
  return runs
}

/** The refusal of a caller whose key is known, before anything was resolved. */
export function refusedCallerRow(name: 'proxy' | 'token', caller: Caller, error: VaultError): RowDraft {
  return {
    event: `${name}.refused`,
    outcome: 'refused',
    callerKind: callerKindOf(caller),
    keyId: caller.keyId,
    agentId: caller.agentId,
    traceId: caller.traceId,
    primaryReason: error.code,
    detail: { ...callerDetail(caller), errorCode: error.code },
  }
}

/** The refusal of a request whose caller is known. With a decision it is `.denied`, else `.refused`. */
export function refusedUseRow(
  name: 'proxy' | 'token',
  who: CallerColumns,
  grant: GrantFacts | null,
  requestColumns: RequestColumns | null,
  error: VaultError,
  decision: Record<string, unknown> | null,
): RowDraft {
  const cut = requestColumns === null ? null : { ...requestColumns, url: requestColumns.url?.slice(0, 4_096) ?? null }
  return {
    ...who,
    ...(grant === null ? {} : grantColumns(grant)),
    event: `${name}.${decision === null ? 'refused' : 'denied'}`,
    outcome: decision === null ? 'refused' : 'policy_denied',
    decisionEffect: decision === null ? null : 'deny',
    primaryReason: error.code,
    reason: requestColumns?.reason ?? null,
    detail: {
      ...who.detail,
      ...requestDetail(cut ?? NOTHING_ASKED, grant),
      grantLabel: grant?.label ?? null,
      decision,
      errorCode: error.code,
    },
  }
}

const NOTHING_ASKED: RequestColumns = { method: null, url: null, reason: null, declared: false }

function requestDetail({ method, url, declared }: RequestColumns, grant: GrantFacts | null): RowDetail {
  const stored = url === null ? null : storedUrl(url, grant?.target.injectedNames.queryParams)
  return declared ? { declaredMethod: method, declaredUrl: stored } : { method, url: stored }
}

/** The row that says a credential will be used. What the caller sent besides method and URL is recorded with the outcome, scrubbed. */
export function intentRow(
  name: 'proxy' | 'token',
  { columns, grant, requestColumns, call }: RowUse & { requestColumns: RequestColumns; call: PreparedCall | null },
  decision: Record<string, unknown>,
  eventId: string,
): RowDraft {
  const { detail, ...shared } = columns
  const what = call === null ? requestColumns : { ...requestColumns, method: call.method, url: call.url.href }
  return {
    ...shared,
    event: `${name}.requested`,
    eventId,
    outcome: 'allowed',
    decisionEffect: 'allow',
    primaryReason: null,
    reason: requestColumns.reason,
    detail: { ...detail, ...requestDetail(what, grant), grantLabel: grant.label, decision },
  }
}

/** What became of an intent. Strings that came from outside must be scrubbed already. */
export function outcomeRow(
  { columns, grant }: RowUse,
  intentId: string,
  outcome: Pick<RowDraft, 'event' | 'outcome' | 'primaryReason' | 'eventId' | 'reason'> & { detail: RowDetail },
): RowDraft {
  return {
    ...columns,
    event: outcome.event,
    ...(outcome.eventId === undefined ? {} : { eventId: outcome.eventId }),
    outcome: outcome.outcome,
    primaryReason: outcome.primaryReason ?? null,
    reason: outcome.reason ?? null,
    intentId,
    detail: { ...columns.detail, grantLabel: grant.label, ...outcome.detail },
  }
}
