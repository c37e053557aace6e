import type pg from 'pg'
import type { ReadVersion } from '../kernel/read-version.ts'
import { genesisHash } from './chain.ts'

/** One charge of a rate budget: `add` to slot `slot` of a ring of `width` slots whose sum may not pass `max`. */
export type Charge = { counterId: string; slot: number; width: number; add: number; max: number }

/** A claim to send one approved request; stored as sent in the same transaction as the intent row. */
export type SendClaim = { attemptId: string; owner: string; leaseNumber: number }

export type Block = {
  chainId: string
  firstSeq: number
  count: number
  head: Buffer
  rows: Buffer
  bodies: Buffer | null
}

export type AppendInput = {
  scopeId: string
  /** Null: the conditions only. */
  block: Block | null
  fences: readonly ReadVersion[]
  nonces: readonly { ts: number; digest: Buffer }[]
  charges: readonly Charge[]
  claims: readonly SendClaim[]
}

export type AppendAnswer =
  | { kind: 'stored' }
  | { kind: 'stale'; subjects: string[] }
  | { kind: 'nonces_seen'; indexes: number[] }
  /** `left` is what the counter could still take when it refused. */
  | { kind: 'budgets_spent'; refused: { counterId: string; left: number }[] }
  | { kind: 'claims_lost'; indexes: number[] }
  /** Another process closed the lane: nothing was written, and nothing more may be written to it. */
  | { kind: 'lane_closed' }
  /** A deadlock or a lock that could not be had in time: nothing was written, the same batch may be tried again. */
  | { kind: 'try_again' }
  /** The store refused; nothing was written. */
  | { kind: 'refused'; cause: unknown }
  /** The connection was lost while the commit was under way: it may have happened. */
  | { kind: 'unknown'; cause: unknown }

const APPEND = {
  name: 'append_block',
  text: 'select kind, idx from append_block($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19)',
}

export function appendParameters(input: AppendInput): unknown[] {
  const { block, fences, nonces, charges, claims } = input
  return [
    input.scopeId,
    block?.chainId ?? null,
    block?.firstSeq ?? null,
    block?.count ?? 0,
    block?.head ?? null,
    block?.rows ?? null,
    block?.bodies ?? null,
    fences.map((f) => f.subject),
    fences.map((f) => f.version),
    nonces.map((n) => n.ts),
    nonces.map((n) => n.digest),
    charges.map((c) => c.counterId),
    charges.map((c) => c.slot),
    charges.map((c) => c.width),
    charges.map((c) => c.add),
    charges.map((c) => c.max),
    claims.map((c) => c.attemptId),
    claims.map((c) => c.owner),
    claims.map((c) => c.leaseNumber),
  ]
}

/** Runs append_block on one connection: one statement, one transaction. Never throws. */
export async function appendBlock(client: Pick<pg.ClientBase, 'query'>, input: AppendInput): Promise<AppendAnswer> {
  try {
    const answer = await client.query<{ kind: string; idx: number }>({ ...APPEND, values: appendParameters(input) })
    if (answer.rows.length === 0) return { kind: 'stored' }
    return { kind: 'stale', subjects: answer.rows.map((row) => input.fences[row.idx - 1]!.subject) }
  } catch (cause) {
    return readRefusal(cause, input)
  }
}

/** What a failed append means. A PostgreSQL error with a statement-level code rolled back; a lost connection may not have. */
export function readRefusal(cause: unknown, input: AppendInput): AppendAnswer {
  const error = cause as { code?: unknown; detail?: unknown; constraint?: unknown; severity?: unknown }
  const code = typeof error.code === 'string' ? error.code : ''
  const detail = typeof error.detail === 'string' ? error.detail : ''
  switch (code) {
    case 'VF001':
      return { kind: 'nonces_seen', indexes: indexesOf(detail) }
    case 'VF002':
      return {
        kind: 'budgets_spent',
        refused: detail.split(',').map((part) => {
          const [index, left] = part.split(':')
          return { counterId: input.charges[Number(index) - 1]!.counterId, left: Number(left) }
        }),
      }
    case 'VF003':
      return { kind: 'claims_lost', indexes: indexesOf(detail) }
    case '23505':
      return error.constraint === 'audit_blocks_pkey' ? { kind: 'lane_closed' } : { kind: 'refused', cause }
    case '40P01':
    case '40001':
    case '55P03':
      return { kind: 'try_again' }
  }
  const statementFailed = /^[0-9A-Z]{5}$/.test(code) && error.severity === 'ERROR' && !/^(08|57P)/.test(code)
  return statementFailed ? { kind: 'refused', cause } : { kind: 'unknown', cause }
}

