import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openLocalRootKeys } from './root-key.ts'
import { rotateRootKey } from './rotate-root-key.ts'

const clock = { now: () => Date.parse('2026-01-31T09:30:00Z') }
let folder = ''
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'root-key-'))
})
afterEach(() => rm(folder, { recursive: true }))

it('adds a key that wraps from then on and keeps the old ones', async () => {
  const path = join(folder, 'root-keys.json')
  const before = (await openLocalRootKeys({ path, clock })).fingerprints()
  const { keyId } = await rotateRootKey({ kind: 'file', path }, clock)
  expect((await openLocalRootKeys({ path, clock })).fingerprints()).toEqual([...before, keyId])
})

it('makes no file where there is none', async () => {
  await expect(rotateRootKey({ kind: 'file', path: join(folder, 'typo.json') }, clock)).rejects.toThrow(
    'There is no root key file',
  )
  expect(await readdir(folder)).toEqual([])
})

it('leaves a key of a service to the service', async () => {
  const place = {
    kind: 'vault_transit',
    address: 'https://bao.test',
    mount: 'transit',
    key: 'vault',
    token: { file: 't' },
  } as const
  await expect(rotateRootKey(place, clock)).rejects.toThrow('Rotate it there')
})
