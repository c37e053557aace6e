import { callerKindOf, type RowDraft, storedUrl } from '../audit/index.ts'
import type { SdkCaller } from '../http/principals.ts'
import type { VaultError } from '../kernel/vault-error.ts'
import type { KnownCaller } from '../keys/index.ts'
import type { GrantFacts } from './grant-facts.ts'

/** How a credential is used; names the events of its rows. */
export type UseKind = 'proxy' | 'token'

const RUN_AND_THREAD_MAX_LENGTH = 255
const SDK_USER_AGENT = /^alter-sdk-[a-z]+\/[0-9A-Za-z.+-]{1,40}$/

type Who = Pick<RowDraft, 'callerKind' | 'keyId' | 'agentId' | 'actorId' | 'traceId' | 'runId' | 'threadId'> & {
  detail: NonNullable<RowDraft['detail']>
}

/** Who made a call, for each of its rows. */
export function whoOf(caller: SdkCaller): Who {
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
      keyPrefix: caller.keyPrefix,
      caller: caller.caller,
      callerType: caller.callerType,
      clientIp: caller.clientIp,
      userAgent: caller.userAgent,
      sdk: caller.userAgent !== null && SDK_USER_AGENT.test(caller.userAgent) ? caller.userAgent : null,
      context: Object.keys(context).length === 0 ? null : { ...context },
    },
  }
}

/** What a grant adds to a row. */
export function withWhat(grant: GrantFacts): Partial<RowDraft> {
  return {
    principalType: grant.principalType,
    principalId: grant.principalId,
    grantId: grant.grantId,
    providerId: grant.secret.slug,
    resourceKind: grant.kind,
  }
}

/** The refusal of a caller whose key is known, before anything was resolved. */
export function refusedCallerRow(kind: UseKind, known: KnownCaller, error: VaultError): RowDraft {
  return {
    event: `${kind}.refused`,
    outcome: 'refused',
    callerKind: callerKindOf(known),
    keyId: known.keyId,
    agentId: known.agentId,
    traceId: known.traceId,
    primaryReason: error.code,
    detail: {
      keyPrefix: known.keyPrefix,
      caller: known.caller,
      callerType: known.callerType,
      clientIp: known.clientIp,
      userAgent: known.userAgent,
      errorCode: error.code,
    },
  }
}

/** The refusal of a request whose caller is known: `.denied` is a no of the decision, `.refused` of anything else. */
export function refusedUseRow(
  kind: UseKind,
  caller: SdkCaller,
  refusal: {
    error: VaultError
    decided: boolean
    decision: Record<string, unknown> | null
    grant: GrantFacts | null
    asked: { method: string | null; url: string | null; reason: string | null; declared?: boolean }
  },
): RowDraft {
  const who = whoOf(caller)
  const { error, decided, decision, grant, asked } = refusal
  const url = asked.url === null ? null : storedUrl(asked.url.slice(0, 4_096), grant?.secret.injectedNames.queryParams)
  return {
    ...who,
    ...(grant === null ? {} : withWhat(grant)),
    event: `${kind}.${decided ? 'denied' : 'refused'}`,
    outcome: decided ? 'policy_denied' : 'refused',
    decisionEffect: decided ? 'deny' : null,
    primaryReason: error.code,
    reason: asked.reason,
    detail: {
      ...who.detail,
      ...(asked.declared ? { declaredMethod: asked.method, declaredUrl: url } : { method: asked.method, url }),
      grantLabel: grant?.label ?? null,
      decision,
      errorCode: error.code,
    },
  }
}

/** The row that says a credential will be used. What the caller sent besides method and URL is recorded with the outcome, scrubbed. */
export function intentRow(
  kind: UseKind,
  caller: SdkCaller,
  grant: GrantFacts,
  use: {
    eventId: string
    method: string | null
    url: string | null
    reason: string | null
    decision: Record<string, unknown>
    declared?: boolean
  },
): RowDraft {
  const who = whoOf(caller)
  const url = use.url === null ? null : storedUrl(use.url, grant.secret.injectedNames.queryParams)
  return {
    ...who,
    ...withWhat(grant),
    event: `${kind}.requested`,
    eventId: use.eventId,
    outcome: 'allowed',
    decisionEffect: 'allow',
    primaryReason: null,
    reason: use.reason,
    detail: {
      ...who.detail,
      ...(use.declared ? { declaredMethod: use.method, declaredUrl: url } : { method: use.method, url }),
      grantLabel: grant.label,
      decision: use.decision,
    },
  }
}

/** What became of an intent. Strings that came from outside must be scrubbed already. */
export function outcomeRow(
  caller: SdkCaller,
  grant: GrantFacts,
  intentId: string,
  outcome: Pick<RowDraft, 'event' | 'outcome' | 'primaryReason' | 'eventId' | 'reason'> & {
    detail: NonNullable<RowDraft['detail']>
  },
): RowDraft {
  const who = whoOf(caller)
  return {
    ...who,
    ...withWhat(grant),
    event: outcome.event,
    ...(outcome.eventId === undefined ? {} : { eventId: outcome.eventId }),
    outcome: outcome.outcome,
    primaryReason: outcome.primaryReason ?? null,
    reason: outcome.reason ?? null,
    intentId,
    detail: { ...who.detail, grantLabel: grant.label, ...outcome.detail },
  }
}
