import type pg from 'pg'
import { expect, it } from 'vitest'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { silentLog } from '../kernel/log.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { appScope, type RowDraft } from './audit-row.ts'
import { type AppendMember, type AppendResult, createLane, type DeadLane } from './lane.ts'

const clock: Clock = { now: () => 1_700_000_000_000, monotonic: () => 0 }
const row: RowDraft = { event: 'proxy.requested', stream: 'runtime', outcome: 'allowed' }
const nonce = { ts: 1_700_000_000, digest: Buffer.alloc(16) }

/** A lane over a database that answers each statement with the next of `answers`: an error, or that all is stored. */
function laneOver(answers: (object | 'stored')[]) {
  const dead: DeadLane[] = []
  const settled: number[] = []
  const lane = createLane({
    scope: appScope(newId(), newId()),
    chainId: newId(),
    clock,
    log: silentLog,
    withClient: (use) =>
      use({
        query: async () => {
          const answer = answers.shift() ?? 'stored'
          if (answer === 'stored') return { rows: [] }
          throw Object.assign(new Error('from the database'), answer)
        },
      } as unknown as pg.ClientBase),
    settleUnknown: async (firstSeq) => {
      settled.push(firstSeq)
      return 'never_happened'
    },
    onDead: (lane) => dead.push(lane),
  })
  const append = (member: AppendMember) =>
    new Promise<AppendResult>((resolve, reject) => lane.append({ member, resolve, reject }))
  return { lane, append, dead, settled }
}

const CLOSED_BY_ANOTHER = { code: '23505', constraint: 'audit_blocks_pkey', severity: 'ERROR' }
const CONNECTION_LOST = {}

it('hands a member that comes after its death to the next lane, instead of keeping it for ever', async () => {
  const { append, dead, lane } = laneOver([CLOSED_BY_ANOTHER])
  void append({ rows: [row] })
  await expect.poll(() => dead.length).toBe(1)
  void append({ rows: [row] })
  expect(dead.map(({ orphans }) => orphans.length)).toEqual([1, 1])
  expect(lane.queued).toBe(0)
})

it('refuses conditions without rows when their commit is unknown: to settle a nonce again would call it replayed', async () => {
  const { append, dead, settled } = laneOver([CONNECTION_LOST])
  await expect(append({ rows: [], nonce })).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(settled).toEqual([])
  expect(dead).toEqual([])
  expect((await append({ rows: [row] })).kind).toBe('stored')
})

it('hands over what an unknown commit surely did not store, with its conditions', async () => {
  const { append, dead, settled } = laneOver(['stored', CONNECTION_LOST])
  await append({ rows: [row, row] })
  void append({ rows: [row], nonce }).catch((error: unknown) => expect(error).toBeInstanceOf(VaultError))
  await expect.poll(() => dead.length).toBe(1)
  expect(settled).toEqual([3])
  expect(dead[0]?.orphans.map(({ member }) => member.nonce)).toEqual([nonce])
})
