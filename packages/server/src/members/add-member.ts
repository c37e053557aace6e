import type { OperatorRole } from '@alter-vault/contracts'
import { type AuditLog, organizationScope } from '../audit/index.ts'
import { violatedConstraint } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type ChangeAuthor, changeRow, changesBetween } from '../management/index.ts'
import { getOrganization } from '../organizations/index.ts'
import { insertMember } from './member-store.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock }

export type NewMember = {
  author: ChangeAuthor
  organizationId: string
  email: string
  displayName?: string | null
  role: OperatorRole
  appIds?: readonly string[] | null
}

/** Adds a member. Refusals: `not_found` for the organization, `conflict` for an e-mail that is a member already. */
export const addMember =
  ({ audit, clock }: Deps) =>
  async (input: NewMember): Promise<{ memberId: string }> => {
    const memberId = newId(clock.now())
    const { organizationId, email, displayName = null, role, appIds = null } = input
    const row = { organization_id: organizationId, member_id: memberId, email, display_name: displayName, role }
    return audit.change(organizationScope(organizationId), async (tx, record) => {
      await getOrganization(tx, organizationId)
      try {
        await insertMember(tx, { ...row, app_ids: appIds && [...appIds], created_at: new Date(clock.now()) })
      } catch (error) {
        if (violatedConstraint(error) !== 'members_email') throw error
        throw new VaultError('conflict', { message: 'This e-mail address belongs to a member already.' })
      }
      const changes = changesBetween({}, { role })
      record(changeRow(input.author, { event: 'member.created', type: 'member', id: memberId, changes }))
      return { memberId }
    })
  }
