import { expect, test, vi } from 'vitest'
import type { ClaimedApproval } from '../approvals/index.ts'
import { silentLog } from '../kernel/log.ts'
import { createExecutor } from './executor.ts'

const claimed = { approvalGroupId: 'a' } as ClaimedApproval

test('a store that goes away while a request is sent costs a look for work, not the process', async () => {
  const sent = Promise.withResolvers<void>()
  const claimDue = vi
    .fn<() => Promise<ClaimedApproval | undefined>>()
    .mockResolvedValueOnce(claimed)
    .mockResolvedValueOnce(undefined)
    .mockRejectedValueOnce(new Error('the store is away'))
    .mockResolvedValue(undefined)
  const executor = createExecutor({ claimDue, executeApproved: () => sent.promise as never, log: silentLog })
  await executor.wake()
  // An unhandled rejection ends the test run, as it would end the server.
  sent.resolve()
  await vi.waitFor(() => expect(claimDue).toHaveBeenCalledTimes(3))
  await executor.wake()
  expect(claimDue).toHaveBeenCalledTimes(4)
  await executor.close()
})
