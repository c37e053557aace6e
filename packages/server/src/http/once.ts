/*
 * Idempotency-Key on the calls of the management API that make or change something.
 *
 *   (no record) ── the change commits ──> remembered ── 24 h ──> (no record)
 *
 * The claim, the change and the answer are one transaction: after a refusal, a fault or a crash there is no record and no change. A
 * repeat that comes meanwhile waits for the end of that transaction.
 */
import type { Tx } from '../db/database.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { claimKey, enterScope, type OnceKey, rememberAnswer } from './once-store.ts'

/** One call under an idempotency key. `digest` is of what must be the same in a repeat. */
export type Once = OnceKey & {
  /** Status of the success. */
  status: number
  /** What may be kept of an answer: not what is shown once. */
  kept: (body: unknown) => unknown
}

/** Thrown in place of a repeated change, whose transaction it rolls back: the answer of the first. */
export class Repeated extends Error {
  readonly status: number
  readonly body: unknown

  constructor(status: number, body: unknown) {
    super('repeated under its idempotency key')
    this.name = 'Repeated'
    this.status = status
    this.body = body
  }
}

const RETRY_AFTER_SECONDS = 5

/**
 * Makes a change once per key, first of all in its transaction; `make` returns the answer. A repeat throws `Repeated`, after
 * `mayRepeat` saw the first answer and did not refuse.
 *
 * Refusals: `idempotency_key_body_mismatch`; `idempotency_in_progress` when the first call takes longer than a lock is waited for.
 */
export async function makeOnce<T>(
  tx: Tx,
  once: Once,
  /** Scope of the transaction. */
  scopeId: string,
  make: () => Promise<T>,
  mayRepeat?: (first: T) => Promise<void>,
): Promise<T> {
  const inItsScope = async <R>(run: () => Promise<R>): Promise<R> => {
    if (once.scopeId === scopeId) return run()
    await enterScope(tx, once.scopeId)
    const result = await run()
    await enterScope(tx, scopeId)
    return result
  }
  const first = await inItsScope(() => claimKey(tx, once))
  if (first === 'in_progress') {
    throw new VaultError('idempotency_in_progress', { retryAfterSeconds: RETRY_AFTER_SECONDS })
  }
  if (first !== undefined) {
    if (!once.digest.equals(first.body_digest)) throw new VaultError('idempotency_key_body_mismatch')
    await mayRepeat?.(first.response as T)
    throw new Repeated(first.status, first.response)
  }
  const made = await make()
  await inItsScope(() => rememberAnswer(tx, once, { status: once.status, body: once.kept(made) }))
  return made
}
