import type { AuditSigningKeys } from '../crypto/audit-signing-key.ts'
import type { Database, Tx } from '../db/database.ts'
import type { Clock } from '../kernel/clock.ts'
import { checkpointMessage, messageHash, parseCheckpointMessage, type SignedCheckpoint } from './checkpoint.ts'
import { findLastCheckpoint, insertCheckpoint, listPublicKeys } from './checkpoint-store.ts'
import { formatMicros } from './row-batch.ts'
import type { ScopeState } from './sequence-store.ts'

type Deps = {
  db: Pick<Database, 'unscoped'>
  signingKeys: Pick<AuditSigningKeys, 'keyId' | 'sign' | 'publicJwks'>
  clock: Pick<Clock, 'now'>
}

export type SignCheckpoint = ReturnType<typeof createSignCheckpoint>

/** Signs the head of a scope's log. */
export function createSignCheckpoint({ db, signingKeys, clock }: Deps) {
  return {
    /** Makes the public keys of this process known to every reader. */
    listKeys: (): Promise<void> => db.unscoped((tx) => listPublicKeys(tx, signingKeys.publicJwks().keys)),

    /**
     * Stores the next checkpoint in the transaction that holds the scope. Throws when the one before cannot be read: to continue
     * that series would hide the break.
     */
    async sign(tx: Tx, { scopeId, sequence, lastRow, head }: ScopeState): Promise<SignedCheckpoint> {
      // Whoever sees a signature can learn the key that it is checked with.
      await listPublicKeys(tx, signingKeys.publicJwks().keys)
      const last = await findLastCheckpoint(tx, scopeId)
      const before = last === undefined ? null : parseCheckpointMessage(last.message)
      if (last !== undefined && before === null) throw new Error(`checkpoint ${last.number} cannot be read`)
      const now = formatMicros(clock.now() * 1_000)
      // Clocks of two processes differ: the series still never goes back in time.
      const issuedAt = before !== null && before.issued_at > now ? before.issued_at : now
      const keyId = signingKeys.keyId()
      const message = checkpointMessage({
        v: 1,
        scope_id: scopeId,
        sequence,
        row_no: lastRow,
        head: head.toString('hex'),
        prev_checkpoint: last?.messageHash ?? null,
        issued_at: issuedAt,
        key_id: keyId,
      })
      const signed: SignedCheckpoint = {
        number: (last?.number ?? 0) + 1,
        message,
        messageHash: messageHash(message),
        signature: signingKeys.sign(Buffer.from(message)).toString('base64url'),
        keyId,
      }
      await insertCheckpoint(tx, scopeId, signed, { issuedAt, signedRow: lastRow })
      return signed
    },
  }
}
