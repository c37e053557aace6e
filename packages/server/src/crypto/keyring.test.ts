import { createSecretKey, randomBytes } from 'node:crypto'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { frameKeyId, open, seal } from './envelope.ts'
import type { DataKeyName, KeyWrapper } from './key-wrapper.ts'
import { createKeyring, type StoredDataKey } from './keyring.ts'
import { createRewrapDataKeys } from './rewrap-data-keys.ts'

const APP = '0190a1b2-0000-7000-8000-000000000001'
const OTHER_APP = '0190a1b2-0000-7000-8000-000000000002'
const place = { table: 'credentials', column: 'sealed_value', rowId: 'row-1' }

/** Root keys in memory with the behavior of the file's: the newest wraps, all unwrap. */
function memoryWrapper() {
  const roots = [{ id: '00000000-0000-4000-8000-00000000000a', key: createSecretKey(randomBytes(32)) }]
  const placeOf = ({ appId, dataKeyId }: DataKeyName) => ({ appId, table: 'k', column: 'k', rowId: dataKeyId })
  const wrapper: KeyWrapper = {
    wrap: vi.fn(async (name, bytes) => seal(roots.at(-1)!, placeOf(name), bytes)),
    unwrap: vi.fn(async (name, wrapped) =>
      open(roots.find(({ id }) => id === frameKeyId(wrapped))!, placeOf(name), wrapped),
    ),
    isCurrent: (wrapped) => frameKeyId(wrapped) === roots.at(-1)!.id,
    fingerprints: () => roots.map(({ id }) => id),
  }
  return {
    wrapper,
    rotate: () =>
      void roots.push({ id: '00000000-0000-4000-8000-00000000000b', key: createSecretKey(randomBytes(32)) }),
    retireOldest: () => void roots.shift(),
  }
}

let rows: (StoredDataKey & { appId: string })[]
let time: { now: number }
let root: ReturnType<typeof memoryWrapper>
let loads: number

beforeEach(() => {
  rows = []
  time = { now: 1_000_000 }
  root = memoryWrapper()
  loads = 0
})

function process(options: { maxApps?: number; maxSealsPerKey?: number } = {}) {
  return createKeyring({
    wrapper: root.wrapper,
    clock: { now: () => time.now, monotonic: () => time.now },
    async loadDataKeys(appId) {
      loads += 1
      return rows.filter((row) => row.appId === appId).reverse()
    },
    async createDataKey(appId, { dataKeyId, wrapped }) {
      time.now += 1
      rows.push({ appId, dataKeyId, wrapped, createdAtMs: time.now })
      return rows.at(-1)!
    },
    ...options,
  })
}

/** Another process makes a new data key of the app and seals with it. Returns its id. */
const renewDataKey = async () =>
  frameKeyId(await process({ maxSealsPerKey: 0 }).sealFor(APP, place, Buffer.from('renewed')))

