import type { OperatorRole, Organization } from '@alter-vault/contracts'
import { type AuditLog, organizationScope } from '../audit/index.ts'
import { violatedConstraint } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type ChangeAuthor, changeRow } from './change-author.ts'
import { getOrganization, insertMember, insertOrganization, toOrganization } from './organization-store.ts'
import { slugOf } from './slug.ts'

type Deps = { audit: Pick<AuditLog, 'change'>; clock: Clock }

export type NewOrganization = {
  author: ChangeAuthor
  name: string
  settings?: Partial<Organization['settings']>
  owner: { email: string; displayName?: string | null }
}

/** Makes an organisation and its first owner. Refusal: `conflict` when the name's slug is taken. */
export const createOrganization =
  ({ audit, clock }: Deps) =>
  async (input: NewOrganization): Promise<{ organization: Organization; ownerId: string }> => {
    const now = clock.now()
    const organizationId = newId(now)
    const ownerId = newId(now)
    const createdAt = new Date(now)
    return audit.change(organizationScope(organizationId), async (tx, record) => {
      const slug = slugOf(input.name, 'organization')
      try {
        await insertOrganization(tx, {
          organizationId,
          name: input.name,
          slug,
          settings: input.settings ?? {},
          createdAt,
        })
      } catch (error) {
        if (violatedConstraint(error)?.constraint !== 'organizations_slug_key') throw error
        throw new VaultError('conflict', { message: `An organisation "${slug}" exists already.` })
      }
      const { email, displayName = null } = input.owner
      await insertMember(tx, {
        organizationId,
        memberId: ownerId,
        email,
        displayName,
        role: 'owner',
        appIds: null,
        createdAt,
      })
      record(changeRow(input.author, { event: 'setting.created', type: 'organization', id: organizationId }))
      record(changeRow(input.author, { event: 'member.created', type: 'member', id: ownerId }))
      return { organization: toOrganization(await getOrganization(tx, organizationId)), ownerId }
    })
  }

export type NewMember = {
  author: ChangeAuthor
  organizationId: string
  email: string
  displayName?: string | null
  role: OperatorRole
  appIds?: readonly string[] | null
}

/** Adds a member. Refusals: `not_found` for the organisation, `conflict` for an e-mail that is a member already. */
export const addMember =
  ({ audit, clock }: Deps) =>
  async (input: NewMember): Promise<{ memberId: string }> => {
    const memberId = newId(clock.now())
    const { organizationId, email, displayName = null, role, appIds = null } = input
    return audit.change(organizationScope(organizationId), async (tx, record) => {
      await getOrganization(tx, organizationId)
      const createdAt = new Date(clock.now())
      try {
        await insertMember(tx, { organizationId, memberId, email, displayName, role, appIds, createdAt })
      } catch (error) {
        if (violatedConstraint(error)?.constraint !== 'members_email') throw error
        throw new VaultError('conflict', { message: 'This e-mail address belongs to a member already.' })
      }
      record(
        changeRow(input.author, {
          event: 'member.created',
          type: 'member',
          id: memberId,
          changes: [{ field: 'role', from: null, to: JSON.stringify(role) }],
        }),
      )
      return { memberId }
    })
  }
