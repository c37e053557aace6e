import { createSecretKey, randomBytes } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import { newId } from '../kernel/ids.ts'
import { EnvelopeError, type EnvelopeKey, frameKeyId, open, type Place, seal } from './envelope.ts'
import type { KeyWrapper } from './key-wrapper.ts'
import { Secret } from './secret.ts'

/** A data key as stored. `createdAtMs` comes from the database's clock; among equals the greater id is newer. */
export type StoredDataKey = { dataKeyId: string; wrapped: Buffer; createdAtMs: number }

/** The place of a ciphertext inside its app. */
export type AppPlace = Omit<Place, 'appId'>

/** Seals and opens with the data keys of one app: the newest seals, every one opens. */
export type Keyring = {
  sealFor(appId: string, place: AppPlace, plaintext: Uint8Array): Promise<Buffer>
  /** The caller wipes the answer (`fill(0)`) when it is done with it. Throws `EnvelopeError`. */
  openFor(appId: string, place: AppPlace, frame: Buffer): Promise<Buffer>
  /** As `openFor`, for UTF-8 text; the bytes are wiped before it returns. */
  openSecretFor(appId: string, place: AppPlace, frame: Buffer): Promise<Secret>
  /** Forgets the unwrapped keys of one app, or of all; they are loaded again when needed. */
  forget(appId?: string): void
}

type Deps = {
  wrapper: Pick<KeyWrapper, 'wrap' | 'unwrap'>
  /** Every data key of the app, in any order. Empty for a new app. */
  loadDataKeys(appId: string): Promise<StoredDataKey[]>
  /** Stores a new data key and commits. Answers the stored row, `createdAtMs` from the database. */
  createDataKey(appId: string, dataKey: { dataKeyId: string; wrapped: Buffer }): Promise<StoredDataKey>
  clock: Clock
  /** Apps whose unwrapped keys are kept; the least recently used goes first. */
  maxApps?: number
  /** Frames that this process seals with one key before it makes the next one. */
  maxSealsPerKey?: number
}

const DATA_KEY_BYTES = 32
const DEFAULT_MAX_APPS = 1_000
/** GCM with random nonces allows 2^32 frames a key; this leaves room for sixteen processes that share it. */
const DEFAULT_MAX_SEALS_PER_KEY = 2 ** 28
/** How long a process may go on sealing with a key that another one has replaced. */
const RELOAD_AFTER_MS = 5 * 60_000
/** A frame that names an unknown key makes at most one reload of its app in this time. */
const UNKNOWN_KEY_RELOAD_MS = 1_000

type AppKeys = { byId: Map<string, EnvelopeKey>; newest: EnvelopeKey | undefined; seals: number; loadedAt: number }

