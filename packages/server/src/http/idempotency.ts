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
import type { Database } from '../db/database.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { claimKey, findRecord, forgetOld, releaseKey, rememberAnswer } from './idempotency-store.ts'

const WAIT_MS = 10_000
const POLL_MS = 200
const RETRY_AFTER_SECONDS = 5

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
  ): Promise<{ status: number; body: unknown; replayed: boolean }>
  /** Forgets what is older than 24 hours, for one scope. Returns how many records. */
  forget(scopeId: string): Promise<number>
}

/** `wait` sleeps between two looks at a call that is in flight. */
export function createIdempotency({
  db,
  wait,
}: {
  db: Pick<Database, 'forScope'>
  wait: (ms: number) => Promise<void>
}): Idempotency {
  return {
    async once(call, run) {
      const { scopeId } = call
      const record = {
        scopeId,
        operation: call.operation,
        key: call.key,
        digest: createHash('sha256').update(`${call.target}\n`).update(call.rawBody).digest(),
      }
      for (let waitedMs = 0; !(await db.forScope(scopeId, (tx) => claimKey(tx, record))); waitedMs += POLL_MS) {
        const found = await db.forScope(scopeId, (tx) => findRecord(tx, record))
        if (found !== undefined && !record.digest.equals(found.body_digest)) {
          throw new VaultError('idempotency_key_body_mismatch')
        }
        if (found !== undefined && found.status !== null) {
          return { status: found.status, body: found.response, replayed: true }
        }
        // Not found: released between the two statements, so the next claim may win.
        if (waitedMs >= WAIT_MS) {
          throw new VaultError('idempotency_in_progress', { retryAfterSeconds: RETRY_AFTER_SECONDS })
        }
        await wait(POLL_MS)
      }
      try {
        const { status, body, remembered } = await run()
        await db.forScope(scopeId, (tx) => rememberAnswer(tx, record, status, remembered))
        return { status, body, replayed: false }
      } catch (error) {
        // A refusal changed nothing. After a fault nobody knows, so the claim stays until it lapses.
        if (error instanceof VaultError && error.status < 500) {
          await db.forScope(scopeId, (tx) => releaseKey(tx, record))
        }
        throw error
      }
    },
    forget: (scopeId) => db.forScope(scopeId, (tx) => forgetOld(tx, scopeId)),
  }
}
