import type { AuditLog, RecordEvent, Scope } from '../audit/index.ts'
import type { Tx } from '../db/database.ts'
import { makeOnce } from '../http/once.ts'
import type { ChangeAuthor } from './change-author.ts'

/**
 * A change that answers an endpoint: under the author's idempotency key, if there is one, it is made once. What `work` returns is
 * the whole answer. `mayRepeat` may refuse a repeat that would otherwise get the first answer.
 */
export function changeOnce<T>(
  audit: Pick<AuditLog, 'change'>,
  { once }: ChangeAuthor,
  scope: Scope,
  work: (tx: Tx, record: RecordEvent) => Promise<T>,
  mayRepeat?: (tx: Tx, first: T) => Promise<void>,
): Promise<T> {
  if (once === undefined) return audit.change(scope, work)
  return audit.change(scope, (tx, record) =>
    makeOnce(tx, once, scope.scopeId, () => work(tx, record), mayRepeat && ((first) => mayRepeat(tx, first))),
  )
}
