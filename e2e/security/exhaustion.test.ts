import { expect, test } from 'vitest'
import { runExhaustion } from '../support/exhaustion.ts'

/* A short run of what `npm run soak` does at length. */
test('connections without a key take no memory with their bodies, and callers with one do not notice', async () => {
  expect((await runExhaustion({ connections: 40, unreadAnswers: 0 })).violations).toEqual([])
})
