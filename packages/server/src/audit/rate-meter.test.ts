import fc from 'fast-check'
import { expect, test } from 'vitest'
import { appScope } from './audit-row.ts'
import { createRateMeter } from './rate-meter.ts'

const scope = appScope('00000000-0000-7000-8000-000000000001', '00000000-0000-7000-8000-000000000002')

/** The counter's row as the database keeps it, shared by several meters. */
function createCounterRows() {
  const rows = new Map<string, { slot: number; used: number[] }>()
  return async (
    _scope: unknown,
    member: { charges?: readonly { counterId: string; slot: number; width: number; add: number; max: number }[] },
  ) => {
    for (const charge of member.charges ?? []) {
      const row = rows.get(charge.counterId) ?? { slot: charge.slot, used: new Array<number>(charge.width).fill(0) }
      const by = Math.max(0, charge.slot - row.slot)
      const used = [...row.used.slice(by), ...new Array<number>(Math.min(by, charge.width)).fill(0)].slice(
        -charge.width,
      )
      used[charge.width - 1]! += charge.add
      if (used.reduce((sum, n) => sum + n, 0) > charge.max)
        return { kind: 'budget_spent' as const, counterIds: [charge.counterId] }
      rows.set(charge.counterId, { slot: Math.max(row.slot, charge.slot), used })
    }
    return { kind: 'stored' as const, events: [], window: { isOpen: () => true, remainingMs: () => 0, ageMs: () => 0 } }
  }
}

test('no window holds more uses than the limit, whatever the pace and however many processes count', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 200 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 4_000 }), fc.integer({ min: 1, max: 60 }), fc.nat(2)), {
        maxLength: 40,
      }),
      async (limit, bursts) => {
        let nowMs = 1_700_000_000_000
        const clock = { now: () => nowMs, monotonic: () => nowMs }
        const append = createCounterRows()
        const meters = [0, 1, 2].map(() => createRateMeter({ clock, append }))
        const budget = { counterId: 'c', limit, windowMs: 60_000 }
        const accepted: number[] = []
        for (const [waitMs, calls, which] of bursts) {
          nowMs += waitMs
          const answers = await Promise.all(Array.from({ length: calls }, () => meters[which]!.take(scope, budget)))
          for (const answer of answers) if (answer.ok) accepted.push(nowMs)
        }
        for (const end of accepted) {
          expect(accepted.filter((at) => at <= end && at > end - 60_000).length).toBeLessThanOrEqual(limit)
        }
      },
    ),
  )
})

test('a limit at one process is reached to nine tenths at least', async () => {
  let nowMs = 1_700_000_000_000
  const meter = createRateMeter({ clock: { now: () => nowMs, monotonic: () => nowMs }, append: createCounterRows() })
  let accepted = 0
  for (let i = 0; i < 2_000; i++) {
    nowMs += 10
    if ((await meter.take(scope, { counterId: 'c', limit: 1_000, windowMs: 60_000 })).ok) accepted += 1
  }
  expect(accepted).toBeGreaterThan(900)
})

test('a commit that outlasts the slot of its charge serves the uses that waited for it, with one charge for all', async () => {
  let nowMs = 1_700_000_000_000
  const count = createCounterRows()
  let charges = 0
  const meter = createRateMeter({
    clock: { now: () => nowMs, monotonic: () => nowMs },
    append: async (scope, member) => {
      charges += 1
      const answer = await count(scope, member)
      nowMs += 3_000
      return answer
    },
  })
  const budget = { counterId: 'c', limit: 1_000, windowMs: 60_000 }
  expect((await meter.take(scope, budget)).ok).toBe(true)
  expect(charges).toBe(1)
  // The first of these asks before it knows of the others.
  const answers = await Promise.all(Array.from({ length: 16 }, () => meter.take(scope, budget)))
  expect(answers.every(({ ok }) => ok)).toBe(true)
  expect(charges).toBe(3)
})
