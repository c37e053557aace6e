/*
 *   npm run reset    removes the data of `npm start` and `npm run dev`, after saying what that is; the next start makes it anew
 */
import { join } from 'node:path'
import { removeDataFolder } from './data-folder.mjs'
import { BootstrapError, note, ROOT } from './install.mjs'

try {
  if (process.env.ALTER_DATA_DIR !== undefined) {
    throw new BootstrapError(
      'ALTER_DATA_DIR is set. Only the folder ".alter" of this checkout is removed; remove another one by hand.',
    )
  }
  removeDataFolder(join(ROOT, '.alter'), (line) => process.stdout.write(`${line}\n`))
} catch (error) {
  if (!(error instanceof BootstrapError)) throw error
  note(error.message)
  process.exitCode = 1
}
