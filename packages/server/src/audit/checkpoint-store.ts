import { sql } from 'kysely'
import type { AuditPublicJwk } from '../crypto/audit-signing-key.ts'
import type { Tx } from '../db/database.ts'
import type { SignedCheckpoint } from './checkpoint.ts'

type CheckpointRow = {
  checkpoint_no: number
  message: string
  message_hash: Buffer
  signature: string
  key_id: string
}

const toSigned = (row: CheckpointRow): SignedCheckpoint => ({
  number: row.checkpoint_no,
  message: row.message,
  messageHash: row.message_hash.toString('hex'),
  signature: row.signature,
  keyId: row.key_id,
})

const CHECKPOINT_COLUMNS = ['checkpoint_no', 'message', 'message_hash', 'signature', 'key_id'] as const

export async function findLastCheckpoint(tx: Tx, scopeId: string): Promise<SignedCheckpoint | undefined> {
  const row = await tx
    .selectFrom('audit_checkpoints')
    .select(CHECKPOINT_COLUMNS)
    .where('scope_id', '=', scopeId)
    .orderBy('checkpoint_no', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && toSigned(row)
}

/** Checkpoints from one number to another, both included, oldest first. */
export async function readCheckpoints(
  tx: Tx,
  scopeId: string,
  { from, to, limit }: { from: number; to: number; limit: number },
): Promise<SignedCheckpoint[]> {
  const rows = await tx
    .selectFrom('audit_checkpoints')
    .select(CHECKPOINT_COLUMNS)
    .where('scope_id', '=', scopeId)
    .where('checkpoint_no', '>=', from)
    .where('checkpoint_no', '<=', to)
    .orderBy('checkpoint_no')
    .limit(limit)
    .execute()
  return rows.map(toSigned)
}

/** Checkpoints before a number, newest first. */
export async function readCheckpointsBefore(
  tx: Tx,
  scopeId: string,
  { before, limit }: { before: number | undefined; limit: number },
): Promise<SignedCheckpoint[]> {
  const rows = await tx
    .selectFrom('audit_checkpoints')
    .select(CHECKPOINT_COLUMNS)
    .where('scope_id', '=', scopeId)
    .$if(before !== undefined, (query) => query.where('checkpoint_no', '<', before!))
    .orderBy('checkpoint_no', 'desc')
    .limit(limit)
    .execute()
  return rows.map(toSigned)
}

/** The numbers of the checkpoints around a time range: the last one before it to the first one after it. */
export async function findCheckpointsAround(
  tx: Tx,
  scopeId: string,
  range: { start: string | null; end: string | null },
): Promise<{ from: number; to: number } | undefined> {
  const { rows } = await sql<{ first: number | null; last: number | null }>`
    select
      coalesce(
        (select max(checkpoint_no) from audit_checkpoints where scope_id = ${scopeId} and issued_at < ${range.start}::timestamptz),
        (select min(checkpoint_no) from audit_checkpoints where scope_id = ${scopeId})) as first,
      coalesce(
        (select min(checkpoint_no) from audit_checkpoints where scope_id = ${scopeId} and issued_at >= ${range.end}::timestamptz),
        (select max(checkpoint_no) from audit_checkpoints where scope_id = ${scopeId})) as last`.execute(tx)
  const { first, last } = rows[0] ?? {}
  return typeof first === 'number' && typeof last === 'number' ? { from: first, to: last } : undefined
}

/** Stores a checkpoint that covers all rows up to `signedRow`, the last one. The caller holds the scope. */
export async function insertCheckpoint(
  tx: Tx,
  scopeId: string,
  signed: SignedCheckpoint,
  { issuedAt, signedRow }: { issuedAt: string; signedRow: number },
): Promise<void> {
  await tx
    .insertInto('audit_checkpoints')
    .values({
      scope_id: scopeId,
      checkpoint_no: signed.number,
      message: signed.message,
      message_hash: Buffer.from(signed.messageHash, 'hex'),
      signature: signed.signature,
      key_id: signed.keyId,
      issued_at: issuedAt,
    })
    .execute()
  await tx
    .updateTable('audit_scopes')
    .set({ signed_row: signedRow, unsigned_since: null })
    .where('scope_id', '=', scopeId)
    .execute()
}

/** Lists public keys; a key that is listed keeps its entry but for the end of its time. */
export async function listPublicKeys(tx: Tx, keys: readonly AuditPublicJwk[]): Promise<void> {
  for (const { not_before, not_after, ...jwk } of keys) {
    await sql`
      insert into audit_signing_keys (key_id, public_jwk, valid_from, valid_until)
      values (${jwk.kid}, ${JSON.stringify(jwk)}, ${not_before}, ${not_after})
      on conflict (key_id) do update set valid_until = excluded.valid_until
      where audit_signing_keys.valid_until is distinct from excluded.valid_until`.execute(tx)
  }
}

/** Every key that ever signed in this installation, oldest first. */
export async function readPublicKeys(tx: Tx): Promise<AuditPublicJwk[]> {
  const rows = await tx.selectFrom('audit_signing_keys').selectAll().orderBy('valid_from').orderBy('key_id').execute()
  return rows.map((row) => ({
    ...(row.public_jwk as Omit<AuditPublicJwk, 'kid' | 'not_before' | 'not_after'>),
    kid: row.key_id,
    not_before: row.valid_from.toISOString(),
    not_after: row.valid_until?.toISOString() ?? null,
  }))
}
