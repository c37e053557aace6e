import { ensureWalletBuilt } from './build-wallet.mjs'
import { main, runNode, SERVER } from './run.mjs'

await main((node, args) => {
  ensureWalletBuilt(node)
  return runNode(node, [...SERVER, 'dev', ...args])
})
