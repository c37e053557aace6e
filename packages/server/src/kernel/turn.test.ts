import { expect, test } from 'vitest'
import { createTurn } from './turn.ts'

test('what was asked in one turn goes on together, step by step', async () => {
  const turn = createTurn()
  const steps: string[] = []
  const piece = async (name: string) => {
    await turn()
    steps.push(`${name}1`)
    await Promise.resolve()
    steps.push(`${name}2`)
  }
  await Promise.all([piece('a'), piece('b'), piece('c')])
  expect(steps).toEqual(['a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
})

test('what is asked later goes on in a later turn', async () => {
  const turn = createTurn()
  const first = turn()
  await first
  const second = turn()
  expect(second).not.toBe(first)
  await second
})
