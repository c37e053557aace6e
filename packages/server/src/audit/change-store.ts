import { sql } from 'kysely'
import type { Tx } from '../db/database.ts'
import { type AppendInput, appendParameters, type Block } from './append-store.ts'

/** Prepares the transaction of a change: whose rows it may touch, and how long it may wait for a lock. */
export async function beginChange(tx: Tx, organizationId: string | null): Promise<void> {
  if (organizationId !== null) {
    await sql`select set_config('vault.organization', ${organizationId}, true)`.execute(tx)
  }
  await sql`set local lock_timeout = '10s'`.execute(tx)
}

/** Stores a change's rows, and bodies that were captured with it, in the change's own transaction. */
export async function storeChangeBlock(tx: Tx, scopeId: string, block: Block): Promise<void> {
  await sql`insert into audit_blocks (app_id, chain_id, first_seq, count, head_hash, rows)
    values (${scopeId}, ${block.chainId}, ${block.firstSeq}, ${block.count}, ${block.head}, ${block.rows})`.execute(tx)
  if (block.bodies === null) return
  await sql`insert into audit_bodies (app_id, chain_id, first_seq, frames)
    values (${scopeId}, ${block.chainId}, ${block.firstSeq}, ${block.bodies})`.execute(tx)
}

/** Runs append_block inside a change. Returns the subjects that are stale; a refusal arrives as PostgreSQL's error. */
export async function findStaleSubjects(tx: Tx, input: AppendInput): Promise<string[]> {
  const p = appendParameters(input)
  const { rows } = await sql<{ kind: string; idx: number }>`select kind, idx from append_block(
    ${p[0]}, ${p[1]}, ${p[2]}, ${p[3]}, ${p[4]}, ${p[5]}, ${p[6]}, ${p[7]}, ${p[8]}, ${p[9]}, ${p[10]}, ${p[11]}, ${p[12]},
    ${p[13]}, ${p[14]}, ${p[15]}, ${p[16]}, ${p[17]}, ${p[18]})`.execute(tx)
  return rows.map(({ idx }) => input.fences[idx - 1]!.subject)
}
