import { createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { mkdir } from 'node:fs/promises'
import type { Config } from './config.ts'
import { type AuditSigningKeys, openAuditSigningKeys } from './crypto/audit-signing-key.ts'
import { KeyFileError } from './crypto/key-file.ts'
import { createKeyring, type Keyring } from './crypto/keyring.ts'
import { openPepper } from './crypto/pepper.ts'
import { createRewrapDataKeys } from './crypto/rewrap-data-keys.ts'
import { openLocalRootKeys } from './crypto/root-key.ts'
import { createDataKeyStore } from './db/data-key-store.ts'
import type { Database } from './db/database.ts'
import {
  ensureInstallation,
  ensureWrappedLinkKey,
  maintainNoncePartitions,
  rememberKeyFile,
} from './db/installation-store.ts'
import type { Clock } from './kernel/clock.ts'
import type { Log } from './kernel/log.ts'
import { openDatabase } from './open-database.ts'
import type { Slice } from './slice.ts'

/** The database with the keys that belong to it. */
export type Installation = Slice &
  AsyncDisposable & {
    db: Database
    installationId: string
    keyDigest: (plainKey: string) => Buffer
    signingKeys: AuditSigningKeys
    /** The HMAC key of approval links. */
    linkKey: KeyObject
    keyring: Keyring
  }

const LINK_KEY_BYTES = 32

/** Opens what the configuration names and makes what is missing. Throws `KeyFileError` for keys of another installation. */
export async function openInstallation(
  config: Config,
  { log, clock, version }: { log: Log; clock: Clock; version: string },
): Promise<Installation> {
  if (config.database.dataDir !== undefined) await mkdir(config.database.dataDir, { recursive: true, mode: 0o700 })
  const rootKeys = await openLocalRootKeys({ path: config.keys.rootKeyFile, clock })
  const { keyDigest, fingerprint } = await openPepper({ path: config.keys.pepperFile })
  const signingKeys = await openAuditSigningKeys({ path: config.keys.auditSigningKeyFile, clock })
  await using opening = new AsyncDisposableStack()
  const { db, close } = await openDatabase(config.database, { log, version })
  opening.defer(close)
  const nonceSpace = () => db.unscoped((tx) => maintainNoncePartitions(tx, Math.floor(clock.now() / 1000)))
  const installationId = await db.unscoped(async (tx) => {
    assertSame(await rememberKeyFile(tx, 'root_key', rootKeys.keyIds()), config.keys.rootKeyFile)
    assertSame(await rememberKeyFile(tx, 'pepper', [fingerprint]), config.keys.pepperFile)
    return ensureInstallation(tx)
  })
  await nonceSpace()
  const linkKeyName = { appId: installationId, dataKeyId: installationId }
  const wrappedLinkKey = await rootKeys.wrap(linkKeyName, randomBytes(LINK_KEY_BYTES))
  const linkKey = createSecretKey(
    await rootKeys.unwrap(linkKeyName, await db.unscoped((tx) => ensureWrappedLinkKey(tx, wrappedLinkKey))),
  )
  const dataKeys = createDataKeyStore(db)
  const rewrapDataKeys = createRewrapDataKeys({ wrapper: rootKeys, ...dataKeys })
  opening.move()
  return {
    db,
    installationId,
    keyDigest,
    signingKeys,
    linkKey,
    keyring: createKeyring({ wrapper: rootKeys, clock, ...dataKeys }),
    start: async () => void (await rewrapDataKeys()),
    [Symbol.asyncDispose]: close,
    jobs: [{ name: 'nonce partitions', everyMs: 300_000, run: nonceSpace }],
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

function assertSame(state: 'same' | 'replaced', path: string): void {
  if (state === 'same') return
  throw new KeyFileError(
    `"${path}" is not the file that this database was written with. Put the old file back; a new one opens nothing.`,
  )
}
