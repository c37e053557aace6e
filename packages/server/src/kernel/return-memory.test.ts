import { expect, test } from 'vitest'
import { createReturnMemory } from './return-memory.ts'

const MIB = 1024 * 1024

test('buffers that stay are collected at the second look, and those that are held do not cause another', async () => {
  let bytes = 10 * MIB
  let heldRightly = 0
  let collections = 0
  const look = createReturnMemory(
    () => bytes,
    () => {
      collections++
      bytes = 10 * MIB + heldRightly
    },
  )
  bytes = 60 * MIB
  for (let i = 0; i < 3; i++) await look()
  expect(collections).toBe(0)

  bytes = 500 * MIB
  await look()
  bytes = 20 * MIB
  await look()
  bytes = 500 * MIB
  await look()
  expect(collections).toBe(0)
  heldRightly = 300 * MIB
  await look()
  expect(collections).toBe(1)
  for (let i = 0; i < 3; i++) await look()
  expect(collections).toBe(1)

  bytes = 10 * MIB
  await look()
  heldRightly = 0
  bytes = 100 * MIB
  await look()
  await look()
  expect(collections).toBe(2)
})

test('buffers that nobody holds are given back', async () => {
  const look = createReturnMemory()
  // In a function of its own, so that no register of this one holds it.
  const waste = () => void Array.from({ length: 200 }, () => Buffer.alloc(MIB))
  waste()
  await look()
  await look()
  expect(process.memoryUsage().arrayBuffers).toBeLessThan(150 * MIB)
})
