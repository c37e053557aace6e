import { expect, test } from 'vitest'
import { createByteBudget } from '../kernel/byte-budget.ts'
import { answerBudget, assertRoom, createAnswerRoom } from './answer-room.ts'

const MIB = 1024 * 1024

test('answers that nobody reads keep their key from sending, and nobody else', () => {
  const budget = createByteBudget(answerBudget(128))
  const unread = [1, 2].map(() => {
    const room = createAnswerRoom(budget)
    expect(room.take('a', 25 * MIB)).toBe(true)
    expect(room.take('a', 6.5 * MIB)).toBe(true)
    return room
  })
  expect(createAnswerRoom(budget).take('a', 2 * MIB)).toBe(false)
  assertRoom(budget, 'a')
  expect(unread[0]!.take('a', 0.5 * MIB)).toBe(true)
  expect(() => assertRoom(budget, 'a')).toThrow('Nothing was sent.')
  assertRoom(budget, 'b')
  for (const room of unread) room.release()
  for (const room of unread) room.release()
  expect(budget.bytes).toBe(0)
})

test('all keys together have no more than twice what requests may take', () => {
  const budget = createByteBudget(answerBudget(128))
  for (const key of ['a', 'b', 'c', 'd']) expect(createAnswerRoom(budget).take(key, 64 * MIB)).toBe(true)
  expect(createAnswerRoom(budget).take('e', 1)).toBe(false)
  expect(() => assertRoom(budget, 'e')).toThrow('of this caller or of all')
})
