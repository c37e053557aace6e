import { createSecretKey, randomBytes, randomUUID } from 'node:crypto'
import type { Clock } from '../kernel/clock.ts'
import { isUuid } from '../kernel/ids.ts'
import { type EnvelopeKey, frameKeyId, open, type Place, seal } from './envelope.ts'
import { findOrCreateKeyFile, garbled, KeyFileError, keyCheck, parseKeyFile, replaceKeyFile } from './key-file.ts'
import type { DataKeyName, KeyWrapper } from './key-wrapper.ts'

/*
 * {"format": "alter-root-keys.v1",
 *  "keys": [{"id": UUID, "created_at": RFC 3339, "key": base64 of 32 bytes, "check": 16 hex characters}, …]}
 *
 * Oldest first. The last key wraps; every key unwraps.
 */

const FORMAT = 'alter-root-keys.v1'
const KEY_BYTES = 32

type RootKeyEntry = { id: string; created_at: string; key: string; check: string }

/** Root keys in a file. The key bytes stay in this closure. Their fingerprints are their ids, oldest first. */
export type LocalRootKeys = KeyWrapper & {
  /** Adds a key that wraps from now on. The old ones stay, so nothing closes; rewrap what they have wrapped next. */
  rotate(): Promise<{ keyId: string }>
}

type Deps = { path: string; clock: Pick<Clock, 'now'> }

/** Opens the root key file, making it with one fresh key when there is none. Throws `KeyFileError`. */
export async function openLocalRootKeys({ path, clock }: Deps): Promise<LocalRootKeys> {
  const content = await findOrCreateKeyFile(path, () => render([newEntry(clock)]))
  let entries = parseEntries(path, content)
  let keys = importKeys(entries)

  const newest = () => keys[keys.length - 1]!

  return {
    fingerprints: () => keys.map((key) => key.id),

    async rotate() {
      const entry = newEntry(clock)
      const next = [...entries, entry]
      // The file first: a data key wrapped by a root key that no disk holds would be lost.
      await replaceKeyFile(path, render(next))
      entries = next
      keys = importKeys(next)
      return { keyId: entry.id }
    },

    async wrap(name, dataKey) {
      return seal(newest(), placeOf(name), dataKey)
    },

    async unwrap(name, wrapped) {
      const id = frameKeyId(wrapped)
      const key = keys.find((candidate) => candidate.id === id)
      if (key === undefined) {
        throw new KeyFileError(
          `The stored key ${name.dataKeyId} is wrapped by root key ${id}, which "${path}" does not hold. Is this the key file of another installation?`,
        )
      }
      return open(key, placeOf(name), wrapped)
    },

    isCurrent: (wrapped) => frameKeyId(wrapped) === newest().id,
  }
}

function placeOf({ appId, dataKeyId }: DataKeyName): Place {
  return { appId, table: 'data_keys', column: 'wrapped_key', rowId: dataKeyId }
}

function newEntry(clock: Pick<Clock, 'now'>): RootKeyEntry {
  const id = randomUUID()
  const bytes = randomBytes(KEY_BYTES)
  const created_at = new Date(clock.now()).toISOString()
  return { id, created_at, key: bytes.toString('base64'), check: keyCheck(id, bytes) }
}

function render(keys: RootKeyEntry[]): string {
  return `${JSON.stringify({ format: FORMAT, keys }, null, 2)}\n`
}

function parseEntries(path: string, content: string): RootKeyEntry[] {
  const { keys } = parseKeyFile(path, content, FORMAT)
  if (!Array.isArray(keys) || keys.length === 0) throw garbled(path, '"keys" holds no key')
  return keys.map((value: unknown, index) => {
    const entry = (value ?? {}) as Partial<Record<keyof RootKeyEntry, unknown>>
    const { id, created_at, key, check } = entry
    if (typeof id !== 'string' || !isUuid(id)) throw garbled(path, `"id" of key ${index + 1} is not a UUID`)
    if (typeof created_at !== 'string' || Number.isNaN(Date.parse(created_at))) {
      throw garbled(path, `"created_at" of key ${id} is not a time`)
    }
    if (typeof key !== 'string') throw garbled(path, `key ${id} has no "key"`)
    const bytes = Buffer.from(key, 'base64')
    if (bytes.length !== KEY_BYTES) throw garbled(path, `key ${id} has ${bytes.length} bytes and not ${KEY_BYTES}`)
    // Other spellings of the same bytes are no keys of ours.
    if (bytes.toString('base64') !== key || check !== keyCheck(id, bytes))
      throw garbled(path, `"check" of key ${id} does not fit its bytes`)
    return { id, created_at, key, check }
  })
}

function importKeys(entries: RootKeyEntry[]): EnvelopeKey[] {
  return entries.map(({ id, key }) => ({ id, key: createSecretKey(Buffer.from(key, 'base64')) }))
}
