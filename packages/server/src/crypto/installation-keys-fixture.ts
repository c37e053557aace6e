import type { InstallationKey, InstallationKeyStore } from './installation-keys.ts'
import type { DataKeyName } from './key-wrapper.ts'

/** One key, kept plain, as one installation keeps it for all of its processes. */
export function createPlainKey(content?: string): InstallationKey & { read(): string } {
  let present: Buffer | undefined = content === undefined ? undefined : Buffer.from(content)
  return {
    read: () => String(present),
    async open(make) {
      present ??= make()
      return Buffer.from(present)
    },
    async change(next) {
      present = next(Buffer.from(present ?? ''))
    },
  }
}

/** The rows of a database, by name. */
export function createKeyRows(installationId: string) {
  const rows = new Map<string, Buffer>()
  const store: InstallationKeyStore = {
    findWrapped: async (name) => rows.get(name),
    async createWrapped(name, wrapped) {
      if (!rows.has(name)) rows.set(name, wrapped)
      return rows.get(name)!
    },
    async replaceWrapped({ dataKeyId }, previous, next) {
      if (rows.get(dataKeyId)?.equals(previous) !== true) return false
      rows.set(dataKeyId, next)
      return true
    },
  }
  const listDataKeys = async (after: DataKeyName | undefined) =>
    after === undefined ? [...rows].map(([dataKeyId, wrapped]) => ({ appId: installationId, dataKeyId, wrapped })) : []
  return { rows, ...store, listDataKeys }
}
