import { ensureWalletBuilt } from './build-wallet.mjs'
import { main, runNode } from './run.mjs'

await main((node, args) => {
  if (args[0] === 'serve') ensureWalletBuilt(node)
  return runNode(node, ['packages/server/src/main.ts', ...args])
})
