import { sql } from 'kysely'
import { isLockTimeout, type Tx } from '../db/database.ts'

const REMEMBERED_HOURS = 24

/** A key means something in its scope and for its operation only. */
export type OnceKey = { scopeId: string; operation: string; key: string; digest: Buffer }
export type FirstAnswer = { body_digest: Buffer; status: number; response: unknown }

/**
 * Claims the key in this transaction. Answers what was remembered under it within 24 hours, undefined when the key is this
 * transaction's now, and `in_progress` when another one holds it for longer than this one waits for a lock.
 */
export async function claimKey(
  tx: Tx,
  { scopeId, operation, key, digest }: OnceKey,
): Promise<FirstAnswer | 'in_progress' | undefined> {
  try {
    const { rows } = await sql`
      insert into idempotency_records as r (scope_id, operation, idempotency_key, body_digest)
      values (${scopeId}, ${operation}, ${key}, ${digest})
      on conflict (scope_id, operation, idempotency_key) do update
        set body_digest = excluded.body_digest, status = null, response = null, created_at = clock_timestamp()
        where r.created_at < clock_timestamp() - make_interval(hours => ${REMEMBERED_HOURS})
      returning scope_id`.execute(tx)
    if (rows.length === 1) return undefined
  } catch (error) {
    if (isLockTimeout(error)) return 'in_progress'
    throw error
  }
  const { rows } = await sql<FirstAnswer>`
    select body_digest, status, response from idempotency_records
    where scope_id = ${scopeId} and operation = ${operation} and idempotency_key = ${key}`.execute(tx)
  return rows[0] ?? 'in_progress'
}

/** Keeps what a repeat is answered. */
export async function rememberAnswer(
  tx: Tx,
  { scopeId, operation, key }: OnceKey,
  answer: { status: number; body: unknown },
): Promise<void> {
  await sql`
    update idempotency_records set status = ${answer.status}, response = ${JSON.stringify(answer.body ?? null)}::json
    where scope_id = ${scopeId} and operation = ${operation} and idempotency_key = ${key}`.execute(tx)
}

/** Forgets the answers of a scope that are older than 24 hours. */
export async function forgetAnswers(tx: Tx, scopeId: string): Promise<void> {
  await sql`
    delete from idempotency_records
    where scope_id = ${scopeId} and created_at < now() - make_interval(hours => ${REMEMBERED_HOURS})`.execute(tx)
}

/** Moves the transaction to another scope: the key of a call that makes an app counts in its organization. */
export async function enterScope(tx: Tx, scopeId: string): Promise<void> {
  await sql`select set_config('vault.scope', ${scopeId}, true)`.execute(tx)
}
