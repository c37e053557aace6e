import { createHmac } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openPepper } from './pepper.ts'

const KEY = 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'
let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pepper-'))
  path = join(folder, 'pepper.json')
})
afterEach(() => rm(folder, { recursive: true }))

describe('the pepper', () => {
  test('digests a key with HMAC-SHA-256 under the bytes of its file', async () => {
    const { keyDigest } = await openPepper({ path })
    const bytes = Buffer.from(JSON.parse(await readFile(path, 'utf8')).pepper, 'base64')
    expect(bytes).toHaveLength(32)
    expect(keyDigest(KEY)).toEqual(createHmac('sha256', bytes).update(KEY).digest())
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  test('is the same after a restart and another in another folder', async () => {
    const first = await openPepper({ path })
    const again = await openPepper({ path })
    const other = await openPepper({ path: join(folder, 'other.json') })
    expect(again.keyDigest(KEY)).toEqual(first.keyDigest(KEY))
    expect(again.fingerprint).toBe(first.fingerprint)
    expect(other.keyDigest(KEY)).not.toEqual(first.keyDigest(KEY))
    expect(other.fingerprint).not.toBe(first.fingerprint)
  })

  test('is not shown when it is printed', async () => {
    const pepper = await openPepper({ path })
    const { pepper: text } = JSON.parse(await readFile(path, 'utf8'))
    expect(inspect(pepper, { depth: 9 })).not.toContain(text.slice(0, 8))
  })

  test.each([
    ['cut', (text: string) => text.slice(0, 40)],
    ['empty', () => ''],
    ['short', (text: string) => JSON.stringify({ ...JSON.parse(text), pepper: 'AAAA' })],
    ['without its pepper', (text: string) => JSON.stringify({ ...JSON.parse(text), pepper: undefined })],
    ['changed', (text: string) => JSON.stringify({ ...JSON.parse(text), pepper: Buffer.alloc(32).toString('base64') })],
  ])('in a file that is %s is refused', async (_, change) => {
    await openPepper({ path })
    await writeFile(path, change(await readFile(path, 'utf8')))
    await expect(openPepper({ path })).rejects.toThrow('is damaged')
  })
})
