import { open, rm, stat, statfs } from 'node:fs/promises'

const CHUNK_BYTES = 1024 * 1024

/** Kept when so many times its size is free, so that the ballast itself never fills the disk. */
const ROOM_FACTOR = 4

/**
 * A file of real blocks that is given up when the disk is full: PostgreSQL cannot even recover without room for its log.
 * `free` says whether there was one; `keep` makes it again when there is room.
 */
export function createDiskBallast({ path, bytes }: { path: string; bytes: number }) {
  return {
    async keep(folder: string): Promise<void> {
      if (bytes === 0) return
      const size = await stat(path).then(
        (found) => found.size,
        () => 0,
      )
      if (size === bytes) return
      const { bavail, bsize } = await statfs(folder)
      if (bavail * bsize < bytes * ROOM_FACTOR) return
      const file = await open(path, 'w', 0o600)
      try {
        const chunk = Buffer.alloc(CHUNK_BYTES)
        for (let written = 0; written < bytes; written += CHUNK_BYTES) {
          await file.write(chunk, 0, Math.min(CHUNK_BYTES, bytes - written))
        }
        await file.sync()
      } catch {
        await rm(path, { force: true })
      } finally {
        await file.close()
      }
    },
    async free(): Promise<boolean> {
      const found = await stat(path).catch(() => undefined)
      if (found === undefined || found.size === 0) return false
      await rm(path, { force: true })
      return true
    },
  }
}
