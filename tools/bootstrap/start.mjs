import { ensureWalletBuilt } from './build-wallet.mjs'
import { main, runNode } from './run.mjs'

await main((node, args) => {
  ensureWalletBuilt(node)
  return runNode(node, ['packages/server/src/main.ts', 'dev', ...args])
})
