import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import type { NewRow, Row } from '../db/schema.generated.ts'

export type TokenRow = Row<'personal_access_tokens'>

/** Where a token's organization is found from the digest of what was presented. No tenant data: read without a scope. */
export async function findTokenRoute(
  tx: Tx,
  digest: Buffer,
): Promise<{ organizationId: string; patId: string } | undefined> {
  const row = await tx.selectFrom('token_routes').selectAll().where('digest', '=', digest).executeTakeFirst()
  return row && { organizationId: row.organization_id, patId: row.pat_id }
}

/** A token with the member it belongs to, whatever the state of either. */
export async function findTokenWithMember(
  tx: Tx,
  organizationId: string,
  patId: string,
): Promise<(TokenRow & Pick<Row<'members'>, 'role' | 'removed_at'> & { member_app_ids: string[] | null }) | undefined> {
  return tx
    .selectFrom('personal_access_tokens as t')
    .innerJoin('members as m', (join) =>
      join.onRef('m.organization_id', '=', 't.organization_id').onRef('m.member_id', '=', 't.member_id'),
    )
    .selectAll('t')
    .select(['m.role', 'm.removed_at', 'm.app_ids as member_app_ids'])
    .where('t.organization_id', '=', organizationId)
    .where('t.pat_id', '=', patId)
    .executeTakeFirst()
}

export async function insertToken(tx: Tx, row: NewRow<'personal_access_tokens'>): Promise<void> {
  await tx.insertInto('personal_access_tokens').values(row).execute()
  await tx
    .insertInto('token_routes')
    .values({ digest: row.digest, organization_id: row.organization_id, pat_id: row.pat_id })
    .execute()
}

export async function countLiveTokens(tx: Tx, organizationId: string, memberId: string, at: Date): Promise<number> {
  const { n } = await tx
    .selectFrom('personal_access_tokens')
    .select(sql<number>`count(*)::int`.as('n'))
    .where('organization_id', '=', organizationId)
    .where('member_id', '=', memberId)
    .where('revoked_at', 'is', null)
    .where('expires_at', '>', at)
    .executeTakeFirstOrThrow()
  return n
}

export async function markTokenRevoked(tx: Tx, organizationId: string, patId: string, at: Date): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('personal_access_tokens')
    .set({ revoked_at: at })
    .where('organization_id', '=', organizationId)
    .where('pat_id', '=', patId)
    .where('revoked_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function noteTokenUse(tx: Tx, organizationId: string, patId: string, at: Date): Promise<void> {
  await tx
    .updateTable('personal_access_tokens')
    .set({ last_used_at: at })
    .where('organization_id', '=', organizationId)
    .where('pat_id', '=', patId)
    .execute()
}
