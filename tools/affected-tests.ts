/*
 * Prints, as JSON, which tests a change touches: what differs in the working tree, and in commits that are not on the branch's upstream.
 *
 *   unit tests              every one that imports a changed file, however far down
 *   database tests          those in the folders of the changed files that do so too; through the composition root nearly all do
 *   changed test files      themselves
 *   everything else         is counted, and left to `npm test`
 */
import { execFile } from 'node:child_process'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { type Module, readModules } from './check-imports.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Tests that read files which nothing imports. */
const READERS: readonly [file: RegExp, test: RegExp][] = [
  [/^packages\/server\/migrations\//, /^packages\/server\/src\/db\/.*\.db\.test\.ts$/],
  [/^policies\/cases\//, /\/golden-cases\.db\.test\.ts$/],
  [/^docs\/guides\//, /^tools\/check-guides\.test\.ts$/],
  [/^package-lock\.json$/, /^tools\/complete-lock\.test\.ts$/],
  [/^packages\/(contracts|server|sdk)\/src\//, /\/(error-codes|audit-events)\.test\.ts$/],
]

export type AffectedTests = {
  changed: number
  run: string[]
  /** Reach the change, and are left out. */
  leftOut: { database: string[]; endToEnd: string[] }
  /** No test is known to read them. */
  unknown: string[]
}

const isTest = (path: string) => /\.test\.tsx?$/.test(path)
const isDatabaseTest = (path: string) => path.endsWith('.db.test.ts')
const isEndToEnd = (path: string) => path.startsWith('e2e/')

export function affectedTests(modules: readonly Module[], changed: readonly string[]): AffectedTests {
  const importers = Map.groupBy(
    modules.flatMap(({ source, dependencies }) => dependencies.map(({ resolved }) => ({ source, resolved }))),
    ({ resolved }) => resolved,
  )
  const reached = new Set(changed)
  for (const path of reached) for (const { source } of importers.get(path) ?? []) reached.add(source)

  const known = new Set(modules.map(({ source }) => source))
  const tests = [...known].filter(isTest)
  const readersOf = (path: string) =>
    READERS.filter(([file]) => file.test(path)).flatMap(([, test]) => tests.filter((name) => test.test(name)))
  const readers = new Set(changed.flatMap(readersOf))
  const folders = new Set(changed.map((path) => dirname(path)))

  const affected = tests.filter((path) => reached.has(path) || readers.has(path)).sort()
  const chosen = (path: string) =>
    !isEndToEnd(path) && (!isDatabaseTest(path) || readers.has(path) || folders.has(dirname(path)))
  const leftOut = affected.filter((path) => !chosen(path))
  return {
    changed: changed.length,
    run: affected.filter(chosen),
    leftOut: { database: leftOut.filter(isDatabaseTest), endToEnd: leftOut.filter(isEndToEnd) },
    unknown: changed.filter((path) => !known.has(path) && !path.endsWith('.md') && readersOf(path).length === 0),
  }
}

async function git(...args: string[]): Promise<string> {
  return (await promisify(execFile)('git', args, { cwd: ROOT })).stdout.trim()
}

/** The commit that the change builds on: where this branch left its upstream, else `main`, else the last commit. */
async function changeBase(): Promise<string> {
  for (const upstream of ['@{upstream}', 'origin/main', 'main']) {
    const base = await git('merge-base', 'HEAD', upstream).catch(() => '')
    if (base !== '') return base
  }
  return 'HEAD'
}

async function changedFiles(): Promise<string[]> {
  const [differ, fresh] = await Promise.all([
    git('diff', '--name-only', '--diff-filter=d', '-z', await changeBase()),
    git('ls-files', '--others', '--exclude-standard', '-z'),
  ])
  return [...new Set(`${differ}\0${fresh}`.split('\0'))].filter((path) => path !== '').sort()
}

if (import.meta.main) {
  const [{ modules }, changed] = await Promise.all([readModules(), changedFiles()])
  process.stdout.write(`${JSON.stringify(affectedTests(modules, changed))}\n`)
}
