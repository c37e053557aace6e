import { ensureWalletBuilt } from './build-wallet.mjs'
import { main, runNode, SERVER } from './run.mjs'

await main((node, args) => {
  if (args[0] === 'serve') ensureWalletBuilt(node)
  return runNode(node, [...SERVER, ...args])
})
