import type { GroupMembershipBody } from '@alter-vault/contracts'
import { UNKNOWN } from '../fact.ts'
import { deny, type EvaluateRule, undecidedOn } from '../firing.ts'

/** Denies by the groups of the user. Facts that are unknown or too old deny in every mode. */
export function compileGroupMembership(body: GroupMembershipBody): EvaluateRule {
  const isDenying = body.mode === 'deny_any'
  const code = isDenying ? 'group_denied' : 'group_required'
  const message = isDenying ? 'The user is in a group that may not.' : 'The user is not in a group that may.'
  const maxStalenessMs = (body.max_staleness_seconds ?? Number.POSITIVE_INFINITY) * 1000

  return ({ context: { user }, atMs }) => {
    if (user === null) return isDenying ? null : deny(code, message)
    if (user.status !== 'active') return deny('user_not_active', 'The user is not active.')
    const { groups } = user
    if (groups === UNKNOWN) return deny(code, message, undecidedOn('group_ids'))
    if (groups !== null && atMs - groups.confirmedAtMs > maxStalenessMs) {
      return deny(
        'group_facts_stale',
        `The user's groups were last confirmed more than ${body.max_staleness_seconds} s ago.`,
      )
    }
    const isSameDirectory = body.idp_id === undefined || body.idp_id === user.idpId
    const ofUser = groups === null || !isSameDirectory ? [] : groups.externalGroupIds
    const isMember = (group: string) => ofUser.includes(group)
    const isContent =
      body.mode === 'require_all' ? body.groups.every(isMember) : body.groups.some(isMember) !== isDenying
    return isContent ? null : deny(code, message)
  }
}
