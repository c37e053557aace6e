import { sql } from 'kysely'
import type { AuditPublicJwk } from '../crypto/audit-signing-key.ts'
import type { Tx } from '../db/database.ts'
import { genesisHash } from './chain.ts'
import type { CheckpointHead, SignedCheckpoint } from './checkpoint.ts'

/** Takes the right to issue a scope's next checkpoint for this transaction. False: another process has it. */
export async function tryCheckpointLock(tx: Tx, scopeId: string): Promise<boolean> {
  const { rows } = await sql<{ held: boolean }>`
    select pg_try_advisory_xact_lock(hashtextextended('audit checkpoint ' || ${scopeId}, 0)) as held`.execute(tx)
  return rows[0]?.held === true
}

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
    .where('app_id', '=', scopeId)
    .orderBy('checkpoint_no', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row && toSigned(row)
}

/** Checkpoints from a number on, oldest first. */
export async function readCheckpoints(
  tx: Tx,
  scopeId: string,
  { from, to, limit }: { from: number; to?: number; limit: number },
): Promise<SignedCheckpoint[]> {
  const rows = await tx
    .selectFrom('audit_checkpoints')
    .select(CHECKPOINT_COLUMNS)
    .where('app_id', '=', scopeId)
    .where('checkpoint_no', '>=', from)
    .$if(to !== undefined, (query) => query.where('checkpoint_no', '<=', to!))
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
): Promise<(SignedCheckpoint & { issuedAt: Date })[]> {
  const rows = await tx
    .selectFrom('audit_checkpoints')
    .select([...CHECKPOINT_COLUMNS, 'issued_at'])
    .where('app_id', '=', scopeId)
    .$if(before !== undefined, (query) => query.where('checkpoint_no', '<', before!))
    .orderBy('checkpoint_no', 'desc')
    .limit(limit)
    .execute()
  return rows.map((row) => ({ ...toSigned(row), issuedAt: row.issued_at }))
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
        (select max(checkpoint_no) from audit_checkpoints where app_id = ${scopeId} and issued_at < ${range.start}::timestamptz),
        (select min(checkpoint_no) from audit_checkpoints where app_id = ${scopeId})) as first,
      coalesce(
        (select min(checkpoint_no) from audit_checkpoints where app_id = ${scopeId} and issued_at >= ${range.end}::timestamptz),
        (select max(checkpoint_no) from audit_checkpoints where app_id = ${scopeId})) as last`.execute(tx)
  const { first, last } = rows[0] ?? {}
  return typeof first === 'number' && typeof last === 'number' ? { from: first, to: last } : undefined
}

/** The head of a lane as it stands. */
export type LaneState = { chainId: string; seq: number; rowHash: string; isClosed: boolean }

/** The heads of every lane of a scope that no checkpoint has closed. */
export async function readLaneStates(tx: Tx, scopeId: string): Promise<LaneState[]> {
  const { rows } = await sql<{
    chain_id: string
    first_seq: number | null
    count: number | null
    head_hash: Buffer | null
  }>`
    select l.chain_id, b.first_seq, b.count, b.head_hash
    from audit_lanes l left join lateral (
      select first_seq, count, head_hash from audit_blocks
      where app_id = l.app_id and chain_id = l.chain_id order by first_seq desc limit 1) b on true
    where l.app_id = ${scopeId} and not l.checkpointed_to_end
    order by l.chain_id`.execute(tx)
  return rows.map(({ chain_id: chainId, first_seq, count, head_hash }) => ({
    chainId,
    seq: (first_seq ?? 1) + (count ?? 0) - 1,
    rowHash: (head_hash ?? genesisHash(chainId)).toString('hex'),
    // The closing block and closed_at are one transaction; the block is what a verifier sees.
    isClosed: count === 0,
  }))
}

/** Stores a checkpoint and notes what it covers, for the next one and for whoever looks for what is due. */
export async function insertCheckpoint(
  tx: Tx,
  scopeId: string,
  signed: SignedCheckpoint,
  issuedAt: string,
  heads: readonly CheckpointHead[],
  unlistedClosed: readonly string[],
): Promise<void> {
  await tx
    .insertInto('audit_checkpoints')
    .values({
      app_id: scopeId,
      checkpoint_no: signed.number,
      message: signed.message,
      message_hash: Buffer.from(signed.messageHash, 'hex'),
      signature: signed.signature,
      key_id: signed.keyId,
      issued_at: issuedAt,
    })
    .execute()
  await noteListed(tx, scopeId, heads, unlistedClosed)
  await sql`
    insert into audit_checkpoint_times (app_id, issued_at) values (${scopeId}, clock_timestamp())
    on conflict (app_id) do update set issued_at = excluded.issued_at`.execute(tx)
}

/** Lanes that closed without a row and were never listed stay unlisted. */
export async function noteListed(
  tx: Tx,
  scopeId: string,
  heads: readonly CheckpointHead[],
  unlistedClosed: readonly string[],
): Promise<void> {
  await sql`
    update audit_lanes l set checkpointed_seq = h.seq, checkpointed_to_end = h.closed
    from unnest(
      ${[...heads.map((head) => head.chain_id), ...unlistedClosed]}::uuid[],
      ${[...heads.map((head) => head.seq), ...unlistedClosed.map(() => 0)]}::bigint[],
      ${[...heads.map((head) => head.closed), ...unlistedClosed.map(() => true)]}::boolean[]) h (chain_id, seq, closed)
    where l.app_id = ${scopeId} and l.chain_id = h.chain_id`.execute(tx)
}

/** Seconds since the newest checkpoint of each scope, by the database's clock. */
export async function readCheckpointAges(tx: Tx, scopeIds: readonly string[]): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql<{ app_id: string; seconds: number }>`
    select app_id, extract(epoch from clock_timestamp() - issued_at)::float8 as seconds
    from audit_checkpoint_times where app_id = any(${[...scopeIds]}::uuid[])`.execute(tx)
  return new Map(rows.map((row) => [row.app_id, row.seconds]))
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
