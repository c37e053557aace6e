import type { Clock } from '../kernel/clock.ts'
import { findKeyFile, KeyFileError } from './key-file.ts'
import { RootKeyError } from './key-wrapper.ts'
import { openLocalRootKeys } from './root-key.ts'
import type { RootKeyPlace } from './root-keys.ts'

/**
 * Adds a root key to an existing file; it wraps from the next start of a server on. A missing file is a wrong path and not a new
 * installation, so it is refused with `KeyFileError`; keys of a service are rotated there.
 */
export async function rotateRootKey(
  place: RootKeyPlace,
  clock: Pick<Clock, 'now'>,
): Promise<{ keyId: string; path: string }> {
  if (place.kind !== 'file') {
    throw new RootKeyError(
      `The root key is "${place.key}" of ${place.address}. Rotate it there, then restart the servers: each wraps what it has wrapped anew.`,
    )
  }
  const { path } = place
  if ((await findKeyFile(path)) === undefined) {
    throw new KeyFileError(`There is no root key file "${path}". Nothing was made. Check ALTER_ROOT_KEY_FILE.`)
  }
  return { ...(await (await openLocalRootKeys({ path, clock })).rotate()), path }
}
