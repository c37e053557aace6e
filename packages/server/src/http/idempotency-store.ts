import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'

/** A claim whose call neither finished nor released it, as after a crash, may be taken over then. */
export const CLAIM_LAPSES_SECONDS = 120
export const REMEMBERED_HOURS = 24

type Named = { scopeId: string; operation: string; key: string; digest: Buffer }
type Found = { body_digest: Buffer; status: number | null; response: unknown }

/** True when the caller owns the key now. Finding and claiming are one statement, so of many callers one wins. */
export async function claimKey(tx: Tx, { scopeId, operation, key, digest }: Named): Promise<boolean> {
  const { rows } = await sql`
    insert into idempotency_records as r (scope_id, operation, idempotency_key, body_digest)
    values (${scopeId}, ${operation}, ${key}, ${digest})
    on conflict (scope_id, operation, idempotency_key) do update
      set body_digest = excluded.body_digest, status = null, response = null, created_at = clock_timestamp()
      where r.created_at < clock_timestamp() - make_interval(hours => ${REMEMBERED_HOURS})
         or (r.status is null and r.body_digest = excluded.body_digest
             and r.created_at < clock_timestamp() - make_interval(secs => ${CLAIM_LAPSES_SECONDS}))
    returning scope_id`.execute(tx)
  return rows.length === 1
}

export async function findRecord(tx: Tx, { scopeId, operation, key }: Named): Promise<Found | undefined> {
  const { rows } = await sql<Found>`
    select body_digest, status, response from idempotency_records
    where scope_id = ${scopeId} and operation = ${operation} and idempotency_key = ${key}`.execute(tx)
  return rows[0]
}

export async function rememberAnswer(tx: Tx, record: Named, status: number, response: unknown): Promise<void> {
  const { scopeId, operation, key } = record
  await sql`
    update idempotency_records set status = ${status}, response = ${JSON.stringify(response ?? null)}::jsonb
    where scope_id = ${scopeId} and operation = ${operation} and idempotency_key = ${key}`.execute(tx)
}

/** Gives a claim up; a remembered answer stays. */
export async function releaseKey(tx: Tx, { scopeId, operation, key }: Named): Promise<void> {
  await sql`
    delete from idempotency_records
    where scope_id = ${scopeId} and operation = ${operation} and idempotency_key = ${key} and status is null`.execute(
    tx,
  )
}

/** Returns how many records went. */
export async function forgetOld(tx: Tx, scopeId: string): Promise<number> {
  const { numAffectedRows = 0n } = await sql`
    delete from idempotency_records
    where scope_id = ${scopeId} and created_at < clock_timestamp() - make_interval(hours => ${REMEMBERED_HOURS})`.execute(
    tx,
  )
  return Number(numAffectedRows)
}
