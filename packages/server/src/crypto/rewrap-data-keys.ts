import type { DataKeyName, KeyWrapper } from './key-wrapper.ts'

type WrappedDataKey = DataKeyName & { wrapped: Buffer }

type Deps = {
  wrapper: Pick<KeyWrapper, 'wrap' | 'unwrap' | 'isCurrent'>
  /** The next data keys of the installation after `after` in a fixed order; empty at the end. */
  listDataKeys(after: DataKeyName | undefined): Promise<WrappedDataKey[]>
  /** Stores `next` only where `previous` still stands, and says whether it did. */
  replaceWrapped(name: DataKeyName, previous: Buffer, next: Buffer): Promise<boolean>
}

/**
 * Wraps every data key with the newest root key while the server runs. No ciphertext is touched: a data key keeps its
 * id and bytes. Safe to stop and to run again; when it ends with `changedMeanwhile: 0` no data key needs an older root key.
 */
export function createRewrapDataKeys({ wrapper, listDataKeys, replaceWrapped }: Deps) {
  return async (): Promise<{ rewrapped: number; alreadyCurrent: number; changedMeanwhile: number }> => {
    const counts = { rewrapped: 0, alreadyCurrent: 0, changedMeanwhile: 0 }
    let after: DataKeyName | undefined
    for (;;) {
      const page = await listDataKeys(after)
      if (page.length === 0) return counts
      for (const { appId, dataKeyId, wrapped } of page) {
        const name = { appId, dataKeyId }
        after = name
        if (wrapper.isCurrent(wrapped)) {
          counts.alreadyCurrent += 1
          continue
        }
        const bytes = await wrapper.unwrap(name, wrapped)
        const next = await wrapper.wrap(name, bytes).finally(() => bytes.fill(0))
        if (await replaceWrapped(name, wrapped, next)) counts.rewrapped += 1
        else counts.changedMeanwhile += 1
      }
    }
  }
}
