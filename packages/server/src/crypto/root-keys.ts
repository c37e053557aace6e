import type { Clock } from '../kernel/clock.ts'
import type { KeyWrapper } from './key-wrapper.ts'
import { openLocalRootKeys } from './root-key.ts'
import type { Secret } from './secret.ts'
import { openTransitRootKeys } from './transit-root-keys.ts'

/** Where the root keys are. Each kind is one implementation of `KeyWrapper`. */
export type RootKeyPlace =
  | { readonly kind: 'file'; readonly path: string }
  | {
      readonly kind: 'vault_transit'
      /** The origin of the service, without a slash at the end. */
      readonly address: string
      readonly mount: string
      readonly key: string
      /** The token itself, or the file that holds it, read anew for each request. */
      readonly token: Secret | { readonly file: string }
    }

/** Throws `KeyFileError` or `RootKeyError` when the root keys cannot be used. */
export function openRootKeys(place: RootKeyPlace, { clock }: { clock: Pick<Clock, 'now'> }): Promise<KeyWrapper> {
  switch (place.kind) {
    case 'file':
      return openLocalRootKeys({ path: place.path, clock })
    case 'vault_transit':
      return openTransitRootKeys(place)
  }
}
