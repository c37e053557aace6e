import type { RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { Group, WithdrawnReason } from './approval.ts'
import { groupRow, serverRow } from './approval-row.ts'
import { moveGate, moveGroup } from './approval-store.ts'
import { dropWork } from './due-work-store.ts'

/** Ends a pending group, and with it its gates that are pending, under the group's lock. Its rows are the caller's. */
export async function endPendingGroup(
  tx: Tx,
  group: Group,
  to: 'denied' | 'expired',
  fields: { decidedAt: Date; decisionReason: string | null },
): Promise<Group> {
  const gates = []
  for (const gate of group.gates) {
    gates.push(gate.status === 'pending' ? await moveGate(tx, group.appId, gate, to, fields) : gate)
  }
  const moved = await moveGroup(tx, group, to, fields)
  await dropWork(tx, { kind: 'approval_expiry', appId: group.appId, subjectId: group.approvalGroupId })
  return { ...moved, gates }
}

/** Ends a pending group because its window is over. */
export async function expireGroup(tx: Tx, group: Group, now: Date, record: RecordEvent): Promise<Group> {
  const expired = await endPendingGroup(tx, group, 'expired', { decidedAt: now, decisionReason: null })
  record({ ...serverRow(group), event: 'approval.expired', outcome: 'refused', primaryReason: 'approval_expired' })
  return expired
}

/** Ends a pending group that nobody decided, because what it rests on has ended. */
export async function withdrawGroup(
  tx: Tx,
  group: Group,
  now: Date,
  reason: Exclude<WithdrawnReason, 'cancelled'>,
  record: RecordEvent,
): Promise<Group> {
  const ended = await endPendingGroup(tx, group, 'denied', { decidedAt: now, decisionReason: reason })
  record({
    ...groupRow(group),
    callerKind: 'system',
    agentId: group.agentId,
    appUserId: group.appUserId,
    event: 'approval.denied',
    outcome: 'refused',
    primaryReason: reason,
  })
  return ended
}
