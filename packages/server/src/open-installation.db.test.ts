import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { rotateRootKey } from './crypto/rotate-root-key.ts'
import { Secret } from './crypto/secret.ts'
import { startTransitService, TOKEN } from './crypto/transit-service-fixture.ts'
import { systemClock } from './kernel/clock.ts'
import { silentLog } from './kernel/log.ts'
import { type Installation, openInstallation } from './open-installation.ts'
import { createTestDatabase } from './testing/test-database.ts'
import { testConfig } from './testing/test-server.ts'

const server = { log: silentLog, clock: systemClock, version: '0.0.0-test' }
const KEY = 'alter_rk_abcdefghijklmnopqrstuv_iwpykn'

/** A database and a folder for the root keys; `open` opens the installation as a server does that starts. */
async function setUp() {
  await using stack = new AsyncDisposableStack()
  const database = stack.use(await createTestDatabase())
  const folder = await mkdtemp(join(tmpdir(), 'alter-vault-keys-'))
  stack.defer(() => rm(folder, { recursive: true }))
  const config = testConfig(folder, database)
  const path = join(folder, 'root-keys.json')
  const owned = stack.move()
  return {
    config,
    path,
    asOwner: database.asOwner,
    async open(rootKeys = config.rootKeys) {
      const installation = await openInstallation({ ...config, rootKeys }, server)
      await installation.start?.()
      return installation
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

/** What of an installation must not change. */
const secretsOf = ({ keyDigest, linkKey, signingKeys }: Installation) => [
  keyDigest(KEY).toString('hex'),
  linkKey.export().toString('hex'),
  signingKeys.keyId(),
]

test('the keys of an installation are made once, for every process, and are in the database only wrapped', async () => {
  await using t = await setUp()
  const [one, other] = await Promise.all([t.open(), t.open()])
  await using _ = one
  await using __ = other
  expect(secretsOf(one)).toEqual(secretsOf(other))
  await using again = await t.open()
  expect(secretsOf(again)).toEqual(secretsOf(one))
  const rows = await t.asOwner<{ name: string; wrapped: Buffer }>(
    'select name, wrapped from installation_keys order by 1',
  )
  expect(rows.map(({ name }) => name)).toEqual(['approval_links', 'audit_signing', 'key_digests'])
  for (const { wrapped } of rows) expect(wrapped.includes(one.linkKey.export())).toBe(false)
})

test('a database is refused under root keys that it was not written with, and is left as it is', async () => {
  await using t = await setUp()
  await using first = await t.open()
  const before = await t.asOwner('select * from installation_keys order by name')
  const other = { kind: 'file', path: `${t.path}.other` } as const
  await expect(t.open(other)).rejects.toThrow('is not the file that this database was written with')
  await using service = await startTransitService()
  const transit = {
    kind: 'vault_transit',
    address: service.address,
    mount: 'transit',
    key: 'alter-vault',
    token: new Secret(TOKEN),
  } as const
  await expect(t.open(transit)).rejects.toThrow('is not the key that this database was written with')
  expect(await t.asOwner('select * from installation_keys order by name')).toEqual(before)
  await using again = await t.open()
  expect(secretsOf(again)).toEqual(secretsOf(first))
})

test('after a rotation of the root key and a start, the old root key opens nothing that is needed', async () => {
  await using t = await setUp()
  await using first = await t.open()
  const place = { table: 'credentials', column: 'sealed', rowId: 'r' }
  const appId = first.installationId
  const frame = await first.keyring.sealFor(appId, place, Buffer.from('a credential'))
  await rotateRootKey(t.config.rootKeys, systemClock)
  await using rotated = await t.open()
  expect(secretsOf(rotated)).toEqual(secretsOf(first))
  const file = JSON.parse(await readFile(t.path, 'utf8')) as { keys: unknown[] }
  await writeFile(t.path, JSON.stringify({ ...file, keys: file.keys.slice(1) }))
  await using later = await t.open()
  expect(secretsOf(later)).toEqual(secretsOf(first))
  expect((await later.keyring.openFor(appId, place, frame)).toString()).toBe('a credential')
})

test('a rotated signing key is the one of every later start', async () => {
  await using t = await setUp()
  await using first = await t.open()
  const { keyId } = await first.signingKeys.rotate()
  await using again = await t.open()
  expect(again.signingKeys.keyId()).toBe(keyId)
  expect(again.signingKeys.publicJwks().keys).toHaveLength(2)
})

test('an installation with its root keys in a Transit engine has no key outside of it', async () => {
  await using t = await setUp()
  await using service = await startTransitService()
  const { address } = service
  const transit = {
    kind: 'vault_transit',
    address,
    mount: 'transit',
    key: 'alter-vault',
    token: new Secret(TOKEN),
  } as const
  await using first = await t.open(transit)
  service.rotate()
  await using again = await t.open(transit)
  expect(secretsOf(again)).toEqual(secretsOf(first))
  const rows = await t.asOwner<{ text: string }>("select convert_from(wrapped, 'utf8') as text from installation_keys")
  for (const { text } of rows) expect(text).toMatch(/^vault:v2:/)
  await expect(readFile(t.path)).rejects.toThrow('ENOENT')
  service.isSealed = true
  await expect(t.open(transit)).rejects.toThrow('Unseal it')
})
