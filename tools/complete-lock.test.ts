import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { completeLock } from './complete-lock.mjs'

test('adds what is missing, with the platform that its name tells, and nothing twice', () => {
  const lock = {
    packages: {
      '': { name: 'root' },
      'node_modules/formatter': {
        version: '2.0.0',
        dev: true,
        optionalDependencies: { '@formatter/linux-x64': '2.0.0', '@formatter/win32-arm64': '^2.0.0' },
      },
      'node_modules/@formatter/linux-x64': { version: '2.0.0', optional: true },
      'node_modules/outer/node_modules/inner': {
        version: '1.0.0',
        optionalDependencies: { nested: '1.0.0', near: '1.0.0', far: '1.0.0' },
      },
      'node_modules/outer/node_modules/inner/node_modules/nested': { version: '1.0.0' },
      'node_modules/outer/node_modules/near': { version: '1.0.0' },
      'node_modules/far': { version: '1.0.0' },
      'packages/app': { optionalDependencies: { own: '1.0.0', far: '1.0.0' } },
      'packages/app/node_modules/own': { version: '1.0.0' },
    },
  }
  const { lock: completed, added } = completeLock(lock)
  expect(added).toEqual(['@formatter/win32-arm64'])
  expect(completed.packages['node_modules/@formatter/win32-arm64']).toEqual({
    version: '2.0.0',
    cpu: ['arm64'],
    os: ['win32'],
    dev: true,
    optional: true,
  })
  expect(Object.keys(completed.packages)).toEqual(Object.keys(completed.packages).toSorted())
  expect(completeLock(completed).added).toEqual([])
})

test('the committed lock file is complete', async () => {
  const file = fileURLToPath(new URL('../package-lock.json', import.meta.url))
  expect(completeLock(JSON.parse(await readFile(file, 'utf8'))).added).toEqual([])
})
