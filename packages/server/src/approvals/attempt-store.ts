import { sql } from 'kysely'
import { camelCased, snakeCased } from '../db/column-names.ts'
import type { Tx } from '../db/database.ts'
import type { NewRow } from '../db/schema.generated.ts'
import type { Attempt, Group, Whose } from './approval.ts'
import { clock, OWNER } from './approval-store.ts'

/* Every statement about attempts to send an approved request. The row of the group is locked before that of its attempt. */

/** Attempts whose request has been handed to the provider and is not answered yet. */
export async function findInFlight(tx: Tx, appId: string, { type, id }: Whose): Promise<string[]> {
  const owner = OWNER[type]
  const rows = await tx
    .selectFrom('approval_attempts as a')
    .innerJoin('approval_groups as g', (join) =>
      join.onRef('g.app_id', '=', 'a.app_id').onRef('g.approval_group_id', '=', 'a.approval_group_id'),
    )
    .select('a.attempt_id')
    .where('a.app_id', '=', appId)
    .where('g.status', '=', 'executing')
    .where('a.sent_at', 'is not', null)
    .where('a.ended_at', 'is', null)
    .orderBy('a.attempt_id')
    .$if(owner !== null, (query) => query.where(`g.${owner!}`, '=', id))
    .execute()
  return rows.map((row) => row.attempt_id)
}

/** The attempt that has not ended, locked. */
export async function findOpenAttempt(tx: Tx, appId: string, approvalGroupId: string): Promise<Attempt | null> {
  const row = await tx
    .selectFrom('approval_attempts')
    .select(['attempt_id', 'owner', 'lease_number', 'claimed_at', 'lease_until', 'sent_at'])
    .where('app_id', '=', appId)
    .where('approval_group_id', '=', approvalGroupId)
    .where('ended_at', 'is', null)
    .forUpdate()
    .executeTakeFirst()
  return row === undefined ? null : camelCased(row)
}

/** The highest lease number that any attempt of the group has had; 0 without one. */
export async function readLeaseNumber(tx: Tx, appId: string, approvalGroupId: string): Promise<number> {
  const row = await tx
    .selectFrom('approval_attempts')
    .select(sql<number>`coalesce(max(lease_number), 0)`.as('highest'))
    .where('app_id', '=', appId)
    .where('approval_group_id', '=', approvalGroupId)
    .executeTakeFirstOrThrow()
  return row.highest
}

export async function insertAttempt(tx: Tx, group: Group, attempt: Attempt): Promise<void> {
  await tx
    .insertInto('approval_attempts')
    .values(
      snakeCased<NewRow<'approval_attempts'>>({
        ...attempt,
        appId: group.appId,
        approvalGroupId: group.approvalGroupId,
      }),
    )
    .execute()
}

export async function endAttempt(
  tx: Tx,
  appId: string,
  attemptId: string,
  outcome: 'not_sent' | 'executed' | 'failed' | 'unknown',
  endedAt: Date,
): Promise<void> {
  await tx
    .updateTable('approval_attempts')
    .set({ ended_at: endedAt, outcome })
    .where('app_id', '=', appId)
    .where('attempt_id', '=', attemptId)
    .where('ended_at', 'is', null)
    .executeTakeFirstOrThrow()
}

/** Renews a lease that is still this owner's. Answers its new end; undefined when the attempt has ended or changed hands. */
export async function extendLease(
  tx: Tx,
  lease: { appId: string; attemptId: string; owner: string; leaseNumber: number; seconds: number },
): Promise<Date | undefined> {
  const row = await tx
    .updateTable('approval_attempts')
    .set({ lease_until: sql<Date>`${clock} + make_interval(secs => ${lease.seconds})` })
    .where('app_id', '=', lease.appId)
    .where('attempt_id', '=', lease.attemptId)
    .where('owner', '=', lease.owner)
    .where('lease_number', '=', lease.leaseNumber)
    .where('ended_at', 'is', null)
    .returning('lease_until')
    .executeTakeFirst()
  return row?.lease_until
}
