import type { Reporter, SerializedError, TestModule } from 'vitest/node'

export type Counts = { passed: number; failed: number; skipped: number }

/**
 * Counts a finished run. A file that could not be loaded and an error outside every test count as one failure each, so that a
 * run with a fault never reads "0 failed".
 */
export function countResults(modules: readonly TestModule[], unhandled: readonly SerializedError[]): Counts {
  const counts = { passed: 0, failed: unhandled.length, skipped: 0 }
  for (const module of modules) {
    counts.failed += module.errors().length
    for (const suite of module.children.allSuites()) counts.failed += suite.errors().length
    for (const test of module.children.allTests()) {
      const { state } = test.result()
      if (state === 'passed') counts.passed++
      else if (state === 'failed') counts.failed++
      else counts.skipped++
    }
  }
  return counts
}

/** `N passed, N failed`, with `, N skipped` only when some were. */
export function closingLine({ passed, failed, skipped }: Counts): string {
  return `${passed} passed, ${failed} failed${skipped === 0 ? '' : `, ${skipped} skipped`}`
}

/**
 * Prints the closing line when the process ends, after everything else that wants to print. Static checks that failed before the tests, named
 * in FAILED_CHECKS with blanks between, count as failures of the whole.
 */
export default class ClosingLineReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[]): void {
    const counts = countResults(modules, unhandled)
    const failedChecks = process.env.FAILED_CHECKS?.split(' ').filter((name) => name !== '') ?? []
    counts.failed += failedChecks.length
    if (failedChecks.length > 0) process.exitCode = 1
    process.once('exit', (exitCode) => {
      // A set-up that failed, or a run without a single test, ends with an exit code and no failed test.
      if (exitCode !== 0 && counts.failed === 0) counts.failed = 1
      if (failedChecks.length > 0)
        process.stdout.write(`Static checks failed: ${failedChecks.join(', ')}. Their output is above.\n`)
      process.stdout.write(`${closingLine(counts)}\n`)
    })
  }
}
