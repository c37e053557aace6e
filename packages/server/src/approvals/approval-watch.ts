import type { Database } from '../db/database.ts'
import { type After, systemAfter } from '../egress/timer.ts'
import { readVersions } from './approval-store.ts'

/*
 * Those who wait for a held request are told by `announce` when it was moved in this process. What another process moved is
 * seen by asking the database, once a second, for the versions of all groups that anybody here waits for: the cost depends on
 * the apps that wait, not on how many wait.
 */

export type ApprovalWatch = {
  /** A group was, or may have been, moved. */
  announce(approvalGroupId: string): void
  /**
   * Resolves when the group is no longer at `version`, when the time is over, or when the signal fires. Never rejects.
   * False: there is nobody to wait for any more, because the caller went away or this process stops.
   */
  waitForChange(
    group: { appId: string; approvalGroupId: string; version: number },
    timeoutMs: number,
    signal: AbortSignal,
  ): Promise<boolean>
  /** Asks the database once. The timer does it; tests call it. */
  poll(): Promise<void>
  close(): void
}

type Waiter = { appId: string; version: number; wake: () => void }

/** Calls `fn` again and again until the returned function is called. */
export type Repeat = (everyMs: number, fn: () => void) => () => void

const systemRepeat: Repeat = (everyMs, fn) => {
  const timer = setInterval(fn, everyMs)
  timer.unref()
  return () => clearInterval(timer)
}

const POLL_MS = 1_000

type Deps = { db: Pick<Database, 'readForApp'>; repeat?: Repeat; after?: After }

export function createApprovalWatch({ db, repeat = systemRepeat, after = systemAfter }: Deps): ApprovalWatch {
  const waiting = new Map<string, Set<Waiter>>()
  let stop: (() => void) | undefined
  let polling: Promise<void> | undefined
  let closed = false

  function announce(approvalGroupId: string): void {
    for (const waiter of waiting.get(approvalGroupId) ?? []) waiter.wake()
  }

  async function pollOnce(): Promise<void> {
    const byApp = new Map<string, string[]>()
    for (const [groupId, [first]] of waiting) {
      if (first === undefined) continue
      const groups = byApp.get(first.appId) ?? []
      byApp.set(first.appId, groups)
      groups.push(groupId)
    }
    for (const [appId, groupIds] of byApp) {
      // A database that is away is nobody's news: who waits asks again in time and is told then.
      const versions = await db.readForApp(appId, (tx) => readVersions(tx, appId, groupIds)).catch(() => undefined)
      for (const [groupId, version] of versions ?? []) {
        for (const waiter of waiting.get(groupId) ?? []) if (waiter.version !== version) waiter.wake()
      }
    }
  }

  /** One question at a time: a slow database is not asked twice. */
  function poll(): Promise<void> {
    polling ??= pollOnce().finally(() => {
      polling = undefined
    })
    return polling
  }

  return {
    announce,
    poll,

    waitForChange({ appId, approvalGroupId, version }, timeoutMs, signal) {
      if (signal.aborted || closed) return Promise.resolve(false)
      return new Promise((resolve) => {
        const waiters = waiting.get(approvalGroupId) ?? new Set()
        waiting.set(approvalGroupId, waiters)
        const wake = () => {
          cancelTimer()
          signal.removeEventListener('abort', wake)
          waiters.delete(waiter)
          if (waiters.size === 0 && waiting.get(approvalGroupId) === waiters) waiting.delete(approvalGroupId)
          if (waiting.size === 0) {
            stop?.()
            stop = undefined
          }
          resolve(!signal.aborted && !closed)
        }
        const waiter = { appId, version, wake }
        const cancelTimer = after(timeoutMs, wake)
        waiters.add(waiter)
        signal.addEventListener('abort', wake)
        stop ??= repeat(POLL_MS, () => void poll())
      })
    },

    close() {
      closed = true
      for (const waiters of [...waiting.values()]) for (const waiter of [...waiters]) waiter.wake()
    },
  }
}
