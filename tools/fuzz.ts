/*
 * Invents requests from the description that the server gives of itself, and judges every answer by it: no 5xx, no undeclared status,
 * no answer of another form, nothing taken that the description forbids. e2e/python/schemathesis.toml says what is loosened and why.
 *
 *   npm run fuzz                    both APIs, at length
 *   npm run fuzz -- sdk 100 7       one API, 100 invented requests for each operation, seed 7
 */
import { FUZZED_APIS, type FuzzedApi, startFuzzedVault } from '../e2e/support/fuzz.ts'

const DEFAULT_EXAMPLES = 50

const [wanted, examples = String(DEFAULT_EXAMPLES), seed = '1'] = process.argv.slice(2)
const apis = (Object.keys(FUZZED_APIS) as FuzzedApi[]).filter((api) => wanted === undefined || api === wanted)
if (apis.length === 0)
  throw new Error(`There is no API "${wanted}"; there are ${Object.keys(FUZZED_APIS).join(' and ')}.`)

await using fuzzed = await startFuzzedVault({ onOutput: (text) => process.stdout.write(text) })
for (const api of apis) {
  const { exitCode } = await fuzzed.fuzz({
    api,
    maxExamples: Number(examples),
    phases: ['examples', 'coverage', 'fuzzing'],
    seed: Number(seed),
  })
  if (exitCode !== 0) process.exitCode = 1
}
for (const line of fuzzed.faults()) {
  process.stdout.write(`${line}\n`)
  process.exitCode = 1
}
