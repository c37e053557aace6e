import { createHash, randomBytes } from 'node:crypto'
import { type FileHandle, link, open, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/**
 * A key file that must not be used as it is: open to others, cut short, garbled. `message` is one sentence for the
 * operator and holds nothing of the content.
 */
export class KeyFileError extends Error {
  constructor(message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.name = 'KeyFileError'
  }
}

const OWNER_ONLY = 0o600
const GROUP_AND_OTHERS = 0o077
const MAX_BYTES = 1_048_576

/** The content of a key file, or undefined when there is none. Refuses a file that anyone but its owner may touch. */
export async function findKeyFile(path: string): Promise<string | undefined> {
  let file: FileHandle
  try {
    file = await open(path, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw new KeyFileError(`The key file "${path}" cannot be opened.`, error)
  }
  try {
    // The opened file is checked, not the path: the path may name another file a moment later.
    const { mode, size } = await file.stat()
    if ((mode & 0o170000) !== 0o100000) throw new KeyFileError(`"${path}" is not a regular file.`)
    if ((mode & GROUP_AND_OTHERS) !== 0) {
      const octal = (mode & 0o777).toString(8).padStart(4, '0')
      throw new KeyFileError(
        `The key file "${path}" has mode ${octal}: others may read or change it. Expected 0600; after checking who had access, run: chmod 600 "${path}"`,
      )
    }
    if (size > MAX_BYTES)
      throw new KeyFileError(`The key file "${path}" has ${size} bytes; a key file is much smaller.`)
    return await file.readFile('utf8')
  } finally {
    await file.close()
  }
}

/**
 * Creates a key file whole or not at all, mode 0600, on disk before it returns. Never overwrites: when another process
 * was first, answers false and the file is that process's.
 */
export async function createKeyFile(path: string, content: string): Promise<boolean> {
  const temporary = await writeTemporary(path, content)
  try {
    await link(temporary, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw new KeyFileError(`The key file "${path}" cannot be created.`, error)
  } finally {
    await unlink(temporary)
  }
  await syncFolder(path)
  return true
}

/** Puts new content in place of the old in one step; a crash leaves either the old file or the new one. */
export async function replaceKeyFile(path: string, content: string): Promise<void> {
  const temporary = await writeTemporary(path, content)
  try {
    await rename(temporary, path)
  } catch (error) {
    await unlink(temporary)
    throw new KeyFileError(`The key file "${path}" cannot be replaced.`, error)
  }
  await syncFolder(path)
}

/** Reads a key file, or makes it from `initial()` when there is none. Two processes that start together end with one file. */
export async function findOrCreateKeyFile(path: string, initial: () => string): Promise<string> {
  const existing = await findKeyFile(path)
  if (existing !== undefined) return existing
  const content = initial()
  if (await createKeyFile(path, content)) return content
  const theirs = await findKeyFile(path)
  if (theirs === undefined) throw new KeyFileError(`The key file "${path}" was removed while the server started.`)
  return theirs
}

/** The JSON of a key file, which must be an object of the named format. */
export function parseKeyFile(path: string, content: string, format: string): Record<string, unknown> {
  let parsed: unknown
  try {
    parsed = JSON.parse(content)
  } catch {
    throw garbled(path, 'it is not JSON, or it is cut short')
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) throw garbled(path, 'it holds no object')
  const record = parsed as Record<string, unknown>
  if (record.format !== format) throw garbled(path, `"format" is not "${format}"`)
  return record
}

/** The refusal of a file whose content is wrong. `what` says which part, never its value. */
export function garbled(path: string, what: string): KeyFileError {
  return new KeyFileError(
    `The key file "${path}" is damaged: ${what}. Restore it from your backup; without it what it sealed stays closed.`,
  )
}

/** A short digest stored beside key bytes, so a flipped bit is seen when the file is read and not when data stops opening. */
export function keyCheck(id: string, key: Uint8Array): string {
  return createHash('sha256').update(`alter.key-file.check.v1\n${id}\n`).update(key).digest('hex').slice(0, 16)
}

async function writeTemporary(path: string, content: string): Promise<string> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(8).toString('hex')}`)
  const file = await open(temporary, 'wx', OWNER_ONLY)
  try {
    await file.writeFile(content)
    await file.sync()
  } finally {
    await file.close()
  }
  return temporary
}

/** A new name is durable only when its folder is on disk too. */
async function syncFolder(path: string): Promise<void> {
  const folder = await open(dirname(path), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
