import type { RecordEvent } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import type { AppRef, ChangeAuthor } from './change-author.ts'

/**
 * What has ended, and why. An archived app is the one that can come back. `provider` is the slug by which calls named a secret;
 * `grant_policy` stands for the rules on a grant, which go after the row of the grant's revocation.
 */
export type Ended =
  | { type: 'app'; id: string; reason: 'archived' | 'deleted' }
  | { type: 'agent'; id: string; reason: 'revoked' }
  | { type: 'key'; id: string; reason: 'revoked' }
  | { type: 'secret'; id: string; reason: 'deleted' }
  | { type: 'provider'; id: string; reason: 'secret_deleted' }
  | { type: 'grant'; id: string; reason: string | null }
  | { type: 'grant_policy'; id: string; reason: 'grant_revoked' }

export type EndedBy = { app: AppRef; author: ChangeAuthor; at: Date }

export type Endings = {
  /**
   * Ends what depends on something that ends, in the transaction that ends it, which holds the app's lock. `inFlight` are the
   * attempts that were handed to a provider before: they may still finish.
   */
  announce(tx: Tx, record: RecordEvent, ended: Ended, by: EndedBy): Promise<{ inFlight: string[] }>
}

/** What one slice does with its own rows when something ends. What ends with those rows is announced in turn. */
export type OnEnded = (
  tx: Tx,
  record: RecordEvent,
  ended: Ended,
  by: EndedBy,
  endings: Endings & { noteInFlight(attemptIds: readonly string[]): void },
) => Promise<void>

/** The listeners are called in this order, which is the order of the audit rows. */
export function createEndings(listeners: readonly OnEnded[]): Endings {
  const announce: Endings['announce'] = async (tx, record, ended, by) => {
    const inFlight: string[] = []
    const endings = { announce, noteInFlight: (attemptIds: readonly string[]) => void inFlight.push(...attemptIds) }
    for (const listener of listeners) await listener(tx, record, ended, by, endings)
    return { inFlight }
  }
  return { announce }
}