/** Keeps unwrapped data keys as `KeyObject`s for a bounded number of apps. Plaintext is never kept. */
export function createKeyring(deps: Deps): Keyring {
  const { wrapper, loadDataKeys, createDataKey, clock } = deps
  const maxApps = deps.maxApps ?? DEFAULT_MAX_APPS
  const maxSealsPerKey = deps.maxSealsPerKey ?? DEFAULT_MAX_SEALS_PER_KEY
  const apps = new Map<string, AppKeys>()
  const loading = new Map<string, Promise<AppKeys>>()
  const rotating = new Map<string, Promise<void>>()

  async function load(appId: string): Promise<AppKeys> {
    const loadedAt = clock.monotonic()
    const stored = await loadDataKeys(appId)
    stored.sort((a, b) => a.createdAtMs - b.createdAtMs || (a.dataKeyId < b.dataKeyId ? -1 : 1))
    const known = apps.get(appId)
    const byId = new Map<string, EnvelopeKey>()
    for (const { dataKeyId, wrapped } of stored) {
      byId.set(dataKeyId, known?.byId.get(dataKeyId) ?? (await unwrap(appId, dataKeyId, wrapped)))
    }
    const last = stored[stored.length - 1]
    const newest = last === undefined ? undefined : byId.get(last.dataKeyId)
    const seals = newest !== undefined && newest === known?.newest ? known.seals : 0
    const keys = { byId, newest, seals, loadedAt }
    remember(appId, keys)
    return keys
  }

  async function unwrap(appId: string, dataKeyId: string, wrapped: Buffer): Promise<EnvelopeKey> {
    const bytes = await wrapper.unwrap({ appId, dataKeyId }, wrapped)
    try {
      return { id: dataKeyId, key: createSecretKey(bytes) }
    } finally {
      bytes.fill(0)
    }
  }

  function remember(appId: string, keys: AppKeys): void {
    apps.delete(appId)
    apps.set(appId, keys)
    if (apps.size > maxApps) apps.delete(apps.keys().next().value!)
  }

  /** One load per app at a time; callers that come meanwhile share it. */
  function loadOnce(appId: string): Promise<AppKeys> {
    let pending = loading.get(appId)
    if (pending === undefined) {
      pending = load(appId).finally(() => loading.delete(appId))
      loading.set(appId, pending)
    }
    return pending
  }

  function cached(appId: string): AppKeys | undefined {
    const keys = apps.get(appId)
    if (keys === undefined) return undefined
    apps.delete(appId)
    apps.set(appId, keys)
    return keys
  }

  async function keysForSealing(appId: string): Promise<{ keys: AppKeys; newest: EnvelopeKey }> {
    let keys = cached(appId)
    if (keys === undefined || clock.monotonic() - keys.loadedAt >= RELOAD_AFTER_MS) keys = await loadOnce(appId)
    if (keys.newest === undefined || keys.seals >= maxSealsPerKey) {
      await rotateOnce(appId)
      keys = cached(appId) ?? (await loadOnce(appId))
    }
    if (keys.newest === undefined) throw new Error(`The data key just made for app ${appId} cannot be read back.`)
    return { keys, newest: keys.newest }
  }

  async function keyForOpening(appId: string, keyId: string): Promise<EnvelopeKey> {
    const known = cached(appId)
    const key = known?.byId.get(keyId)
    if (key !== undefined) return key
    const mayReload = known === undefined || clock.monotonic() - known.loadedAt >= UNKNOWN_KEY_RELOAD_MS
    const found = mayReload ? (await loadOnce(appId)).byId.get(keyId) : undefined
    if (found === undefined) throw new EnvelopeError('wrong_key', `App ${appId} has no data key ${keyId}.`)
    return found
  }

  /** Makes a new data key that seals from now on; old frames stay open. Other processes follow within five minutes. */
  async function rotate(appId: string): Promise<void> {
    const dataKeyId = newId(clock.now())
    const bytes = randomBytes(DATA_KEY_BYTES)
    try {
      const wrapped = await wrapper.wrap({ appId, dataKeyId }, bytes)
      await createDataKey(appId, { dataKeyId, wrapped })
    } finally {
      bytes.fill(0)
    }
    // A load that began before the commit may lack the new key: wait for it, then read again.
    await loading.get(appId)
    await loadOnce(appId)
  }

  function rotateOnce(appId: string): Promise<void> {
    let pending = rotating.get(appId)
    if (pending === undefined) {
      pending = rotate(appId).finally(() => rotating.delete(appId))
      rotating.set(appId, pending)
    }
    return pending
  }

  async function openFor(appId: string, place: AppPlace, frame: Buffer): Promise<Buffer> {
    return open(await keyForOpening(appId, frameKeyId(frame)), { appId, ...place }, frame)
  }

  return {
    async sealFor(appId, place, plaintext) {
      const { keys, newest } = await keysForSealing(appId)
      keys.seals += 1
      return seal(newest, { appId, ...place }, plaintext)
    },

    openFor,

    async openSecretFor(appId, place, frame) {
      const plaintext = await openFor(appId, place, frame)
      try {
        return new Secret(plaintext.toString('utf8'))
      } finally {
        plaintext.fill(0)
      }
    },

    forget(appId) {
      if (appId === undefined) apps.clear()
      else apps.delete(appId)
    },
  }
}
