import { sql } from 'kysely'
import type pg from 'pg'
import { byteaArray, int4Array, int8Array, textArray, uuidArray } from '../db/binary-arrays.ts'
import type { Tx } from '../db/database.ts'
import { createStatement, type Parameter } from '../db/statement.ts'
import type { ReadVersion } from '../kernel/read-version.ts'
import { VaultError } from '../kernel/vault-error.ts'
import type { Scope } from './audit-row.ts'
import { genesisHead } from './log-hashes.ts'
import type { RowBatch } from './row-batch.ts'

/** One charge of a rate budget: `add` to slot `slot` of a ring of `width` slots whose sum may not pass `max`. */
export type Charge = { counterId: string; slot: number; width: number; add: number; max: number }

/** A claim to send one approved request; stored as sent in the same transaction as the intent row. */
export type SendClaim = { attemptId: string; owner: string; leaseNumber: number }

/** A batch as it is stored. */
export type StoredBatch = Pick<RowBatch, 'batchId' | 'count' | 'digest' | 'rows'> & { bodies: Buffer | null }

export type AppendInput = {
  scopeId: string
  /** Null: the conditions only. */
  batch: StoredBatch | null
  /** A mark under which all of `fences` are known to hold, or null. */
  mark: string | null
  fences: readonly ReadVersion[]
  /** In order of time, then digest. */
  nonces: readonly { ts: number; digest: Buffer }[]
  charges: readonly Charge[]
  claims: readonly SendClaim[]
  /** Intents whose one outcome is among the rows, late. */
  settled: readonly string[]
}

/** A condition that failed: nothing was written, and nothing of this batch was written before. Indexes count from 0. */
export type ConditionAnswer =
  | { kind: 'stale'; subjects: string[] }
  | { kind: 'nonces_seen'; indexes: number[] }
  /** `left` is what the counter could still take when it refused. */
  | { kind: 'budgets_spent'; refused: { counterId: string; left: number }[] }
  | { kind: 'claims_lost'; indexes: number[] }
  | { kind: 'settled_before'; intentIds: string[] }

export type AppendAnswer =
  /** `mark`: under it all of `fences` hold. Null when there were none, or an earlier try stored the batch. */
  | { kind: 'stored'; mark: string | null }
  | ConditionAnswer
  /** A deadlock or a lock that could not be had in time: this try wrote nothing, the same batch may be tried again. */
  | { kind: 'try_again'; cause: unknown }
  /** The store refused; this try wrote nothing. */
  | { kind: 'refused'; cause: unknown }
  /** The connection was lost while the commit was under way: it may have happened. */
  | { kind: 'unknown'; cause: unknown }

const runAppend = createStatement(
  'append_batch',
  'select append_batch($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20)',
)

const NO_CHARGES = [textArray([]), int8Array([]), int4Array([]), int4Array([]), int4Array([])]
const NO_CLAIMS = [uuidArray([]), uuidArray([]), int4Array([])]
const NONE_SETTLED = uuidArray([])

function appendParameters(input: AppendInput): Parameter[] {
  const { batch, fences, nonces, charges, claims, settled } = input
  return [
    input.scopeId,
    batch?.batchId ?? null,
    batch?.count ?? 0,
    batch?.digest ?? null,
    batch?.rows ?? null,
    batch?.bodies ?? null,
    input.mark,
    textArray(fences.map((f) => f.subject)),
    int8Array(fences.map((f) => f.version)),
    int8Array(nonces.map((n) => n.ts)),
    byteaArray(nonces.map((n) => n.digest)),
    ...(charges.length === 0
      ? NO_CHARGES
      : [
          textArray(charges.map((c) => c.counterId)),
          int8Array(charges.map((c) => c.slot)),
          int4Array(charges.map((c) => c.width)),
          int4Array(charges.map((c) => c.add)),
          int4Array(charges.map((c) => c.max)),
        ]),
    ...(claims.length === 0
      ? NO_CLAIMS
      : [
          uuidArray(claims.map((c) => c.attemptId)),
          uuidArray(claims.map((c) => c.owner)),
          int4Array(claims.map((c) => c.leaseNumber)),
        ]),
    settled.length === 0 ? NONE_SETTLED : uuidArray(settled),
  ]
}

