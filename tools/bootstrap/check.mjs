/*
 * What a change must pass, without what it cannot have touched.
 *
 *   npm run check                    the static checks, then the tests that the change affects
 *   npm run check -- imports types   only these steps; `tests` is one too
 *   npm run check -- all             as `npm test`: the static checks, then every test
 */
import { spawnSync } from 'node:child_process'
import { ensureWalletBuilt } from './build-wallet.mjs'
import { BootstrapError, note, ROOT } from './install.mjs'
import { main, runNode } from './run.mjs'
import { printStep, runSteps, staticSteps } from './static-steps.mjs'

const print = (line) => process.stdout.write(`${line}\n`)
const files = (list) => `${list.length} ${list.length === 1 ? 'file' : 'files'}`

/** Runs the tests that the change affects, and says what it leaves to `npm test`. */
async function runAffected(node) {
  const { status, stdout } = spawnSync(node, ['tools/affected-tests.ts'], {
    cwd: ROOT,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  if (status !== 0) throw new BootstrapError('The tests that the change affects were not found; the reason is above.')
  const { changed, run, leftOut, unknown } = JSON.parse(stdout)
  let code = 0
  if (run.length > 0) {
    ensureWalletBuilt(node)
    code = await runNode(node, ['node_modules/vitest/vitest.mjs', 'run', ...run])
  }
  print(
    `Tests run: ${files(run)}, which ${changed === 1 ? 'the changed file affects' : `${changed} changed files affect`}.`,
  )
  if (leftOut.database.length > 0) print(`Not run: ${files(leftOut.database)} of database tests in other folders.`)
  if (leftOut.endToEnd.length > 0)
    print(`Not run: ${files(leftOut.endToEnd)} of end-to-end tests that import the change.`)
  print('Not run: end-to-end tests, which start servers. Everything: npm test')
  for (const path of unknown) print(`No test is known for "${path}".`)
  return code
}

await main(async (node, wanted) => {
  const steps = staticSteps()
  if (wanted.includes('all')) return runNode(node, ['tools/bootstrap/test.mjs'])
  const unknown = wanted.filter((name) => name !== 'tests' && !(name in steps))
  if (unknown.length > 0) {
    note(`No step is called ${unknown.join(', ')}. Steps: ${Object.keys(steps).join(', ')}, tests, all.`)
    return 2
  }
  const isWanted = (name) => wanted.length === 0 || wanted.includes(name)
  const failed = runSteps(node, Object.fromEntries(Object.entries(steps).filter(([name]) => isWanted(name))))
  if (isWanted('tests')) {
    const begun = performance.now()
    const code = await runAffected(node)
    printStep(code === 0, 'tests', performance.now() - begun)
    if (code !== 0) failed.push('tests')
  }
  if (failed.length === 0) return 0
  print(`Failed: ${failed.join(', ')}. Again: npm run check -- ${failed.join(' ')}`)
  return 1
})
