import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { ensureInstalled, matchesLock } from './install.mjs'

const lock = {
  packages: {
    '': { version: '1.0.0' },
    'packages/server': { version: '1.0.0' },
    'node_modules/kysely': { version: '0.29.9', integrity: 'sha512-a' },
    'node_modules/other-platform': { version: '1.0.0', optional: true },
    'node_modules/server': { link: true },
  },
}
const installed = (changes: object) => ({
  packages: {
    'node_modules/kysely': lock.packages['node_modules/kysely'],
    'node_modules/server': { link: true },
    ...changes,
  },
})

test('an installation with every package of the lock matches, whatever is missing for other platforms', () => {
  expect(matchesLock(lock, installed({}))).toBe(true)
})

test('nothing installed, a missing package and another content do not match', () => {
  expect(matchesLock(lock, undefined)).toBe(false)
  expect(matchesLock(lock, { packages: {} })).toBe(false)
  expect(matchesLock(lock, installed({ 'node_modules/kysely': { version: '0.29.9', integrity: 'sha512-b' } }))).toBe(
    false,
  )
  expect(matchesLock(lock, installed({ 'node_modules/kysely': { version: '0.29.8' } }))).toBe(false)
})

/** A checkout whose `npm` is a script that counts its calls and installs. */
function fakeCheckout() {
  const root = mkdtempSync(join(tmpdir(), 'alter-vault-bootstrap-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  const bin = join(root, 'bin')
  mkdirSync(bin)
  writeFileSync(join(root, 'package-lock.json'), JSON.stringify(lock))
  writeFileSync(join(root, 'calls'), '')
  writeFileSync(
    join(bin, 'npm'),
    `#!/bin/sh\necho "$@" >> calls\n[ -e broken ] && exit 1\nmkdir -p node_modules && cp package-lock.json node_modules/.package-lock.json\n`,
    { mode: 0o755 },
  )
  vi.stubEnv('npm_execpath', undefined)
  vi.stubEnv('PATH', `${bin}:${process.env.PATH}`)
  onTestFinished(() => void vi.unstubAllEnvs())
  const said: string[] = []
  return {
    root,
    said,
    install: () => ensureInstalled({ root, say: (line: string) => void said.push(line) }),
    calls: () => readFileSync(join(root, 'calls'), 'utf8').split('\n').filter(Boolean),
  }
}

test('installs once, and again only when the lock file changes', async () => {
  const checkout = fakeCheckout()
  expect(await checkout.install()).toBe(process.execPath)
  expect(await checkout.install()).toBe(process.execPath)
  expect(checkout.calls()).toEqual(['ci --loglevel=error --include=dev --include=optional'])
  expect(checkout.said).toEqual(['Installing dependencies as package-lock.json says …'])

  const changed = { packages: { ...lock.packages, 'node_modules/pg': { version: '8.23.1' } } }
  writeFileSync(join(checkout.root, 'package-lock.json'), JSON.stringify(changed))
  await checkout.install()
  expect(checkout.calls()).toHaveLength(2)
})

test('does not install over an installation that already is what the lock says', async () => {
  const checkout = fakeCheckout()
  mkdirSync(join(checkout.root, 'node_modules'))
  writeFileSync(join(checkout.root, 'node_modules', '.package-lock.json'), JSON.stringify(lock))
  await checkout.install()
  expect(checkout.calls()).toEqual([])
})

test('two commands on a fresh checkout install once', async () => {
  const checkout = fakeCheckout()
  await Promise.all([checkout.install(), checkout.install()])
  expect(checkout.calls()).toHaveLength(1)
})

test('a lock left by a killed installation does not stop the next', async () => {
  const checkout = fakeCheckout()
  mkdirSync(join(checkout.root, '.alter'))
  writeFileSync(join(checkout.root, '.alter', 'install.lock'), '999999999')
  await checkout.install()
  expect(checkout.calls()).toHaveLength(1)
})

test('a failed installation is not taken for done', async () => {
  const checkout = fakeCheckout()
  writeFileSync(join(checkout.root, 'broken'), '')
  await expect(checkout.install()).rejects.toThrow('type the same command again')
  rmSync(join(checkout.root, 'broken'))
  await checkout.install()
  expect(checkout.calls()).toHaveLength(2)
})