describe('a keyring', () => {
  test('makes the first data key of an app when something is sealed, and opens it again in another process', async () => {
    const frame = await process().sealFor(APP, place, Buffer.from('secret'))
    expect(rows).toHaveLength(1)
    expect((await process().openFor(APP, place, frame)).toString()).toBe('secret')
  })

  test('makes one data key for many that seal at once', async () => {
    const keyring = process()
    await Promise.all(Array.from({ length: 20 }, () => keyring.sealFor(APP, place, Buffer.from('x'))))
    expect(rows).toHaveLength(1)
  })

  test('unwraps a data key once', async () => {
    const keyring = process()
    const frame = await keyring.sealFor(APP, place, Buffer.from('x'))
    for (let n = 0; n < 5; n += 1) await keyring.openFor(APP, place, frame)
    expect(root.wrapper.unwrap).toHaveBeenCalledTimes(1)
  })

  test('opens nothing of another app, another place or another row', async () => {
    const keyring = process()
    const frame = await keyring.sealFor(APP, place, Buffer.from('x'))
    await keyring.sealFor(OTHER_APP, place, Buffer.from('x'))
    await expect(keyring.openFor(OTHER_APP, place, frame)).rejects.toMatchObject({ reason: 'wrong_key' })
    await expect(keyring.openFor(APP, { ...place, rowId: 'row-2' }, frame)).rejects.toMatchObject({
      reason: 'not_authentic',
    })
  })

  test('opens text as a secret', async () => {
    const keyring = process()
    const frame = await keyring.sealFor(APP, place, Buffer.from('grüße'))
    const secret = await keyring.openSecretFor(APP, place, frame)
    expect([String(secret), secret.reveal()]).toEqual(['[secret]', 'grüße'])
  })

  test('seals with the newest data key and opens with every one', async () => {
    const keyring = process({ maxSealsPerKey: 1 })
    const before = await keyring.sealFor(APP, place, Buffer.from('before'))
    const after = await keyring.sealFor(APP, place, Buffer.from('after'))
    expect(rows.map(({ dataKeyId }) => dataKeyId)).toEqual([frameKeyId(before), frameKeyId(after)])
    expect(frameKeyId(before)).not.toBe(frameKeyId(after))
    for (const one of [keyring, process()]) {
      expect((await one.openFor(APP, place, before)).toString()).toBe('before')
      expect((await one.openFor(APP, place, after)).toString()).toBe('after')
    }
  })

  test('opens at once what another process sealed with a newer key', async () => {
    const ours = process()
    const theirs = process({ maxSealsPerKey: 0 })
    await ours.sealFor(APP, place, Buffer.from('x'))
    time.now += 1_000
    const frame = await theirs.sealFor(APP, place, Buffer.from('theirs'))
    expect((await ours.openFor(APP, place, frame)).toString()).toBe('theirs')
  })

  test('seals with a newer key of another process after five minutes at the latest', async () => {
    const ours = process()
    await ours.sealFor(APP, place, Buffer.from('x'))
    const dataKeyId = await renewDataKey()
    expect(frameKeyId(await ours.sealFor(APP, place, Buffer.from('x')))).not.toBe(dataKeyId)
    time.now += 5 * 60_000
    expect(frameKeyId(await ours.sealFor(APP, place, Buffer.from('x')))).toBe(dataKeyId)
  })

  test('reads the store at most once a second for frames that name no key of the app', async () => {
    const keyring = process()
    await keyring.sealFor(APP, place, Buffer.from('x'))
    const stranger = seal(
      { id: OTHER_APP, key: createSecretKey(randomBytes(32)) },
      { appId: APP, ...place },
      Buffer.alloc(1),
    )
    time.now += 1_000
    loads = 0
    for (let n = 0; n < 10; n += 1) {
      await expect(keyring.openFor(APP, place, stranger)).rejects.toMatchObject({ reason: 'wrong_key' })
    }
    expect(loads).toBe(1)
  })

  test('takes a new data key before one has sealed too often', async () => {
    const keyring = process({ maxSealsPerKey: 3 })
    const ids: string[] = []
    for (let n = 0; n < 7; n += 1) ids.push(frameKeyId(await keyring.sealFor(APP, place, Buffer.from('x'))))
    expect(rows).toHaveLength(3)
    expect(ids.map((id) => rows.findIndex(({ dataKeyId }) => dataKeyId === id))).toEqual([0, 0, 0, 1, 1, 1, 2])
  })

  test('counts the frames of a key across reloads', async () => {
    const keyring = process({ maxSealsPerKey: 3 })
    for (let n = 0; n < 4; n += 1) {
      await keyring.sealFor(APP, place, Buffer.from('x'))
      time.now += 5 * 60_000
    }
    expect(rows).toHaveLength(2)
  })

  test('keeps the keys of a bounded number of apps, the least recently used go', async () => {
    const keyring = process({ maxApps: 2 })
    const third = '0190a1b2-0000-7000-8000-000000000003'
    for (const app of [APP, OTHER_APP, APP, third]) await keyring.sealFor(app, place, Buffer.from('x'))
    loads = 0
    await keyring.sealFor(APP, place, Buffer.from('x'))
    await keyring.sealFor(third, place, Buffer.from('x'))
    expect(loads).toBe(0)
    await keyring.sealFor(OTHER_APP, place, Buffer.from('x'))
    expect(loads).toBe(1)
  })

  test('forgets on demand', async () => {
    const keyring = process()
    await keyring.sealFor(APP, place, Buffer.from('x'))
    keyring.forget(APP)
    loads = 0
    await keyring.sealFor(APP, place, Buffer.from('x'))
    keyring.forget()
    await keyring.sealFor(APP, place, Buffer.from('x'))
    expect(loads).toBe(2)
  })

  test('does not remember a store that failed', async () => {
    let fails = true
    const keyring = createKeyring({
      wrapper: root.wrapper,
      clock: { now: () => 0, monotonic: () => 0 },
      async loadDataKeys() {
        if (fails) throw new Error('database away')
        return rows
      },
      async createDataKey(appId, { dataKeyId, wrapped }) {
        rows.push({ appId, dataKeyId, wrapped, createdAtMs: 1 })
        return rows.at(-1)!
      },
    })
    await expect(keyring.sealFor(APP, place, Buffer.from('x'))).rejects.toThrow('database away')
    fails = false
    await expect(keyring.sealFor(APP, place, Buffer.from('x'))).resolves.toBeInstanceOf(Buffer)
  })
})

describe('rewrapping', () => {
  const rewrap = (replaceWrapped: Parameters<typeof createRewrapDataKeys>[0]['replaceWrapped'], pageSize = 2) =>
    createRewrapDataKeys({
      wrapper: root.wrapper,
      async listDataKeys(after) {
        const from = after === undefined ? 0 : rows.findIndex(({ dataKeyId }) => dataKeyId === after.dataKeyId) + 1
        return rows.slice(from, from + pageSize)
      },
      replaceWrapped,
    })

  async function replace(name: DataKeyName, previous: Buffer, next: Buffer): Promise<boolean> {
    const row = rows.find(({ appId, dataKeyId }) => appId === name.appId && dataKeyId === name.dataKeyId)
    if (row === undefined || !row.wrapped.equals(previous)) return false
    row.wrapped = next
    return true
  }

  test('moves every data key to the new root key, so that the old one can go', async () => {
    const frames: Buffer[] = []
    for (let n = 0; n < 5; n += 1) {
      frames.push(await process().sealFor(APP, place, Buffer.from(`secret ${n}`)))
      await renewDataKey()
    }
    root.rotate()
    await renewDataKey()
    expect(await rewrap(replace)()).toEqual({ rewrapped: 6, alreadyCurrent: 1, changedMeanwhile: 0 })
    expect(await rewrap(replace)()).toEqual({ rewrapped: 0, alreadyCurrent: 7, changedMeanwhile: 0 })
    root.retireOldest()
    const keyring = process()
    const opened = await Promise.all(frames.map((frame) => keyring.openFor(APP, place, frame)))
    expect(opened.map(String)).toEqual(['secret 0', 'secret 1', 'secret 2', 'secret 3', 'secret 4'])
  })

  test('leaves a data key that another process rewrapped meanwhile', async () => {
    await process().sealFor(APP, place, Buffer.from('x'))
    root.rotate()
    expect(await rewrap(async () => false)()).toEqual({ rewrapped: 0, alreadyCurrent: 0, changedMeanwhile: 1 })
  })
})
