import type { RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { OnEnded } from '../management/index.ts'
import type { WithdrawnReason } from './approval.ts'
import { findGroup, findPendingOf, hasEnded, readClock, type Whose } from './approval-store.ts'
import { findInFlight } from './attempt-store.ts'
import { type DueWork, scheduleWork } from './due-work-store.ts'
import { withdrawGroup } from './end-group.ts'

type EndedApprovals = {
  /** Groups that were pending and are `denied` now. */
  ended: string[]
  /** Attempts that had been handed to a provider before: they may still finish. */
  inFlight: string[]
}

/** Ends what waits on a grant, agent or app that ends; an archived app counts. */
export const endApprovalsWith: OnEnded = async (tx, record, { type, id }, { app }, endings) => {
  if (type !== 'grant' && type !== 'agent' && type !== 'app') return
  const [whose, reason] = whatWaitsOn(type, id)
  const { inFlight } = await endWaitingApprovals(tx, app.appId, whose, reason, record)
  endings.noteInFlight(inFlight)
}

function whatWaitsOn(type: 'grant' | 'agent' | 'app', id: string): [Whose, Exclude<WithdrawnReason, 'cancelled'>] {
  if (type === 'grant') return [{ grantId: id }, 'grant_revoked']
  return type === 'agent' ? [{ agentId: id }, 'agent_revoked'] : [{ all: true }, 'app_archived']
}

/**
 * Ends the pending requests of a grant, agent or app inside the transaction that ends it. Approved ones that were not sent
 * fail at their last check. A request that is being held at this very moment cannot be seen from here: it commits before the
 * change or is refused by its fence, and `endStragglers` ends it as soon as the change has committed.
 */
export async function endWaitingApprovals(
  tx: Tx,
  appId: string,
  whose: Whose,
  reason: Exclude<WithdrawnReason, 'cancelled'>,
  record: RecordEvent,
): Promise<EndedApprovals> {
  const ended = await endPendingOf(tx, appId, whose, reason, record)
  await scheduleWork(tx, stragglersOf(appId, whose), await readClock(tx))
  return { ended, inFlight: await findInFlight(tx, appId, whose) }
}

async function endPendingOf(
  tx: Tx,
  appId: string,
  whose: Whose,
  reason: Exclude<WithdrawnReason, 'cancelled'>,
  record: RecordEvent,
): Promise<string[]> {
  const ended: string[] = []
  for (const groupId of await findPendingOf(tx, appId, whose)) {
    const held = await findGroup(tx, appId, groupId, { lock: true })
    if (held?.group.status !== 'pending') continue
    await withdrawGroup(tx, held.group, held.now, reason, record)
    ended.push(groupId)
  }
  return ended
}

function stragglersOf(appId: string, whose: Whose): DueWork {
  if ('grantId' in whose) return { kind: 'approval_withdrawal.grant', appId, subjectId: whose.grantId }
  if ('agentId' in whose) return { kind: 'approval_withdrawal.agent', appId, subjectId: whose.agentId }
  return { kind: 'approval_withdrawal.app', appId, subjectId: appId }
}

/** Ends what was held while its grant, agent or app ended. Does nothing for one that lives (again). */
export async function endStragglers(tx: Tx, work: DueWork, record: RecordEvent): Promise<string[]> {
  const { appId, subjectId } = work
  const [whose, reason] = whatWaitsOn(
    work.kind.slice('approval_withdrawal.'.length) as 'grant' | 'agent' | 'app',
    subjectId,
  )
  return (await hasEnded(tx, appId, whose)) ? endPendingOf(tx, appId, whose, reason, record) : []
}
