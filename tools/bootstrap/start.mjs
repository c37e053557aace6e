import { ensureWalletBuilt } from './build-wallet.mjs'
import { DEMONSTRATION, main, runNode } from './run.mjs'

await main((node, args) => {
  ensureWalletBuilt(node)
  return runNode(node, [...DEMONSTRATION, 'dev', ...args])
})
