import type { RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { OnEnded } from '../management/index.ts'
import type { Whose, WithdrawnReason } from './approval.ts'
import { findGroup, findPendingOf, hasEnded, readClock } from './approval-store.ts'
import { findInFlight } from './attempt-store.ts'
import { type DueWork, scheduleWork, WITHDRAWAL } from './due-work-store.ts'
import { withdrawGroup } from './end-group.ts'

type EndedApprovals = {
  /** Groups that were pending and are `denied` now. */
  ended: string[]
  /** Attempts that had been handed to a provider before: they may still finish. */
  inFlight: string[]
}

/** What requests wait on, and why they are withdrawn when it ends. */
const WAITS_ON = {
  grant: 'grant_revoked',
  agent: 'agent_revoked',
  key: 'key_revoked',
  app: 'app_archived',
} as const satisfies Record<Whose['type'], WithdrawnReason>

const isWaitedOn = (type: string): type is Whose['type'] => Object.hasOwn(WAITS_ON, type)

/** Ends what waits on a grant, agent, key or app that ends; an archived app counts. */
export const endApprovalsWith: OnEnded = async (tx, record, { type, id }, { app }, endings) => {
  if (!isWaitedOn(type)) return
  const { inFlight } = await endWaitingApprovals(tx, app.appId, { type, id }, record)
  endings.noteInFlight(inFlight)
}

/**
 * Ends the pending requests of a grant, agent, key or app inside the transaction that ends it. Approved ones that were not sent
 * fail at their last check. A request that is being held at this very moment cannot be seen from here: it commits before the
 * change or is refused by its fence, and `endStragglers` ends it as soon as the change has committed.
 */
export async function endWaitingApprovals(
  tx: Tx,
  appId: string,
  whose: Whose,
  record: RecordEvent,
): Promise<EndedApprovals> {
  const ended = await endPendingOf(tx, appId, whose, record)
  await scheduleWork(tx, stragglersOf(appId, whose), await readClock(tx))
  return { ended, inFlight: await findInFlight(tx, appId, whose) }
}

async function endPendingOf(tx: Tx, appId: string, whose: Whose, record: RecordEvent): Promise<string[]> {
  const ended: string[] = []
  for (const groupId of await findPendingOf(tx, appId, whose)) {
    const held = await findGroup(tx, appId, groupId, { lock: true })
    if (held?.group.status !== 'pending') continue
    await withdrawGroup(tx, held.group, held.now, WAITS_ON[whose.type], record)
    ended.push(groupId)
  }
  return ended
}

const stragglersOf = (appId: string, { type, id }: Whose): DueWork => ({
  kind: `${WITHDRAWAL}${type}`,
  appId,
  subjectId: id,
})

/** Ends what was held while its grant, agent, key or app ended. Does nothing for one that lives (again). */
export async function endStragglers(
  tx: Tx,
  { kind, appId, subjectId }: DueWork,
  record: RecordEvent,
): Promise<string[]> {
  const whose = { type: kind.slice(WITHDRAWAL.length) as Whose['type'], id: subjectId }
  return (await hasEnded(tx, appId, whose)) ? endPendingOf(tx, appId, whose, record) : []
}
