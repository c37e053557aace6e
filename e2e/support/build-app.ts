import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** Builds one of the web apps from its source into a folder of its own, exactly as it is shipped. `close` removes the folder. */
export async function buildApp(app: 'wallet'): Promise<{ dist: string; close: () => Promise<void> }> {
  const dist = await mkdtemp(join(tmpdir(), `alter-vault-${app}-`))
  const vite = join(ROOT, 'node_modules/vite/bin/vite.js')
  await promisify(execFile)(
    process.execPath,
    [vite, 'build', '--outDir', dist, '--emptyOutDir', '--logLevel', 'error'],
    {
      cwd: join(ROOT, 'apps', app),
      env: { ...process.env, NODE_ENV: 'production' },
    },
  )
  return { dist, close: () => rm(dist, { recursive: true, force: true }) }
}
