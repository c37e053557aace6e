import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BootstrapError, note, ROOT } from './install.mjs'

const WALLET = 'apps/wallet'

/** What the built wallet is made from. */
const INPUTS = [
  'package-lock.json',
  `${WALLET}/index.html`,
  `${WALLET}/package.json`,
  `${WALLET}/public`,
  `${WALLET}/src`,
  `${WALLET}/tsconfig.json`,
  `${WALLET}/vite.config.ts`,
  'packages/web-kit/src',
]

/**
 * SHA-256 over the names and contents of all files at or under `paths`, whatever the order the disk lists them in.
 * @param {string} root
 * @param {readonly string[]} paths
 */
export function hashFiles(root, paths) {
  const hash = createHash('sha256')
  for (const path of paths) {
    const found = join(root, path)
    if (!existsSync(found)) continue
    for (const file of listFiles(found).sort()) {
      hash.update(`${file.slice(root.length)}\0`).update(createHash('sha256').update(readFileSync(file)).digest())
    }
  }
  return hash.digest('hex')
}

function listFiles(path) {
  let entries
  try {
    entries = readdirSync(path, { recursive: true, withFileTypes: true })
  } catch (error) {
    if (error.code === 'ENOTDIR') return [path]
    throw error
  }
  return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath ?? entry.path, entry.name))
}

/**
 * Builds the wallet into apps/wallet/dist when what it is made from has changed since. The old build stays until the new one is
 * whole.
 * @param {string} node
 */
export function ensureWalletBuilt(node) {
  const app = join(ROOT, WALLET)
  if (!existsSync(join(app, 'vite.config.ts'))) return
  const stampFile = join(ROOT, 'node_modules', '.alter-wallet-stamp')
  const stamp = hashFiles(ROOT, INPUTS)
  const dist = join(app, 'dist')
  if (existsSync(join(dist, 'index.html')) && existsSync(stampFile) && readFileSync(stampFile, 'utf8') === stamp) return
  note('Building the wallet …')
  const fresh = join(app, 'node_modules', `.dist-${process.pid}`)
  const { status } = spawnSync(
    node,
    [join(ROOT, 'node_modules/vite/bin/vite.js'), 'build', '--logLevel', 'warn', '--outDir', fresh, '--emptyOutDir'],
    { cwd: app, stdio: ['ignore', 2, 2] },
  )
  if (status !== 0) {
    rmSync(fresh, { recursive: true, force: true })
    throw new BootstrapError('The wallet could not be built; the reason is above.')
  }
  rmSync(dist, { recursive: true, force: true })
  renameSync(fresh, dist)
  writeFileSync(stampFile, stamp)
}
