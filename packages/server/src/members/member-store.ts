import type { Tx } from '../db/database.ts'
import type { NewRow, Row } from '../db/schema.generated.ts'

export type MemberRow = Row<'members'>

export async function insertMember(tx: Tx, row: NewRow<'members'>): Promise<void> {
  await tx.insertInto('members').values(row).execute()
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
