import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import type { Config } from './config.ts'
import { type AuditSigningKeys, openAuditSigningKeys } from './crypto/audit-signing-key.ts'
import { createInstallationKeys } from './crypto/installation-keys.ts'
import { RootKeyError } from './crypto/key-wrapper.ts'
import { createKeyring, type Keyring } from './crypto/keyring.ts'
import { createKeyDigest, type KeyDigest } from './crypto/pepper.ts'
import { createRewrapDataKeys } from './crypto/rewrap-data-keys.ts'
import { openRootKeys, type RootKeyPlace } from './crypto/root-keys.ts'
import { createDataKeyStore } from './db/data-key-store.ts'
import type { Database } from './db/database.ts'
import { createInstallationKeyStore, ensureInstallation, rememberRootKeys } from './db/installation-store.ts'
import type { Clock } from './kernel/clock.ts'
import type { Log } from './kernel/log.ts'
import { openDatabase } from './open-database.ts'
import type { Slice } from './slice.ts'

/** The database with the keys that belong to it. */
export type Installation = Slice &
  AsyncDisposable & {
    db: Database
    installationId: string
    keyDigest: KeyDigest
    signingKeys: AuditSigningKeys
    /** The HMAC key of approval links. */
    linkKey: KeyObject
    keyring: Keyring
  }

const SECRET_BYTES = 32

/**
 * Opens what the configuration names and makes what is missing. Throws `KeyFileError` or `RootKeyError` for root keys
 * that cannot be used, or are those of another installation.
 */
export async function openInstallation(
  config: Config,
  { log, clock, version }: { log: Log; clock: Clock; version: string },
): Promise<Installation> {
  if (config.database.dataDir !== undefined) await mkdir(config.database.dataDir, { recursive: true, mode: 0o700 })
  const wrapper = await openRootKeys(config.rootKeys, { clock })
  await using opening = new AsyncDisposableStack()
  const { db, close } = await openDatabase(config.database, { log, version })
  opening.defer(close)
  const installationId = await db.unscoped(async (tx) => {
    if ((await rememberRootKeys(tx, wrapper.fingerprints())) === 'replaced') throw strangeRootKeys(config.rootKeys)
    return ensureInstallation(tx)
  })
  const store = createInstallationKeyStore(db, installationId)
  const keyOf = createInstallationKeys({ wrapper, installationId, store })
  const makeSecret = () => randomBytes(SECRET_BYTES)
  const linkKey = createSecretKey(await keyOf('approval_links').open(makeSecret))
  const keyDigest = createKeyDigest(await keyOf('key_digests').open(makeSecret))
  const signingKeys = await openAuditSigningKeys({ key: keyOf('audit_signing'), clock })
  const dataKeys = createDataKeyStore(db)
  opening.move()
  return {
    db,
    installationId,
    keyDigest,
    signingKeys,
    linkKey,
    keyring: createKeyring({ wrapper, clock, ...dataKeys }),
    async start() {
      for (const keys of [store, dataKeys]) await createRewrapDataKeys({ wrapper, ...keys })()
    },
    [Symbol.asyncDispose]: close,
    ready: [
      { name: 'store', check: () => db.unscoped(async (tx) => (await ensureInstallation(tx)) === installationId) },
    ],
    metrics: [
      {
        name: 'alter_database_sessions',
        help: 'Sessions of the database pool, and transactions that wait for one.',
        label: 'state',
        read: db.pool,
      },
    ],
  }
}

function strangeRootKeys(place: RootKeyPlace): RootKeyError {
  const what = place.kind === 'file' ? `"${place.path}" is not the file` : `"${place.key}" is not the key`
  return new RootKeyError(`${what} that this database was written with. Use the old one; a new one opens nothing.`)
}
