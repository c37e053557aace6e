import type { AuditLog } from '../audit/index.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { Operator } from '../management/index.ts'
import { windowEnded, withdrawnReason } from './approval.ts'
import { groupRow } from './approval-row.ts'
import { findGroup, findGroupId, type Held } from './approval-store.ts'
import { endPendingGroup, expireGroup } from './end-group.ts'
import type { ReadAppScope } from './read-app-scope.ts'

type Deps = {
  audit: Pick<AuditLog, 'change'>
  readAppScope: ReadAppScope
  announce: (approvalGroupId: string) => void
}

/**
 * Withdraws a pending request, by the id of any of its gates or of the group. Again: unchanged. Refusals:
 * `approval_not_found`, `approval_not_pending`.
 */
export function createCancelApproval({ audit, readAppScope, announce }: Deps) {
  return async function cancelApproval(
    operator: Pick<Operator, 'memberId' | 'clientIp' | 'userAgent'>,
    appId: string,
    id: string,
  ): Promise<Held> {
    const answer = await audit.change(await readAppScope(appId), async (tx, record) => {
      const groupId = await findGroupId(tx, appId, id)
      const held = groupId === undefined ? undefined : await findGroup(tx, appId, groupId, { lock: true })
      if (held === undefined) throw new VaultError('approval_not_found')
      const { group, now } = held
      if (withdrawnReason(group) === 'cancelled') return { held, refused: false }
      if (group.status !== 'pending') return { held, refused: true }
      if (windowEnded(group, now)) {
        return { held: { group: await expireGroup(tx, group, now, record), now }, refused: true }
      }
      const ended = await endPendingGroup(tx, group, 'denied', { decidedAt: now, decisionReason: 'cancelled' })
      record({
        ...groupRow(group),
        callerKind: 'pat',
        memberId: operator.memberId,
        event: 'approval.cancelled',
        outcome: 'changed',
        primaryReason: 'cancelled',
        detail: {
          clientIp: operator.clientIp,
          userAgent: operator.userAgent,
          resourceType: 'approval',
          resourceId: group.approvalGroupId,
          changes: [{ field: 'status', from: 'pending', to: 'denied' }],
        },
      })
      return { held: { group: ended, now }, refused: false }
    })
    announce(answer.held.group.approvalGroupId)
    if (answer.refused) {
      throw new VaultError('approval_not_pending', {
        message: `The request is ${answer.held.group.status}; only a pending one can be cancelled.`,
      })
    }
    return answer.held
  }
}
