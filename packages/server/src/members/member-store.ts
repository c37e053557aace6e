import type { OperatorRole } from '@alter-vault/contracts'
import type { Tx } from '../db/database.ts'
import type { Row } from '../db/schema.generated.ts'

export type MemberRow = Row<'members'>

export async function insertMember(
  tx: Tx,
  row: {
    organizationId: string
    memberId: string
    email: string
    displayName: string | null
    role: OperatorRole
    appIds: readonly string[] | null
    createdAt: Date
  },
): Promise<void> {
  await tx
    .insertInto('members')
    .values({
      organization_id: row.organizationId,
      member_id: row.memberId,
      email: row.email,
      display_name: row.displayName,
      role: row.role,
      app_ids: row.appIds === null ? null : [...row.appIds],
      created_at: row.createdAt,
    })
    .execute()
}

export async function findMember(tx: Tx, organizationId: string, memberId: string): Promise<MemberRow | undefined> {
  return tx
    .selectFrom('members')
    .selectAll()
    .where('organization_id', '=', organizationId)
    .where('member_id', '=', memberId)
    .where('removed_at', 'is', null)
    .executeTakeFirst()
}
