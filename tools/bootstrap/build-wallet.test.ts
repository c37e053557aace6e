import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { hashFiles } from './build-wallet.mjs'

test('the hash of the inputs follows contents and names, and nothing else', () => {
  const root = mkdtempSync(join(tmpdir(), 'alter-vault-hash-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  mkdirSync(join(root, 'src', 'deep'), { recursive: true })
  writeFileSync(join(root, 'index.html'), 'page')
  writeFileSync(join(root, 'src', 'deep', 'main.ts'), 'one')
  const hash = () => hashFiles(root, ['index.html', 'src', 'missing'])
  const first = hash()
  writeFileSync(join(root, 'src', 'deep', 'main.ts'), 'one')
  writeFileSync(join(root, 'unrelated'), '')
  expect(hash()).toBe(first)
  writeFileSync(join(root, 'src', 'deep', 'main.ts'), 'two')
  expect(hash()).not.toBe(first)
  writeFileSync(join(root, 'src', 'deep', 'main.ts'), 'one')
  renameSync(join(root, 'src', 'deep', 'main.ts'), join(root, 'src', 'deep', 'start.ts'))
  expect(hash()).not.toBe(first)
})
