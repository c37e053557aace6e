import type { Database } from '../db/database.ts'
import type { Log } from '../kernel/log.ts'
import type { AuditLog } from './audit-log.ts'
import { appScope, type RowDraft } from './audit-row.ts'
import { findEvent } from './event-store.ts'
import { endWait, type LateIntent, postpone, readIntentState, readLateIntents } from './outcome-store.ts'
import type { ProjectEvents } from './project-events.ts'

const INTENTS_AT_ONCE = 200
const LOOK_AGAIN_AFTER_SECONDS = 60

type Deps = {
  db: Pick<Database, 'forApp' | 'unscoped'>
  audit: Pick<AuditLog, 'change'>
  projection: Pick<ProjectEvents, 'catchUp'>
  log: Log
}

export type SweepOutcomes = ReturnType<typeof createSweepOutcomes>

/*
 * An intent waits in due_work from the moment it is projected:
 *
 *   waiting ── its outcome is projected ───────────────────────────▶ gone
 *      │
 *      └─ 5 minutes old ── lane open ──▶ looked at again after 60 s
 *             │
 *             └─ lane closed ── outcome found in another lane ─────▶ gone
 *                    │
 *                    └─ none: `proxy.outcome_unknown`, in the ─────▶ gone
 *                       transaction that ends the wait
 */

/**
 * Adds `proxy.outcome_unknown` to intents of calls and tokens whose process ended before their outcome. Exactly one for each
 * intent, however many processes sweep: the row and the end of the wait are one transaction. Nothing is sent again.
 */
export function createSweepOutcomes({ db, audit, projection, log }: Deps) {
  async function sweepIntent(intent: LateIntent): Promise<boolean> {
    const { scopeId, eventId } = intent
    const state = await db.forApp(scopeId, (tx) => readIntentState(tx, scopeId, eventId))
    if (state === undefined || state.hasOutcome) {
      await db.unscoped((tx) => endWait(tx, intent))
      return false
    }
    if (!state.isLaneClosed) {
      await db.unscoped((tx) => postpone(tx, intent, LOOK_AGAIN_AFTER_SECONDS))
      return false
    }
    const found = await db.forApp(scopeId, (tx) => findEvent(tx, scopeId, eventId))
    if (found === undefined) return false
    const keep = JSON.parse(found.keep) as IntentKeep
    if (keep.organization_id === null) return false
    return audit.change(appScope(scopeId, keep.organization_id), async (tx, record) => {
      if (!(await endWait(tx, intent))) return false
      record(outcomeUnknown(keep))
      return true
    })
  }

  return {
    /** Looks at every intent that is late. Returns how many rows were written. */
    async sweepOutcomes(signal?: AbortSignal): Promise<number> {
      let written = 0
      const late = await db.unscoped((tx) => readLateIntents(tx, INTENTS_AT_ONCE))
      const caughtUp = new Map<string, boolean>()
      for (const intent of late) {
        if (signal?.aborted === true) break
        try {
          // An outcome that is not projected yet is an outcome.
          const { scopeId } = intent
          if (!caughtUp.has(scopeId)) caughtUp.set(scopeId, (await projection.catchUp(scopeId)).complete)
          if (caughtUp.get(scopeId) === true && (await sweepIntent(intent))) written += 1
        } catch (error) {
          log.error({ err: error, scope_id: intent.scopeId, event_id: intent.eventId }, 'an intent could not be swept')
        }
      }
      return written
    },
  }
}

type IntentKeep = {
  organization_id: string | null
  event_id: string
  key_id: string | null
  agent_id: string | null
  actor_id: string | null
  app_user_id: string | null
  principal_type: string | null
  principal_id: string | null
  grant_id: string | null
  provider_id: string | null
  resource_kind: 'oauth' | 'managed_secret' | null
  trace_id: string | null
  run_id: string | null
  thread_id: string | null
}

/** Everything that places the intent, so that whoever looks for the call finds its end. */
const outcomeUnknown = (intent: IntentKeep): RowDraft => ({
  event: 'proxy.outcome_unknown',
  stream: 'runtime',
  callerKind: 'system',
  outcome: 'unknown',
  primaryReason: 'outcome_unknown',
  intentId: intent.event_id,
  keyId: intent.key_id,
  agentId: intent.agent_id,
  actorId: intent.actor_id,
  appUserId: intent.app_user_id,
  principalType: intent.principal_type,
  principalId: intent.principal_id,
  grantId: intent.grant_id,
  providerId: intent.provider_id,
  resourceKind: intent.resource_kind,
  traceId: intent.trace_id,
  runId: intent.run_id,
  threadId: intent.thread_id,
  detail: { errorCode: 'outcome_unknown', initiator: 'system' },
})
