import type { Executions } from '../approvals/index.ts'
import type { AuditLog } from '../audit/index.ts'
import type { Clock } from '../kernel/clock.ts'
import type { Log } from '../kernel/log.ts'
import type { Executor } from './executor.ts'
import { createWouldBeDenied } from './last-check.ts'
import type { UseFacts } from './use-facts.ts'

type Deps = { clock: Clock; log: Log; facts: UseFacts; audit: Pick<AuditLog, 'append'> }

/**
 * The port by which the approvals reach the executor. It is made before both, since the executor takes its work from the approvals,
 * and wakes nobody until it is given its executor.
 */
export function createExecutions({ clock, log, facts, audit }: Deps) {
  let executor: Executor | undefined
  return {
    wouldBeDenied: createWouldBeDenied({ clock, audit, ...facts }),
    wake: () => void executor?.wake().catch((error: unknown) => log.error({ err: error }, 'executor failed')),
    executeWith(made: Executor): void {
      executor = made
    },
  } satisfies Executions & { executeWith(made: Executor): void }
}