/** Runs append_batch on a session of `pool`: one statement, one transaction. Never throws. */
export async function appendBatch(pool: Pick<pg.Pool, 'connect'>, input: AppendInput): Promise<AppendAnswer> {
  let client: pg.PoolClient
  try {
    client = await pool.connect()
  } catch (cause) {
    return { kind: 'refused', cause }
  }
  try {
    const mark = await runAppend(client, appendParameters(input))
    client.release()
    return { kind: 'stored', mark }
  } catch (cause) {
    const refusal = readRefusal(cause, input)
    client.release(refusal.kind === 'unknown')
    return refusal
  }
}

type Refusal = Exclude<AppendAnswer, { kind: 'stored' }>

/** What a failed append means. A PostgreSQL error with a statement-level code rolled back; a lost connection may not have. */
function readRefusal(cause: unknown, input: AppendInput): Refusal {
  const error = (cause ?? {}) as { code?: unknown; detail?: unknown; severity?: unknown }
  const code = typeof error.code === 'string' ? error.code : ''
  const parts = typeof error.detail === 'string' ? error.detail.split(',') : []
  const indexes = () => parts.map((index) => Number(index) - 1)
  switch (code) {
    case 'VF001':
      return { kind: 'nonces_seen', indexes: indexes() }
    case 'VF002':
      return {
        kind: 'budgets_spent',
        refused: parts.map((part) => {
          const [index, left] = part.split(':')
          return { counterId: input.charges[Number(index) - 1]!.counterId, left: Number(left) }
        }),
      }
    case 'VF003':
      return { kind: 'claims_lost', indexes: indexes() }
    case 'VF004':
      return { kind: 'stale', subjects: indexes().map((index) => input.fences[index]!.subject) }
    case 'VF005':
      return { kind: 'settled_before', intentIds: indexes().map((index) => input.settled[index]!) }
    case '40P01':
    case '40001':
    case '55P03':
      return { kind: 'try_again', cause }
  }
  const statementFailed = /^[0-9A-Z]{5}$/.test(code) && error.severity === 'ERROR' && !/^(08|57P)/.test(code)
  return statementFailed ? { kind: 'refused', cause } : { kind: 'unknown', cause }
}

/** True when a failed transaction was given up for another one and may be run again. Reads through the translation of the database's face. */
export function isGivenUp(error: unknown): boolean {
  if (error instanceof VaultError) return error.code === 'service_unavailable' && isGivenUp(error.cause)
  return readRefusal(error, NOTHING).kind === 'try_again'
}

const NOTHING: AppendInput = {
  scopeId: '',
  batch: null,
  mark: null,
  fences: [],
  nonces: [],
  charges: [],
  claims: [],
  settled: [],
}

/**
 * Checks conditions inside a change's transaction, which then holds the app's lock shared. Undefined: all hold. Throws what the
 * statement throws otherwise.
 */
export async function checkConditions(
  tx: Tx,
  conditions: Pick<AppendInput, 'scopeId' | 'fences' | 'nonces' | 'charges'>,
): Promise<Exclude<ConditionAnswer, { kind: 'claims_lost' | 'settled_before' }> | undefined> {
  const input = { ...NOTHING, ...conditions }
  try {
    await sql`select append_batch(${sql.join(appendParameters(input))})`.execute(tx)
    return undefined
  } catch (error) {
    const refusal = readRefusal(error, input)
    if (refusal.kind === 'stale' || refusal.kind === 'nonces_seen' || refusal.kind === 'budgets_spent') return refusal
    throw error
  }
}

/** Stores a batch in the caller's transaction. False: it is there already. */
export async function insertBatch(tx: Tx, scopeId: string, batch: StoredBatch): Promise<boolean> {
  const { numAffectedRows } = await sql`
    insert into audit_batches (scope_id, batch_id, count, digest, rows, bodies)
    values (${scopeId}, ${batch.batchId}, ${batch.count}, ${batch.digest}, ${batch.rows}, ${batch.bodies})
    on conflict do nothing`.execute(tx)
  return numAffectedRows === 1n
}

/** Lets a change see its organization as well, and wait for locks no longer than ten seconds. */
export async function enterChange(tx: Tx, { organizationId }: Scope): Promise<void> {
  await sql`select set_config('vault.organization', ${organizationId ?? ''}, true), set_config('lock_timeout', '10s', true)`.execute(
    tx,
  )
}

/** Makes the log of a scope known, with its genesis. */
export async function insertScope(tx: Tx, scope: Scope): Promise<void> {
  await tx
    .insertInto('audit_scopes')
    .values({
      scope_id: scope.scopeId,
      app_id: scope.appId,
      organization_id: scope.organizationId,
      head: genesisHead(scope),
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}
