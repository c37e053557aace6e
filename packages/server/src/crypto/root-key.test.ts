import { randomBytes } from 'node:crypto'
import { chmod, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openLocalRootKeys } from './root-key.ts'

const clock = { now: () => Date.UTC(2026, 0, 1) }
const name = { appId: '0190a1b2-0000-7000-8000-000000000001', dataKeyId: '0190a1b2-0000-7000-8000-000000000002' }

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'root-key-'))
  path = join(folder, 'root-keys.json')
})
afterEach(() => rm(folder, { recursive: true }))

describe('local root keys', () => {
  test('are made on first use, for the owner alone, and are the same afterwards', async () => {
    const dataKey = randomBytes(32)
    const wrapped = await (await openLocalRootKeys({ path, clock })).wrap(name, dataKey)
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    const again = await openLocalRootKeys({ path, clock })
    expect(await again.unwrap(name, wrapped)).toEqual(dataKey)
  })

  test('unwrap a data key under its own name only', async () => {
    const keys = await openLocalRootKeys({ path, clock })
    const wrapped = await keys.wrap(name, randomBytes(32))
    const other = '0190a1b2-0000-7000-8000-000000000009'
    await expect(keys.unwrap({ ...name, appId: other }, wrapped)).rejects.toMatchObject({ reason: 'not_authentic' })
    await expect(keys.unwrap({ ...name, dataKeyId: other }, wrapped)).rejects.toMatchObject({ reason: 'not_authentic' })
  })

  test('can be rotated: the new one wraps, the old ones unwrap, after a restart too', async () => {
    const keys = await openLocalRootKeys({ path, clock })
    const dataKey = randomBytes(32)
    const before = await keys.wrap(name, dataKey)
    expect(keys.isCurrent(before)).toBe(true)
    const { keyId } = await keys.rotate()
    expect(keys.fingerprints()).toHaveLength(2)
    expect(keys.fingerprints()[1]).toBe(keyId)
    const after = await keys.wrap(name, dataKey)
    const restarted = await openLocalRootKeys({ path, clock })
    for (const one of [keys, restarted]) {
      expect([one.isCurrent(before), one.isCurrent(after)]).toEqual([false, true])
      expect(await one.unwrap(name, before)).toEqual(dataKey)
      expect(await one.unwrap(name, after)).toEqual(dataKey)
    }
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  test('of another installation are named as the likely cause', async () => {
    const theirs = await openLocalRootKeys({ path: join(folder, 'other.json'), clock })
    const wrapped = await theirs.wrap(name, randomBytes(32))
    const ours = await openLocalRootKeys({ path, clock })
    await expect(ours.unwrap(name, wrapped)).rejects.toThrow('another installation')
  })

  test('readable by others are refused', async () => {
    await openLocalRootKeys({ path, clock })
    await chmod(path, 0o644)
    await expect(openLocalRootKeys({ path, clock })).rejects.toThrow('mode 0644')
  })

  test('in a file cut anywhere are refused, and the file is left as it is', async () => {
    await openLocalRootKeys({ path, clock })
    const whole = await readFile(path, 'utf8')
    for (let length = 0; length < whole.trimEnd().length; length += 1) {
      const cut = whole.slice(0, length)
      await writeFile(path, cut)
      await expect(openLocalRootKeys({ path, clock })).rejects.toThrow('is damaged')
      expect(await readFile(path, 'utf8')).toBe(cut)
    }
  })

  test('with any one changed character of the key are refused, and the key is not shown', async () => {
    await openLocalRootKeys({ path, clock })
    const whole = await readFile(path, 'utf8')
    const { key } = JSON.parse(whole).keys[0]
    for (let at = 0; at < key.length - 1; at += 1) {
      const changed = key.slice(0, at) + (key[at] === 'A' ? 'B' : 'A') + key.slice(at + 1)
      await writeFile(path, whole.replace(key, changed))
      const error = await openLocalRootKeys({ path, clock }).catch((one) => one)
      expect(error.name).toBe('KeyFileError')
      expect(error.message).not.toContain(changed)
    }
  })

  test.each([
    ['another format', (file: { format: string }) => ({ ...file, format: 'x' })],
    ['no list', (file: object) => ({ ...file, keys: {} })],
    ['no key', (file: object) => ({ ...file, keys: [] })],
    ['a null key', (file: object) => ({ ...file, keys: [null] })],
    ['an id that is no UUID', (file: { keys: object[] }) => ({ ...file, keys: [{ ...file.keys[0], id: 'main' }] })],
    ['no time', (file: { keys: object[] }) => ({ ...file, keys: [{ ...file.keys[0], created_at: 'today' }] })],
    ['a short key', (file: { keys: object[] }) => ({ ...file, keys: [{ ...file.keys[0], key: 'AAAA' }] })],
    ['no key bytes', (file: { keys: object[] }) => ({ ...file, keys: [{ ...file.keys[0], key: null }] })],
  ] as [string, (file: never) => object][])('in a file with %s are refused', async (_, change) => {
    await openLocalRootKeys({ path, clock })
    await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')) as never)))
    await expect(openLocalRootKeys({ path, clock })).rejects.toThrow('is damaged')
  })
})
