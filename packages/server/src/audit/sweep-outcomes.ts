import type { Database } from '../db/database.ts'
import type { Log } from '../kernel/log.ts'
import type { Keep } from './audit-event.ts'
import type { AuditLog } from './audit-log.ts'
import type { RowDraft } from './audit-row.ts'
import { findEvent } from './event-store.ts'
import { endWait, findOutcome, type LateIntent, readLateIntents, settleIntent } from './outcome-store.ts'
import type { Sequencer } from './sequence-batches.ts'

const INTENTS_AT_ONCE = 200

type Deps = {
  db: Pick<Database, 'forScope' | 'unscoped'>
  audit: Pick<AuditLog, 'change'>
  sequencer: Pick<Sequencer, 'catchUp'>
  log: Log
}

export type SweepOutcomes = ReturnType<typeof createSweepOutcomes>

/*
 * An intent waits in due_work from the moment it has its place in the log:
 *
 *   waiting ── its outcome gets its place ─────────────────────────────────────▶ gone
 *      │
 *      └─ 10 minutes old ── an outcome is there, or has settled the intent ────▶ gone
 *             │
 *             └─ none: `proxy.outcome_unknown`, which settles the intent, ─────▶ gone
 *                in the transaction that ends the wait
 */

/**
 * Adds `proxy.outcome_unknown` to intents of calls and tokens that have no outcome ten minutes later, whoever wrote them. An outcome
 * that comes a minute after its intent or later settles the intent too, so each has one, however many processes sweep. Nothing is
 * sent again.
 */
export function createSweepOutcomes({ db, audit, sequencer, log }: Deps) {
  async function sweepIntent(intent: LateIntent): Promise<boolean> {
    const { scopeId, eventId } = intent
    const found = await db.forScope(scopeId, async (tx) =>
      (await findOutcome(tx, intent)) === false ? findEvent(tx, scopeId, eventId) : undefined,
    )
    if (found === undefined) {
      await db.unscoped((tx) => endWait(tx, intent))
      return false
    }
    return audit.change(found.scope, async (tx, record) => {
      await endWait(tx, intent)
      if (!(await settleIntent(tx, intent))) return false
      record(outcomeUnknown(found.keep))
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
          // An outcome that has no place yet is an outcome.
          const { scopeId } = intent
          if (!caughtUp.has(scopeId)) caughtUp.set(scopeId, (await sequencer.catchUp(scopeId)).complete)
          if (caughtUp.get(scopeId) === true && (await sweepIntent(intent))) written += 1
        } catch (error) {
          log.error({ err: error, scope_id: intent.scopeId, event_id: intent.eventId }, 'an intent could not be swept')
        }
      }
      return written
    },
  }
}

/** Everything that places the intent, so that whoever looks for the call finds its end. */
const outcomeUnknown = (intent: Keep): RowDraft => ({
  event: 'proxy.outcome_unknown',
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
  resourceKind: intent.resource_kind as 'oauth' | 'managed_secret' | null,
  traceId: intent.trace_id,
  runId: intent.run_id,
  threadId: intent.thread_id,
  detail: { errorCode: 'outcome_unknown', initiator: 'system' },
})
