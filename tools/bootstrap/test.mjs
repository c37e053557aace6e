/*
 *   npm test                    the static checks, then every test
 *   npm test -- packages/sdk    only the tests whose path has this in it, and no static check
 */
import { ensureWalletBuilt } from './build-wallet.mjs'
import { BootstrapError, note } from './install.mjs'
import { main, runNode } from './run.mjs'
import { runSteps, staticSteps } from './static-steps.mjs'

await main((node, args) => {
  const failed = args.length === 0 ? runSteps(node, staticSteps()) : []
  try {
    ensureWalletBuilt(node)
  } catch (error) {
    // The run goes on, so that its closing line says that it failed.
    if (!(error instanceof BootstrapError)) throw error
    note(error.message)
    failed.push('wallet')
  }
  return runNode(node, ['node_modules/vitest/vitest.mjs', 'run', ...args], { env: { FAILED_CHECKS: failed.join(' ') } })
})
