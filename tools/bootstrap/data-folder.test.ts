import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { connectionString, findPostmaster, removeDataFolder } from './data-folder.mjs'

function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'alter-vault-data-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** A data folder as a server leaves it, with PostgreSQL's note of the process `pid`. */
function dataFolder(pid: number): string {
  const folder = join(temporaryFolder(), '.alter')
  mkdirSync(join(folder, 'pg'), { recursive: true })
  writeFileSync(join(folder, 'pg', 'postmaster.pid'), `${pid}\n${folder}/pg\n1764237600\n5432\n${folder}/pg-socket\n\n`)
  return folder
}

/** No process has this id. */
const NOBODY = 2 ** 30

function remove(folder: string): string[] {
  const said: string[] = []
  removeDataFolder(folder, (line) => said.push(line))
  return said
}

test('the socket of a running PostgreSQL is found, that of a dead one is not', () => {
  const folder = dataFolder(process.pid)
  expect(findPostmaster(folder)).toEqual({ pid: process.pid, socketFolder: `${folder}/pg-socket` })
  expect(findPostmaster(dataFolder(NOBODY))).toBeUndefined()
  expect(findPostmaster(temporaryFolder())).toBeUndefined()
})

test('a connection string names the folder of the socket, whatever is in its name', () => {
  const url = new URL(connectionString('/tmp/a b&c/pg-socket'))
  expect([url.pathname, url.searchParams.get('host'), url.searchParams.get('user')]).toEqual([
    '/alter_vault',
    '/tmp/a b&c/pg-socket',
    'postgres',
  ])
})

test('a data folder is removed after it was named, and removing it again is no mistake', () => {
  const folder = dataFolder(NOBODY)
  expect(remove(folder)[0]).toContain(folder)
  expect(existsSync(folder)).toBe(false)
  expect(remove(folder)).toEqual([`Nothing to remove: "${folder}" does not exist.`])
})

test('data that is kept elsewhere is named and removed too', () => {
  const folder = join(temporaryFolder(), '.alter')
  const elsewhere = join(temporaryFolder(), 'f00d')
  mkdirSync(folder)
  mkdirSync(join(elsewhere, 'pg'), { recursive: true })
  symlinkSync(join(elsewhere, 'pg'), join(folder, 'pg'))
  expect(remove(folder).slice(0, 2)).toEqual([`Removing "${folder}".`, `Removing "${elsewhere}".`])
  expect([existsSync(folder), existsSync(elsewhere)]).toEqual([false, false])
})

test('a data folder that a server uses stays', () => {
  const folder = dataFolder(process.pid)
  expect(() => remove(folder)).toThrow(/is using/)
  expect(existsSync(folder)).toBe(true)
})