const indexesOf = (detail: string): number[] => detail.split(',').map((index) => Number(index) - 1)

/**
 * Decides a commit whose outcome is unknown: an empty closing block at the same place waits for the old backend, then either
 * takes the place (the batch never happened) or finds it taken. Throws when the database cannot be asked.
 */
export async function closeLaneAt(
  client: Pick<pg.ClientBase, 'query'>,
  at: { scopeId: string; chainId: string; firstSeq: number; previousHead: Buffer; expectedHead: Buffer | null },
): Promise<'never_happened' | 'happened'> {
  await client.query('begin')
  try {
    await client.query("select set_config('vault.app', $1, true)", [at.scopeId])
    const inserted = await client.query(
      `insert into audit_blocks (app_id, chain_id, first_seq, count, head_hash, rows)
       values ($1, $2, $3, 0, $4, '') on conflict do nothing returning 1`,
      [at.scopeId, at.chainId, at.firstSeq, at.previousHead],
    )
    let verdict: 'never_happened' | 'happened' = 'never_happened'
    if (inserted.rowCount === 0 && at.expectedHead !== null) {
      const found = await client.query<{ count: number; head_hash: Buffer }>(
        'select count, head_hash from audit_blocks where app_id = $1 and chain_id = $2 and first_seq = $3',
        [at.scopeId, at.chainId, at.firstSeq],
      )
      const row = found.rows[0]
      if (row && row.count > 0 && row.head_hash.equals(at.expectedHead)) verdict = 'happened'
    }
    await sealLane(client, at.scopeId, at.chainId)
    await client.query('commit')
    return verdict
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

/** Closes a lane of another process wherever it ends by now. The next append of its owner breaks the primary key. */
export async function closeForeignLane(
  client: Pick<pg.ClientBase, 'query'>,
  scopeId: string,
  chainId: string,
): Promise<void> {
  await client.query('begin')
  try {
    await client.query("select set_config('vault.app', $1, true)", [scopeId])
    await sealLane(client, scopeId, chainId)
    await client.query('commit')
  } catch (error) {
    await client.query('rollback').catch(() => undefined)
    throw error
  }
}

/** Puts an empty block behind the last one, unless the last one is empty already. The owner may still be writing: it loops. */
async function sealLane(client: Pick<pg.ClientBase, 'query'>, scopeId: string, chainId: string): Promise<void> {
  for (;;) {
    const tail = await client.query<{ next_seq: number; count: number; head_hash: Buffer }>(
      `select first_seq + count as next_seq, count, head_hash from audit_blocks
       where app_id = $1 and chain_id = $2 order by first_seq desc limit 1`,
      [scopeId, chainId],
    )
    const last = tail.rows[0] ?? { next_seq: 1, count: -1, head_hash: genesisHash(chainId) }
    if (last.count !== 0) {
      const sealed = await client.query(
        `insert into audit_blocks (app_id, chain_id, first_seq, count, head_hash, rows)
         values ($1, $2, $3, 0, $4, '') on conflict do nothing returning 1`,
        [scopeId, chainId, last.next_seq, last.head_hash],
      )
      if (sealed.rowCount === 0) continue
    }
    await client.query(
      'update audit_lanes set closed_at = coalesce(closed_at, clock_timestamp()) where app_id = $1 and chain_id = $2',
      [scopeId, chainId],
    )
    return
  }
}
