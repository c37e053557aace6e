import { ensureWalletBuilt } from './build-wallet.mjs'
import { main, runNode } from './run.mjs'

await main((node, args) => {
  ensureWalletBuilt(node)
  return runNode(node, ['e2e/soak.ts', ...args])
})
