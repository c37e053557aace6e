import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { type Migration, planMigrations, readMigrations } from './migrate.ts'

async function folderWith(files: Record<string, string>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'alter-vault-migrations-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
  return folder
}

test('reads migrations oldest first, with what they say about breaking', async () => {
  const folder = await folderWith({
    '20260202T0000_second.sql': '-- breaking: yes\nselect 2;\n',
    '20260101T0000_first.sql': '-- breaking: no\nselect 1;\n',
    'README.md': '',
  })
  expect((await readMigrations(folder)).map(({ name, breaking }) => ({ name, breaking }))).toEqual([
    { name: '20260101T0000_first.sql', breaking: false },
    { name: '20260202T0000_second.sql', breaking: true },
  ])
})

test('the checksum does not depend on the line ends of the checkout', async () => {
  const text = '-- breaking: no\nselect 1;\n'
  const [unix] = await readMigrations(await folderWith({ '20260101T0000_a.sql': text }))
  const [windows] = await readMigrations(await folderWith({ '20260101T0000_a.sql': text.replaceAll('\n', '\r\n') }))
  expect(windows).toEqual(unix)
})

test.each([
  ['2026_base.sql', '-- breaking: no\n'],
  ['20260101T0000_Base.sql', '-- breaking: no\n'],
  ['20260101T0000_base.sql', '-- breaking: maybe\n'],
  ['20260101T0000_base.sql', 'create table a ();\n-- breaking: no\n'],
])('refuses "%s" beginning with "%s"', async (name, text) => {
  await expect(readMigrations(await folderWith({ [name]: text }))).rejects.toMatchObject({
    name: 'MigrationError',
    migration: name,
  })
})

const migration = (name: string, checksum = name): Migration => ({ name, checksum, sql: '', breaking: false })
const applied = (name: string, checksum = name) => ({ name, checksum, serverVersion: '1.4.0' })

test('what was applied is not planned again', () => {
  expect(planMigrations([migration('a'), migration('b')], [applied('a')])).toEqual([migration('b')])
})

test('a database of a newer version is refused, naming the version to start', () => {
  expect(() => planMigrations([migration('a')], [applied('a'), applied('b')])).toThrow(
    /migrated by version 1\.4\.0 .*"b".*Start version 1\.4\.0 or newer/s,
  )
})

test('a migration that was changed after it was applied is refused', () => {
  expect(() => planMigrations([migration('a', 'other')], [applied('a')])).toThrow(
    /"a" was changed after version 1\.4\.0/,
  )
})

test('a migration that comes too late is refused', () => {
  expect(() => planMigrations([migration('a'), migration('b')], [applied('b')])).toThrow(/"a" sorts before "b"/)
})
