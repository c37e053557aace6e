import { sql } from 'kysely'
import type { Database, Tx } from '../db/database.ts'
import type { SignedCheckpoint } from './checkpoint.ts'
import { readCheckpoints } from './checkpoint-store.ts'

/** A block as it is stored. */
export type StoredBlock = { firstSeq: number; count: number; headHash: Buffer; rows: Buffer }

/** The end of a lane: its last row, and the last block that was there. */
export type LaneExtent = { chainId: string; lastSeq: number; lastBlockSeq: number }

/** Blocks that are read at once: few enough to keep the event loop free while they are hashed. */
const BLOCKS_AT_ONCE = 64
const BYTES_AT_ONCE = 1_000_000
const CHECKPOINTS_AT_ONCE = 200

/** Every lane of which there is a block, by an index step each. */
export async function readLaneExtents(tx: Tx, scopeId: string): Promise<LaneExtent[]> {
  const { rows } = await sql<{ chain_id: string; last_seq: number; last_block_seq: number }>`
    with recursive lane (chain_id) as (
      (select chain_id from audit_blocks where app_id = ${scopeId} order by chain_id limit 1)
      union all
      select (select b.chain_id from audit_blocks b
        where b.app_id = ${scopeId} and b.chain_id > lane.chain_id order by b.chain_id limit 1)
      from lane where lane.chain_id is not null
    )
    select lane.chain_id, b.first_seq + b.count - 1 as last_seq, b.first_seq as last_block_seq
    from lane cross join lateral (
      select first_seq, count from audit_blocks
      where app_id = ${scopeId} and chain_id = lane.chain_id order by first_seq desc limit 1) b
    where lane.chain_id is not null`.execute(tx)
  return rows.map((row) => ({ chainId: row.chain_id, lastSeq: row.last_seq, lastBlockSeq: row.last_block_seq }))
}

/**
 * The blocks of a lane in order, a few at a time, each few in a transaction of their own: blocks are never changed but for pruned
 * details, which keep their hashes. `from` and `to` are first rows of blocks, both included.
 */
export async function* streamBlocks(
  db: Pick<Database, 'forApp'>,
  scopeId: string,
  chainId: string,
  { from, to }: { from: number; to: number },
): AsyncGenerator<StoredBlock> {
  for (let next = from; next <= to; ) {
    const blocks = await db.forApp(scopeId, async (tx) => {
      const { rows } = await sql<{ first_seq: number; count: number; head_hash: Buffer; rows: Buffer }>`
        select first_seq, count, head_hash, rows from (
          select *, sum(octet_length(rows)) over (order by first_seq) - octet_length(rows) as bytes_before
          from (
            select first_seq, count, head_hash, rows from audit_blocks
            where app_id = ${scopeId} and chain_id = ${chainId} and first_seq >= ${next} and first_seq <= ${to}
            order by first_seq limit ${BLOCKS_AT_ONCE}) few
        ) b where bytes_before < ${BYTES_AT_ONCE} order by first_seq`.execute(tx)
      return rows
    })
    for (const { first_seq, count, head_hash, rows } of blocks) {
      yield { firstSeq: first_seq, count, headHash: head_hash, rows }
    }
    const last = blocks.at(-1)
    if (last === undefined) return
    next = last.first_seq + 1
  }
}

/** The checkpoints of a scope between two numbers, oldest first. */
export async function* streamCheckpoints(
  db: Pick<Database, 'forApp'>,
  scopeId: string,
  { from, to }: { from: number; to: number },
): AsyncGenerator<SignedCheckpoint> {
  for (let next = from; next <= to; ) {
    const some = await db.forApp(scopeId, (tx) =>
      readCheckpoints(tx, scopeId, { from: next, to, limit: CHECKPOINTS_AT_ONCE }),
    )
    yield* some
    const last = some.at(-1)
    if (last === undefined) return
    next = last.number + 1
  }
}

/** The block that holds a row, and the head hash of the one before it. */
export async function findBlockAt(
  tx: Tx,
  scopeId: string,
  chainId: string,
  seq: number,
): Promise<{ firstSeq: number; previousHead: Buffer | null } | undefined> {
  const rows = await tx
    .selectFrom('audit_blocks')
    .select(['first_seq', 'head_hash'])
    .where('app_id', '=', scopeId)
    .where('chain_id', '=', chainId)
    .where('first_seq', '<=', seq)
    .orderBy('first_seq', 'desc')
    .limit(2)
    .execute()
  const [block, previous] = rows
  return block && { firstSeq: block.first_seq, previousHead: previous?.head_hash ?? null }
}
