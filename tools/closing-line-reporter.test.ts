import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const REPORTER = new URL('./closing-line-reporter.ts', import.meta.url)

/** A process whose test run ended with `passed` tests and no failure, after the static checks named in `failedChecks` had failed. */
function endOfRun(passed: number, failedChecks: string, exitCode = 0) {
  const script = `
    const { default: Reporter } = await import(${JSON.stringify(REPORTER.href)})
    const tests = Array.from({ length: ${passed} }, () => ({ result: () => ({ state: 'passed' }) }))
    const module = { errors: () => [], children: { allSuites: () => [], allTests: () => tests } }
    new Reporter().onTestRunEnd([module], [])
    if (${exitCode}) process.exitCode = ${exitCode}`
  const { status, stdout } = spawnSync(process.execPath, ['--input-type=module', '-e', script], {
    cwd: fileURLToPath(new URL('.', import.meta.url)),
    encoding: 'utf8',
    env: { ...process.env, FAILED_CHECKS: failedChecks },
  })
  return { status, lines: stdout.trimEnd().split('\n') }
}

test('closes with the counts', () => {
  expect(endOfRun(2, '')).toEqual({ status: 0, lines: ['2 passed, 0 failed'] })
})

test('counts each static check that failed, names it, and ends with 1', () => {
  const { status, lines } = endOfRun(2, 'style types')
  expect(status).toBe(1)
  expect(lines[0]).toContain('style, types')
  expect(lines.at(-1)).toBe('2 passed, 2 failed')
})

test('never says that nothing failed when the run failed as a whole', () => {
  expect(endOfRun(0, '', 1)).toEqual({ status: 1, lines: ['0 passed, 1 failed'] })
})
