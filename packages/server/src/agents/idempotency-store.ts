import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'

/*
 * Creations of agents by their idempotency key. The claim is part of the creation's transaction: a second creation with the
 * same key waits at the claim until the first has committed or rolled back.
 */

const OPERATION = 'agents.create'
const REMEMBERED_HOURS = 24

export type CreationRecord = { bodyDigest: Buffer; agentId: string; keyId: string }

/** True when the key is this creation's now; false when another one had it within 24 hours. */
export async function claimCreation(
  tx: Tx,
  appId: string,
  idempotencyKey: string,
  bodyDigest: Buffer,
): Promise<boolean> {
  const { rows } = await sql<{ claimed: boolean }>`
    insert into idempotency_records as r (scope_id, operation, idempotency_key, body_digest)
    values (${appId}, ${OPERATION}, ${idempotencyKey}, ${bodyDigest})
    on conflict (scope_id, operation, idempotency_key) do update
      set body_digest = excluded.body_digest, subject_id = null, response = null, created_at = clock_timestamp()
      where r.created_at < clock_timestamp() - make_interval(hours => ${REMEMBERED_HOURS})
    returning true as claimed`.execute(tx)
  return rows.length === 1
}

export async function findCreation(tx: Tx, appId: string, idempotencyKey: string): Promise<CreationRecord | undefined> {
  const row = await tx
    .selectFrom('idempotency_records')
    .select(['body_digest', 'subject_id', 'response'])
    .where('scope_id', '=', appId)
    .where('operation', '=', OPERATION)
    .where('idempotency_key', '=', idempotencyKey)
    .executeTakeFirst()
  if (row?.subject_id == null) return undefined
  return { bodyDigest: row.body_digest, agentId: row.subject_id, keyId: (row.response as { key_id: string }).key_id }
}

export async function rememberCreation(
  tx: Tx,
  appId: string,
  idempotencyKey: string,
  made: { agentId: string; keyId: string },
): Promise<void> {
  await tx
    .updateTable('idempotency_records')
    .set({ subject_id: made.agentId, status: 201, response: JSON.stringify({ key_id: made.keyId }) })
    .where('scope_id', '=', appId)
    .where('operation', '=', OPERATION)
    .where('idempotency_key', '=', idempotencyKey)
    .execute()
}
