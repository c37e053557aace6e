import type { Clock } from '../kernel/clock.ts'
import { findKeyFile, KeyFileError } from './key-file.ts'
import { openLocalRootKeys } from './root-key.ts'

/**
 * Adds a root key to an existing file; it wraps from the next start of a server on. A missing file is a wrong path and not a new
 * installation, so it is refused with `KeyFileError`.
 */
export async function rotateRootKey(deps: { path: string; clock: Pick<Clock, 'now'> }): Promise<{ keyId: string }> {
  if ((await findKeyFile(deps.path)) === undefined) {
    throw new KeyFileError(`There is no root key file "${deps.path}". Nothing was made. Check ALTER_ROOT_KEY_FILE.`)
  }
  return (await openLocalRootKeys(deps)).rotate()
}
