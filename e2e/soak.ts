/*
 * `npm run soak`: 200 revocations under load, with everything breaking meanwhile, on two servers; then bodies of nobody and answers that
 * nobody reads. Ends with 1 when a promise was broken.
 * `npm run soak -- 1000` revokes as many.
 */
import { runExhaustion } from './support/exhaustion.ts'
import { runRevocationStorm } from './support/revocation-storm.ts'

const say = (line: string) => process.stdout.write(`${line}\n`)

const revocations = Number(process.argv[2] ?? 200)
if (!Number.isSafeInteger(revocations) || revocations < 4) {
  throw new Error(`Expected how many revocations, at least 4; got "${process.argv[2]}"`)
}
const { violations: broken, ...report } = await runRevocationStorm({ revocations, callers: 8, killEveryMs: 150 }, say)
say(JSON.stringify(report, null, 2))
const { violations: exhausted, ...memory } = await runExhaustion({ connections: 150, unreadAnswers: 20 })
say(JSON.stringify(memory, null, 2))
const violations = [...broken, ...exhausted]
for (const violation of violations) say(violation)
say(violations.length === 0 ? 'Every promise held.' : `${violations.length} promises were broken.`)
process.exitCode = violations.length === 0 ? 0 : 1
