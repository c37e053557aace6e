/*
 *   npm run dev                   the server, started again when its source changes and open to a debugger, and the wallet from its source
 *   npm run dev -- --port 9000    arguments are the server's
 */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { ensureWalletBuilt } from './build-wallet.mjs'
import { connectionString, findPostmaster } from './data-folder.mjs'
import { ROOT } from './install.mjs'
import { main, runNode, SERVER } from './run.mjs'

const WALLET_PORT = 5173
const INSPECTOR = '127.0.0.1:9229'
const READY = /is ready at (\S+)/

await main(async (node, args) => {
  ensureWalletBuilt(node)
  const options = { port: { type: 'string' }, 'data-dir': { type: 'string' } }
  const { values } = parseArgs({ args, options, strict: false })
  const port = values.port ?? process.env.ALTER_PORT ?? '8787'
  const dataDir = resolve(ROOT, values['data-dir'] ?? process.env.ALTER_DATA_DIR ?? '.alter')
  const walletUrl = `http://localhost:${WALLET_PORT}`

  const wallet = runNode(
    node,
    [join(ROOT, 'node_modules/vite/bin/vite.js'), '--port', String(WALLET_PORT), '--logLevel', 'warn'],
    {
      cwd: join(ROOT, 'apps/wallet'),
      env: { VAULT_ORIGIN: `http://127.0.0.1:${port}` },
    },
  )
  const server = runNode(
    node,
    ['--watch', '--watch-preserve-output', `--inspect=${INSPECTOR}`, ...SERVER, 'dev', ...args],
    {
      // Links to approvals lead to the wallet that is served from its source.
      env: { ALTER_PUBLIC_URL: walletUrl },
      onOutput(text) {
        if (!READY.test(text)) return
        const postmaster = findPostmaster(dataDir)
        process.stdout.write(
          [
            '',
            `  Wallet     ${walletUrl}/wallet/ (from its source)`,
            `  Debugger   ${INSPECTOR}, for example chrome://inspect`,
            ...(postmaster === undefined ? [] : [`  Database   ${connectionString(postmaster.socketFolder)}`]),
            '',
          ].join('\n'),
        )
      },
    },
  )
  const [code] = await Promise.all([server, wallet])
  return code
})
