import type { AuditLog, RecordEvent } from '../audit/index.ts'
import type { Database, Tx } from '../db/database.ts'
import type { Log } from '../kernel/log.ts'
import { pendingUntil, windowEnded } from './approval.ts'
import { eraseResult, findGroup } from './approval-store.ts'
import { type DueWork, dropWork, scheduleWork, takeDueWork } from './due-work-store.ts'
import { expireGroup } from './end-group.ts'
import { endStragglers } from './end-waiting-approvals.ts'
import type { ReadAppScope } from './read-app-scope.ts'

type Deps = {
  db: Pick<Database, 'unscoped' | 'forApp'>
  audit: Pick<AuditLog, 'change'>
  readAppScope: ReadAppScope
  /** Tells those who wait for the group. */
  announce: (approvalGroupId: string) => void
  log: Pick<Log, 'error'>
}

const BATCH = 50

/** Does what is due by the clock: ends windows, ends what was held while its grant, agent, key or app ended, erases answers. */
export function createExpireApprovals({ db, audit, readAppScope, announce, log }: Deps) {
  /** Expires one group if a window of it has ended. Somebody who reads it need not wait for the background job. */
  async function expireIfDue(appId: string, approvalGroupId: string): Promise<void> {
    const ended = await audit.change(await readAppScope(appId), (tx, record) =>
      expireInside(tx, appId, approvalGroupId, record),
    )
    if (ended) announce(approvalGroupId)
  }

  /** Works on what is due, in order, until nothing is left. Answers how many pieces it did. */
  async function runDueWork(): Promise<number> {
    for (let done = 0; ; ) {
      const due = await db.unscoped((tx) =>
        takeDueWork(
          tx,
          [
            'approval_expiry',
            'approval_result_erasure',
            'approval_withdrawal.grant',
            'approval_withdrawal.agent',
            'approval_withdrawal.key',
            'approval_withdrawal.app',
          ],
          BATCH,
        ),
      )
      for (const work of due) {
        try {
          await doWork(work)
        } catch (error) {
          // It stays due and is offered again; what comes after it does not wait for it.
          log.error({ err: error, kind: work.kind, app_id: work.appId, subject_id: work.subjectId }, 'Due work failed')
        }
      }
      done += due.length
      if (due.length < BATCH) return done
    }
  }

  async function doWork(work: DueWork): Promise<void> {
    const { appId, subjectId } = work
    if (work.kind === 'approval_expiry') return expireIfDue(appId, subjectId)
    if (work.kind === 'approval_result_erasure') {
      return db.forApp(appId, async (tx) => {
        await eraseResult(tx, appId, subjectId)
        await dropWork(tx, work)
      })
    }
    const ended = await audit.change(await readAppScope(appId), async (tx, record) => {
      const groups = await endStragglers(tx, work, record)
      await dropWork(tx, work)
      return groups
    })
    for (const approvalGroupId of ended) announce(approvalGroupId)
  }

  return { expireIfDue, runDueWork }
}

async function expireInside(tx: Tx, appId: string, approvalGroupId: string, record: RecordEvent): Promise<boolean> {
  const work = { kind: 'approval_expiry', appId, subjectId: approvalGroupId } as const
  const held = await findGroup(tx, appId, approvalGroupId, { lock: true })
  if (held?.group.status !== 'pending') {
    await dropWork(tx, work)
    return false
  }
  if (!windowEnded(held.group, held.now)) {
    // An approved gate no longer counts: what is due next is the end of the first window that is still open.
    await scheduleWork(tx, work, pendingUntil(held.group.gates) ?? held.group.expiresAt)
    return false
  }
  await expireGroup(tx, held.group, held.now, record)
  return true
}
