import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { createInstallationKeys } from './installation-keys.ts'
import { createKeyRows } from './installation-keys-fixture.ts'
import { createRewrapDataKeys } from './rewrap-data-keys.ts'
import { Secret } from './secret.ts'
import { openTransitRootKeys } from './transit-root-keys.ts'
import { startTransitService, TOKEN, type TransitService } from './transit-service-fixture.ts'

const name = { appId: '0190a1b2-0000-7000-8000-000000000001', dataKeyId: '0190a1b2-0000-7000-8000-000000000002' }

const open = (service: TransitService, over: Partial<Parameters<typeof openTransitRootKeys>[0]> = {}) =>
  openTransitRootKeys({
    address: service.address,
    mount: 'transit',
    key: 'alter-vault',
    token: new Secret(TOKEN),
    ...over,
  })

/** What an operator reads when the service cannot be used at the start, and what a caller gets later. */
async function refusals(service: TransitService, breakIt: () => void): Promise<[start: string, later: string]> {
  const keys = await open(service, { timeoutMs: 250 })
  const wrapped = await keys.wrap(name, randomBytes(32))
  breakIt()
  const start = await open(service, { timeoutMs: 250 }).catch((error: Error) => `${error.name}: ${error.message}`)
  const later = await keys.unwrap(name, wrapped).catch((error: { code: string }) => error.code)
  await expect(keys.wrap(name, randomBytes(32))).rejects.toMatchObject({ code: 'service_unavailable' })
  return [String(start), String(later)]
}

describe('root keys in a Transit engine', () => {
  test('wrap and unwrap a key under its own name only, and send no token elsewhere', async () => {
    await using service = await startTransitService()
    const keys = await open(service)
    const dataKey = randomBytes(32)
    const wrapped = await keys.wrap(name, dataKey)
    expect(String(wrapped)).toMatch(/^vault:v1:/)
    expect(await keys.unwrap(name, wrapped)).toEqual(dataKey)
    const again = await open(service)
    expect(await again.unwrap(name, wrapped)).toEqual(dataKey)
    for (const other of [{ appId: 'x' }, { dataKeyId: 'x' }, { appId: `${name.appId}\n`, dataKeyId: name.dataKeyId }]) {
      await expect(keys.unwrap({ ...name, ...other }, wrapped)).rejects.toThrow('another installation')
    }
    expect(keys.fingerprints()).toEqual(['vault_transit:transit/alter-vault'])
    expect(new Set(service.calls)).toEqual(new Set(['encrypt alter-vault', 'decrypt alter-vault']))
  })

  test('go on over a rotation in the service, and what was wrapped before is wrapped anew at the next start', async () => {
    await using service = await startTransitService()
    const database = createKeyRows(name.appId)
    const keyOf = (wrapper: Awaited<ReturnType<typeof open>>) =>
      createInstallationKeys({ wrapper, installationId: name.appId, store: database })('key_digests')
    const running = await open(service)
    const key = await keyOf(running).open(() => randomBytes(32))
    const before = database.rows.get('key_digests')!
    expect(running.isCurrent(before)).toBe(true)

    service.rotate()
    expect(String(await running.wrap(name, randomBytes(32)))).toMatch(/^vault:v2:/)
    expect(running.isCurrent(before)).toBe(false)
    expect(await keyOf(running).open(() => randomBytes(32))).toEqual(key)

    const restarted = await open(service)
    expect(restarted.isCurrent(before)).toBe(false)
    const rewrap = createRewrapDataKeys({ wrapper: restarted, ...database })
    expect(await rewrap()).toEqual({ rewrapped: 1, alreadyCurrent: 0, changedMeanwhile: 0 })
    expect(await rewrap()).toEqual({ rewrapped: 0, alreadyCurrent: 1, changedMeanwhile: 0 })
    service.setMinimumVersion(2)
    expect(await keyOf(restarted).open(() => randomBytes(32))).toEqual(key)
    await expect(restarted.unwrap({ ...name, dataKeyId: 'key_digests' }, before)).rejects.toThrow('too old')
  })

  test('with a token that is wrong are refused', async () => {
    await using service = await startTransitService()
    const [start, later] = await refusals(service, () => {
      service.token = 'hvs.another'
    })
    expect(start).toMatch(/^RootKeyError: .* may not be used with this token.*permission denied/s)
    expect(start).not.toContain('hvs.')
    expect(later).toBe('service_unavailable')
  })

  test.each<[string, (service: TransitService) => unknown, RegExp]>([
    ['sealed', (service) => Object.assign(service, { isSealed: true }), /is sealed.*Unseal it/],
    ['silent', (service) => Object.assign(service, { hangs: true }), /cannot be reached.*no answer within 0\.25 s/],
    [
      'overloaded',
      (service) => Object.assign(service, { answers: { status: 429, body: '{}' } }),
      /cannot be reached.*status 429/,
    ],
    [
      'a web page',
      (service) => Object.assign(service, { answers: { status: 200, body: '<html>' } }),
      /not that of a Transit engine/,
    ],
    [
      'without a key',
      (service) => Object.assign(service, { answers: { status: 404, body: '{"errors":[]}' } }),
      /There is no key/,
    ],
    [
      'answering nonsense',
      (service) => Object.assign(service, { answers: { status: 200, body: '{"data":{"ciphertext":1}}' } }),
      /not that of a Transit engine/,
    ],
  ])('in a service that is %s are refused', async (_, breakIt, sentence) => {
    await using service = await startTransitService()
    const [start, later] = await refusals(service, () => breakIt(service))
    expect(start).toMatch(/^RootKeyError: /)
    expect(start).toMatch(sentence)
    expect(later).toBe('service_unavailable')
  })

  test('that are gone are refused', async () => {
    const service = await startTransitService()
    await service[Symbol.asyncDispose]()
    await expect(open(service)).rejects.toThrow('cannot be reached')
  })

  test('of another name or mount are refused', async () => {
    await using service = await startTransitService()
    await expect(open(service, { key: 'typo' })).rejects.toThrow('There is no key "typo"')
    await expect(open(service, { mount: 'transmit' })).rejects.toThrow('There is no key')
  })

  test('of a type that does not bind the name are refused', async () => {
    await using service = await startTransitService()
    service.ignoresAssociatedData = true
    await expect(open(service)).rejects.toThrow('does not bind associated data')
  })

  test('do not open what a key file has wrapped, and the service is not asked', async () => {
    await using service = await startTransitService()
    const keys = await open(service)
    const calls = service.calls.length
    await expect(keys.unwrap(name, randomBytes(61))).rejects.toThrow('not wrapped by a Transit engine')
    expect(service.calls).toHaveLength(calls)
  })

  test('take a token from a file that an agent renews', async () => {
    await using service = await startTransitService()
    const folder = await mkdtemp(join(tmpdir(), 'transit-token-'))
    await using opened = new AsyncDisposableStack()
    opened.defer(() => rm(folder, { recursive: true }))
    const file = join(folder, 'token')
    await expect(open(service, { token: { file } })).rejects.toThrow('cannot be read')
    await writeFile(file, '\n')
    await expect(open(service, { token: { file } })).rejects.toThrow('is empty')
    await writeFile(file, `${TOKEN}\n`)
    const keys = await open(service, { token: { file } })
    service.token = 'hvs.renewed'
    await expect(keys.wrap(name, randomBytes(32))).rejects.toMatchObject({ code: 'service_unavailable' })
    await writeFile(file, service.token)
    expect(String(await keys.wrap(name, randomBytes(32)))).toMatch(/^vault:/)
  })
})
