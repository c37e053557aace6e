import type { ClaimedApproval } from '../approvals/index.ts'
import type { Log } from '../kernel/log.ts'
import type { ExecuteApproved } from './execution-use.ts'

/** Approved requests that one process sends at a time. */
const MAX_AT_ONCE = 8

export type Executor = ReturnType<typeof createExecutor>

/** Sends approved requests: woken by an approval in this process, and by the clock for those of others and of the dead. */
export function createExecutor(deps: {
  claimDue: () => Promise<ClaimedApproval | undefined>
  executeApproved: ExecuteApproved
  log: Log
}) {
  const running = new Set<Promise<void>>()
  let stopping = false
  let looking: Promise<void> | undefined
  let lookAgain = false

  async function look(): Promise<void> {
    do {
      lookAgain = false
      while (!stopping && running.size < MAX_AT_ONCE) {
        const claimed = await deps.claimDue()
        if (claimed === undefined) break
        start(claimed)
      }
    } while (lookAgain && !stopping)
  }

  function start(claimed: ClaimedApproval): void {
    const run = deps
      .executeApproved(claimed)
      .catch((error: unknown) => {
        deps.log.error(
          { err: error, approval_group_id: claimed.approvalGroupId },
          'an approved request could not be executed; its lease will end',
        )
      })
      .finally(() => {
        running.delete(run)
        wake().catch((error: unknown) => deps.log.warn({ err: error }, 'the executor looks for work again in a second'))
      })
    running.add(run)
  }

  function wake(): Promise<void> {
    if (looking !== undefined) {
      lookAgain = true
      return looking
    }
    looking = look().finally(() => {
      looking = undefined
    })
    return looking
  }

  return {
    /** Looks for work; resolves when none is left to claim. */
    wake,
    /** Claims nothing more and waits for what is under way. */
    async close(): Promise<void> {
      stopping = true
      await looking?.catch(() => undefined)
      await Promise.all(running)
    },
  }
}
