import type { AuditLog } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import { addMember } from './add-member.ts'
import { createOrganization } from './create-organization.ts'

export { findMember } from './member-store.ts'

export type Members = ReturnType<typeof createMembers>

/** Members of organizations; an organization begins with its first owner. */
export function createMembers(deps: { audit: Pick<AuditLog, 'change'>; clock: Clock }) {
  return { createOrganization: createOrganization(deps), addMember: addMember(deps) }
}
