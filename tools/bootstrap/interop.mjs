/*
 *   npm run interop    holds what the product says of PHP, Rack, aiohttp, Django and WSGI against those servers
 */
import { spawnSync } from 'node:child_process'
import { note } from './install.mjs'
import { main, runNode } from './run.mjs'

const PACKAGES = ['php-cli', 'ruby', 'ruby-rack', 'ruby-webrick', 'python3-venv']
const run = (command, args) => spawnSync(command, args, { stdio: ['ignore', 'ignore', 'inherit'] }).status === 0

/** On Debian, as root, what is missing is installed; elsewhere the tests say what they leave out. */
function ensureServers() {
  if (run('php', ['-v']) && run('ruby', ['-rrack', '-rwebrick', '-e', '1'])) return
  if (process.getuid?.() !== 0 || !run('apt-get', ['--version'])) {
    note(`Some of ${PACKAGES.join(', ')} are missing; tests that need them are skipped.`)
    return
  }
  note(`Installing ${PACKAGES.join(', ')} …`)
  run('apt-get', ['update', '-qq'])
  run('apt-get', ['install', '-y', '-qq', '--no-install-recommends', ...PACKAGES])
}

await main((node, args) => {
  ensureServers()
  return runNode(node, ['node_modules/vitest/vitest.mjs', 'run', '--config', 'vitest.interop.config.ts', ...args])
})
