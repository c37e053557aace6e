import { afterAll, beforeAll, expect, test } from 'vitest'
import { type FuzzedVault, startFuzzedVault } from '../support/fuzz.ts'

let fuzzed: FuzzedVault
beforeAll(async () => {
  fuzzed = await startFuzzedVault()
})
afterAll(() => fuzzed[Symbol.asyncDispose]())

test('the server describes itself in valid OpenAPI 3.1', async () => {
  expect(await fuzzed.validateDescription()).toBe('')
})

/* A short run of what `npm run fuzz` does at length. */
test.each([
  { api: 'sdk', maxExamples: 8, phases: ['examples', 'fuzzing'] },
  { api: 'management', maxExamples: 2, phases: ['examples', 'fuzzing'] },
] as const)('invented requests to the $api API get declared answers', async (run) => {
  const { exitCode, output } = await fuzzed.fuzz({ ...run, seed: 1 })
  expect(exitCode, output).toBe(0)
  expect(output).toMatch(/Tested: [1-9]/)
  expect(fuzzed.faults()).toEqual([])
})
