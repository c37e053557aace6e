import { chmod, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createKeyFile, findKeyFile, findOrCreateKeyFile, KeyFileError, replaceKeyFile } from './key-file.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'key-file-'))
  path = join(folder, 'root.key')
})
afterEach(() => rm(folder, { recursive: true }))

describe('a key file', () => {
  test('is made for its owner alone', async () => {
    expect(await createKeyFile(path, 'content')).toBe(true)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await findKeyFile(path)).toBe('content')
    expect(await readdir(folder)).toEqual(['root.key'])
  })

  test('is never overwritten by creating it again', async () => {
    await createKeyFile(path, 'first')
    expect(await createKeyFile(path, 'second')).toBe(false)
    expect(await readFile(path, 'utf8')).toBe('first')
    expect(await readdir(folder)).toEqual(['root.key'])
  })

  test('made by many at once is the same for all', async () => {
    const contents = await Promise.all(
      Array.from({ length: 20 }, (_, n) => findOrCreateKeyFile(path, () => `content ${n}`)),
    )
    expect(new Set(contents)).toEqual(new Set([await readFile(path, 'utf8')]))
  })

  test('is replaced in one step and stays closed to others', async () => {
    await createKeyFile(path, 'old')
    await replaceKeyFile(path, 'new')
    expect(await findKeyFile(path)).toBe('new')
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(folder)).toEqual(['root.key'])
  })

  test('that does not exist is undefined', async () => {
    expect(await findKeyFile(path)).toBeUndefined()
  })

  test.each([0o640, 0o604, 0o660, 0o644, 0o620, 0o601, 0o777])(
    'of mode %o is refused, with what to do',
    async (mode) => {
      await createKeyFile(path, 'content')
      await chmod(path, mode)
      const octal = mode.toString(8).padStart(4, '0')
      await expect(findKeyFile(path)).rejects.toThrow(`mode ${octal}`)
      await expect(findKeyFile(path)).rejects.toThrow(`chmod 600 "${path}"`)
    },
  )

  test('may be read-only for its owner', async () => {
    await createKeyFile(path, 'content')
    await chmod(path, 0o400)
    expect(await findKeyFile(path)).toBe('content')
  })

  test('behind a link is judged by the file the link leads to', async () => {
    await writeFile(join(folder, 'open.key'), 'content', { mode: 0o644 })
    await symlink('open.key', path)
    await expect(findKeyFile(path)).rejects.toBeInstanceOf(KeyFileError)
  })

  test('is no folder and no large file', async () => {
    await expect(findKeyFile(folder)).rejects.toThrow('not a regular file')
    await writeFile(path, 'x'.repeat(1_048_577), { mode: 0o600 })
    await expect(findKeyFile(path)).rejects.toThrow('much smaller')
  })

  test('cannot be made in a folder that does not exist', async () => {
    await expect(findOrCreateKeyFile(join(folder, 'none', 'root.key'), () => 'x')).rejects.toThrow()
  })
})
