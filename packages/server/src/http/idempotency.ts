/*
 * Idempotency-Key on the creating calls of the management API (control-plane.md 8).
 *
 *   (no record) ── claim ──> in flight ── success ──> remembered ── 24 h ──> (no record)
 *                               │  └── refusal ──> (no record): the caller may correct the request and use the key again
 *                               └── fault, or the process ended ──> in flight until CLAIM_LAPSES_SECONDS are over
 *
 * A lapsed claim may be taken over: whether its change was made is unknown then, exactly as without a key.
 */
import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import type { Database } from '../db/database.ts'
import { VaultError } from '../kernel/vault-error.ts'

const WAIT_MS = 10_000
const POLL_MS = 200
const CLAIM_LAPSES_SECONDS = 120
const REMEMBERED_HOURS = 24

export type RememberedAnswer = { status: number; body: unknown; replayed: boolean }

export type IdempotentCall = {
  /** The app, or the organisation for what is made outside an app. */
  scopeId: string
  /** Endpoint and member: a key means nothing to another member or for another endpoint. */
  operation: string
  key: string
  /** What must be the same for the same key: path and body bytes. */
  target: string
  rawBody: Buffer
}

export type Idempotency = {
  /**
   * Runs `run` once per key and returns its answer; a repeat gets the remembered one, without the secrets that `run` showed.
   *
   * Refusals: `idempotency_key_body_mismatch`, `idempotency_in_progress` when the first call takes longer than 10 s.
   */
  once(
    call: IdempotentCall,
    run: () => Promise<{ status: number; body: unknown; remembered: unknown }>,
  ): Promise<RememberedAnswer>
  /** Forgets what is older than 24 hours, for one scope. Returns how many records. */
  forget(scopeId: string): Promise<number>
}

type Found = { body_digest: Buffer; status: number | null; response: unknown } | undefined

/** `wait` sleeps between two looks at a call that is in flight. */
export function createIdempotency({
  db,
  wait,
}: {
  db: Pick<Database, 'forApp'>
  wait: (ms: number) => Promise<void>
}): Idempotency {
  const digestOf = (call: IdempotentCall) =>
    createHash('sha256').update(`${call.target}\n`).update(call.rawBody).digest()

  /** True when this call owns the key now. The condition and the claim are one statement, so only one caller wins. */
  const claim = (call: IdempotentCall, digest: Buffer) =>
    db.forApp(call.scopeId, async (tx) => {
      const { rows } = await sql<{ claimed: boolean }>`
        insert into idempotency_records as r (app_id, operation, idempotency_key, body_digest)
        values (${call.scopeId}, ${call.operation}, ${call.key}, ${digest})
        on conflict (app_id, operation, idempotency_key) do update
          set body_digest = excluded.body_digest, status = null, response = null, created_at = clock_timestamp()
          where r.created_at < clock_timestamp() - make_interval(hours => ${REMEMBERED_HOURS})
             or (r.status is null and r.body_digest = excluded.body_digest
                 and r.created_at < clock_timestamp() - make_interval(secs => ${CLAIM_LAPSES_SECONDS}))
        returning true as claimed`.execute(tx)
      return rows.length === 1
    })

  const find = (call: IdempotentCall): Promise<Found> =>
    db.forApp(call.scopeId, async (tx) => {
      const { rows } = await sql<NonNullable<Found>>`
        select body_digest, status, response from idempotency_records
        where app_id = ${call.scopeId} and operation = ${call.operation} and idempotency_key = ${call.key}`.execute(tx)
      return rows[0]
    })

  const release = (call: IdempotentCall) =>
    db.forApp(call.scopeId, (tx) =>
      sql`delete from idempotency_records where app_id = ${call.scopeId} and operation = ${call.operation}
          and idempotency_key = ${call.key} and status is null`.execute(tx),
    )

  const remember = (call: IdempotentCall, status: number, body: unknown) =>
    db.forApp(call.scopeId, (tx) =>
      sql`update idempotency_records set status = ${status}, response = ${JSON.stringify(body ?? null)}::jsonb
          where app_id = ${call.scopeId} and operation = ${call.operation} and idempotency_key = ${call.key}`.execute(
        tx,
      ),
    )

  return {
    async once(call, run) {
      const digest = digestOf(call)
      for (let waitedMs = 0; ; waitedMs += POLL_MS) {
        if (await claim(call, digest)) break
        const found = await find(call)
        // Released between the two statements: claim again.
        if (found === undefined) continue
        if (!digest.equals(found.body_digest)) throw new VaultError('idempotency_key_body_mismatch')
        if (found.status !== null) return { status: found.status, body: found.response, replayed: true }
        if (waitedMs >= WAIT_MS) throw new VaultError('idempotency_in_progress', { retryAfterSeconds: 5 })
        await wait(POLL_MS)
      }
      try {
        const { status, body, remembered } = await run()
        await remember(call, status, remembered)
        return { status, body, replayed: false }
      } catch (error) {
        // A refusal changed nothing. After a fault nobody knows, so the claim stays until it lapses.
        if (error instanceof VaultError && error.status < 500) await release(call)
        throw error
      }
    },
    forget: (scopeId) =>
      db.forApp(scopeId, async (tx) => {
        const { numAffectedRows } = await sql`delete from idempotency_records where app_id = ${scopeId}
          and created_at < clock_timestamp() - make_interval(hours => ${REMEMBERED_HOURS})`.execute(tx)
        return Number(numAffectedRows ?? 0)
      }),
  }
}
