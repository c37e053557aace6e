import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import type { Whose } from './approval.ts'

/**
 * What must happen at a time although nobody asks: the end of a window, an approved request to send, an answer to erase, and
 * the requests that were being held while their grant, agent, key or app ended.
 */
export type WorkKind =
  | 'approval_expiry'
  | 'approval_execution'
  | 'approval_result_erasure'
  | `${typeof WITHDRAWAL}${Whose['type']}`

/** What kinds of work begin with that end requests of somebody who has ended. */
export const WITHDRAWAL = 'approval_withdrawal.'

export type DueWork = { kind: WorkKind; appId: string; subjectId: string }

/** Sets when a piece of work is due; one row for each kind and subject. */
export async function scheduleWork(tx: Tx, work: DueWork, dueAt: Date): Promise<void> {
  await tx
    .insertInto('due_work')
    .values({ kind: work.kind, app_id: work.appId, subject_id: work.subjectId, due_at: dueAt })
    .onConflict((conflict) => conflict.columns(['kind', 'app_id', 'subject_id']).doUpdateSet({ due_at: dueAt }))
    .execute()
}

export async function dropWork(tx: Tx, work: DueWork): Promise<void> {
  await tx
    .deleteFrom('due_work')
    .where('kind', '=', work.kind)
    .where('app_id', '=', work.appId)
    .where('subject_id', '=', work.subjectId)
    .execute()
}

/** While somebody works on what it took, nobody else is offered it; a process that dies leaves it to the next for then. */
const TAKEN_SECONDS = 30

/** Takes work that is due. Each piece is offered again later, until it is dropped or scheduled anew. */
export async function takeDueWork(tx: Tx, kinds: readonly WorkKind[], limit: number): Promise<DueWork[]> {
  const { rows } = await sql<{ kind: WorkKind; app_id: string; subject_id: string }>`
    update due_work d set due_at = clock_timestamp() + make_interval(secs => ${TAKEN_SECONDS})
    from (
      select kind, app_id, subject_id from due_work
      where kind = any(${kinds as string[]}::text[]) and due_at <= now()
      order by due_at limit ${limit} for update skip locked
    ) due
    where d.kind = due.kind and d.app_id = due.app_id and d.subject_id = due.subject_id
    returning d.kind, d.app_id, d.subject_id`.execute(tx)
  return rows.map((row) => ({ kind: row.kind, appId: row.app_id, subjectId: row.subject_id }))
}

/** Requests that wait for a decision, over all apps: each has the end of its window as a piece of work. */
export async function countWaiting(tx: Tx): Promise<number> {
  const row = await tx
    .selectFrom('due_work')
    .select((count) => count.fn.countAll<number>().as('waiting'))
    .where('kind', '=', 'approval_expiry')
    .executeTakeFirstOrThrow()
  return row.waiting
}
