import type { DataKeyName, KeyWrapper } from './key-wrapper.ts'

/** What the installation itself keeps secret. Each is wrapped by a root key under its own name and stored in the database. */
export type InstallationKeyName = 'approval_links' | 'key_digests' | 'audit_signing'

/** Where wrapped keys are kept. A row never changes but by `replaceWrapped`. */
export type InstallationKeyStore = {
  findWrapped(name: InstallationKeyName): Promise<Buffer | undefined>
  /** Stores a key that is not there yet, and answers the stored one: that of whoever was first. */
  createWrapped(name: InstallationKeyName, wrapped: Buffer): Promise<Buffer>
  /** Stores `next` only where `previous` still stands, and says whether it did. */
  replaceWrapped(name: DataKeyName, previous: Buffer, next: Buffer): Promise<boolean>
}

/** One key of the installation. The caller wipes the bytes that it is given. */
export type InstallationKey = {
  /** The key; `make` makes it when the installation has none. Two processes that start together end with one. */
  open(make: () => Buffer): Promise<Buffer>
  /** Replaces an existing key by what `next` makes of it; asked again when another process was first. */
  change(next: (present: Buffer) => Buffer): Promise<void>
}

type Deps = { wrapper: KeyWrapper; installationId: string; store: InstallationKeyStore }

export function createInstallationKeys({ wrapper, installationId, store }: Deps) {
  return (name: InstallationKeyName): InstallationKey => {
    const bound = { appId: installationId, dataKeyId: name }
    async function wrap(key: Buffer): Promise<Buffer> {
      try {
        return await wrapper.wrap(bound, key)
      } finally {
        key.fill(0)
      }
    }
    return {
      async open(make) {
        const wrapped = (await store.findWrapped(name)) ?? (await store.createWrapped(name, await wrap(make())))
        return wrapper.unwrap(bound, wrapped)
      },
      async change(next) {
        for (;;) {
          const previous = await store.findWrapped(name)
          if (previous === undefined) throw new Error(`The installation has no key "${name}" to change.`)
          const present = await wrapper.unwrap(bound, previous)
          const wrapped = await wrap(next(present)).finally(() => present.fill(0))
          if (await store.replaceWrapped(bound, previous, wrapped)) return
        }
      },
    }
  }
}
