import { expect, test, vi } from 'vitest'
import { createReturnMemory } from './return-memory.ts'

const MIB = 1024 * 1024

/** Buffers of a process whose collection leaves what is held. */
function setUp() {
  const state = { bytes: 10 * MIB, held: 10 * MIB, collections: 0 }
  const look = createReturnMemory(
    () => state.bytes,
    () => {
      state.collections++
      state.bytes = state.held
    },
  )
  const lookTimes = async (times: number) => {
    for (let i = 0; i < times; i++) await look()
    return state.collections
  }
  return { state, lookTimes }
}

test('buffers that stay are collected, and those that come and go or are few are not', async () => {
  const { state, lookTimes } = setUp()
  state.bytes = 60 * MIB
  expect(await lookTimes(10)).toBe(0)
  for (let i = 0; i < 5; i++) {
    state.bytes = 500 * MIB
    await lookTimes(2)
    state.bytes = 20 * MIB
    await lookTimes(1)
  }
  expect(state.collections).toBe(0)
  state.bytes = 500 * MIB
  expect(await lookTimes(3)).toBe(1)
  expect(state.bytes).toBe(10 * MIB)
})

test('buffers that are held are looked for less and less often, and collected once they are let go', async () => {
  const { state, lookTimes } = setUp()
  state.bytes = 300 * MIB
  state.held = 300 * MIB
  expect(await lookTimes(3)).toBe(1)
  expect(await lookTimes(5)).toBe(1)
  state.held = 10 * MIB
  expect(await lookTimes(1)).toBe(2)
  expect(state.bytes).toBe(10 * MIB)
})

test('the collection of the engine gives buffers back that nobody holds', async () => {
  const look = createReturnMemory()
  // In a function of its own, so that no register of this one holds them.
  const waste = () => void Array.from({ length: 200 }, () => Buffer.alloc(MIB))
  waste()
  await vi.waitFor(async () => {
    await look()
    expect(process.memoryUsage().arrayBuffers).toBeLessThan(150 * MIB)
  }, 10_000)
})
