import { ensureWalletBuilt } from './build-wallet.mjs'
import { main, runNode } from './run.mjs'

await main((node, args) => {
  ensureWalletBuilt(node)
  return runNode(node, ['node_modules/vitest/vitest.mjs', 'run', ...args])
})
