import type { Organization } from '@alter-vault/contracts'
import { type AuditLog, organizationScope } from '../audit/index.ts'
import { violatedConstraint } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type ChangeAuthor, changeRow, slugOf } from '../management/index.ts'
import { getOrganization, insertOrganization, toOrganization } from '../organizations/index.ts'
import { insertMember } from './member-store.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock }

export type NewOrganization = {
  author: ChangeAuthor
  name: string
  settings?: Partial<Organization['settings']>
  owner: { email: string; displayName?: string | null }
}

/** Makes an organization and its first owner. Refusal: `conflict` when the name's slug is taken. */
export const createOrganization =
  ({ audit, clock }: Deps) =>
  async (input: NewOrganization): Promise<{ organization: Organization; ownerId: string }> => {
    const now = clock.now()
    const organizationId = newId(now)
    const ownerId = newId(now)
    const of = { organization_id: organizationId, created_at: new Date(now) }
    const { name, settings = {} } = input
    return audit.change(organizationScope(organizationId), async (tx, record) => {
      const slug = slugOf(name, 'organization')
      try {
        await insertOrganization(tx, { ...of, name, slug, settings: JSON.stringify(settings) })
      } catch (error) {
        if (violatedConstraint(error) !== 'organizations_slug_key') throw error
        throw new VaultError('conflict', { message: `An organization "${slug}" exists already.` })
      }
      const { email, displayName = null } = input.owner
      await insertMember(tx, { ...of, member_id: ownerId, email, display_name: displayName, role: 'owner' })
      record(changeRow(input.author, { event: 'setting.created', type: 'organization', id: organizationId }))
      record(changeRow(input.author, { event: 'member.created', type: 'member', id: ownerId }))
      return { organization: toOrganization(await getOrganization(tx, organizationId)), ownerId }
    })
  }
