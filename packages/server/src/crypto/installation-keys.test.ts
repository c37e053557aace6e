import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { createInstallationKeys } from './installation-keys.ts'
import { createKeyRows } from './installation-keys-fixture.ts'
import { createRewrapDataKeys } from './rewrap-data-keys.ts'
import { type LocalRootKeys, openLocalRootKeys } from './root-key.ts'

const INSTALLATION = '0190a1b2-0000-7000-8000-000000000001'
const clock = { now: () => Date.UTC(2026, 0, 1) }
const make = () => randomBytes(32)

let folder: string
let path: string
let root: LocalRootKeys
let database: ReturnType<typeof createKeyRows>

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'installation-keys-'))
  path = join(folder, 'root-keys.json')
  root = await openLocalRootKeys({ path, clock })
  database = createKeyRows(INSTALLATION)
})
afterEach(() => rm(folder, { recursive: true }))

const keysOf = (wrapper = root, installationId = INSTALLATION, store = database) =>
  createInstallationKeys({ wrapper, installationId, store })

describe('a key of the installation', () => {
  test('is made once, the same for every process, and stored only wrapped', async () => {
    const key = await keysOf()('key_digests').open(make)
    expect(key).toHaveLength(32)
    const again = await openLocalRootKeys({ path, clock })
    expect(await keysOf(again)('key_digests').open(make)).toEqual(key)
    expect(await keysOf()('approval_links').open(make)).not.toEqual(key)
    for (const wrapped of database.rows.values()) expect(wrapped.includes(key)).toBe(false)
  })

  test('of two processes that start together is that of one', async () => {
    const [ours, theirs] = await Promise.all([keysOf()('key_digests').open(make), keysOf()('key_digests').open(make)])
    expect(ours).toEqual(theirs)
    expect(database.rows.size).toBe(1)
  })

  test('opens under its own name and in its own installation only', async () => {
    await keysOf()('key_digests').open(make)
    const elsewhere = keysOf(root, '0190a1b2-0000-7000-8000-000000000009')
    await expect(elsewhere('key_digests').open(make)).rejects.toMatchObject({ reason: 'not_authentic' })
    database.rows.set('approval_links', database.rows.get('key_digests')!)
    await expect(keysOf()('approval_links').open(make)).rejects.toMatchObject({ reason: 'not_authentic' })
  })

  test('is not made anew under root keys of another installation', async () => {
    await keysOf()('key_digests').open(make)
    const before = database.rows.get('key_digests')
    const strange = await openLocalRootKeys({ path: join(folder, 'other.json'), clock })
    await expect(keysOf(strange)('key_digests').open(make)).rejects.toThrow('another installation')
    expect(database.rows.get('key_digests')).toBe(before)
  })

  test('is changed on top of what another process has made of it meanwhile', async () => {
    const append = (letter: string) => (present: Buffer) => Buffer.concat([present, Buffer.from(letter)])
    await keysOf()('audit_signing').open(() => Buffer.from('a'))
    let other: Promise<void> | undefined
    const racing = {
      ...database,
      async replaceWrapped(...input: Parameters<typeof database.replaceWrapped>) {
        other ??= keysOf()('audit_signing').change(append('b'))
        await other
        return database.replaceWrapped(...input)
      },
    }
    await keysOf(root, INSTALLATION, racing)('audit_signing').change(append('c'))
    expect(String(await keysOf()('audit_signing').open(make))).toBe('abc')
  })

  test('that is not there cannot be changed', async () => {
    await expect(keysOf()('audit_signing').change((present) => present)).rejects.toThrow('no key "audit_signing"')
  })
})

describe('a rotation of the root key', () => {
  const names = ['approval_links', 'audit_signing', 'key_digests'] as const
  const rewrap = (replaceWrapped = database.replaceWrapped) =>
    createRewrapDataKeys({ wrapper: root, listDataKeys: database.listDataKeys, replaceWrapped })

  test('wraps the keys anew, after which the old root key can go; a crash on the way loses none', async () => {
    const made = await Promise.all(names.map((name) => keysOf()(name).open(make)))
    const opened = (wrapper = root) => Promise.all(names.map((name) => keysOf(wrapper)(name).open(make)))
    await root.rotate()
    let left = 1
    const dying = rewrap(async (...input) => {
      if (left-- === 0) throw new Error('the process died')
      return database.replaceWrapped(...input)
    })
    await expect(dying()).rejects.toThrow('died')
    expect(await opened(await openLocalRootKeys({ path, clock }))).toEqual(made)
    expect(await rewrap()()).toEqual({ rewrapped: 2, alreadyCurrent: 1, changedMeanwhile: 0 })
    expect(await opened()).toEqual(made)
    const file = JSON.parse(await readFile(path, 'utf8')) as { keys: unknown[] }
    await writeFile(path, JSON.stringify({ ...file, keys: file.keys.slice(1) }))
    expect(await opened(await openLocalRootKeys({ path, clock }))).toEqual(made)
  })
})
