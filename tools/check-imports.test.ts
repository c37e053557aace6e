import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { checkImports, WATCHED_PACKAGES } from './check-imports.ts'

/** A checkout in which each file imports what its entry says. */
function checkout(files: Record<string, string[]>): string {
  const root = mkdtempSync(join(tmpdir(), 'alter-vault-imports-'))
  onTestFinished(() => rmSync(root, { recursive: true }))
  for (const [path, imports] of Object.entries(files)) {
    const file = join(root, path)
    mkdirSync(dirname(file), { recursive: true })
    const lines = imports.map((from, index) =>
      from.startsWith('type ')
        ? `export type { T${index} } from '${from.slice(5)}'`
        : `export * as m${index} from '${from}'`,
    )
    const main = `${dirname(path)}/dist/index.js` in files ? 'dist/index.js' : 'index.js'
    writeFileSync(
      file,
      path.endsWith('.json')
        ? JSON.stringify({ name: 'library', version: '1.0.0', main })
        : `${lines.join('\n')}\nexport {}\n`,
    )
  }
  return root
}

const S = 'packages/server/src'

/** Every rule with an import that breaks it. */
const broken: [rule: string, from: string, to: string][] = [
  ['contracts-imports-nothing-of-ours', 'packages/contracts/src/key.ts', 'packages/sdk/src/app.ts'],
  ['server-imports-contracts-only', `${S}/kernel/ids.ts`, 'packages/sdk/src/app.ts'],
  ['server-imports-contracts-only', `${S}/create-server.ts`, 'tools/demo/demonstration.ts'],
  ['sdk-imports-contracts-only', 'packages/sdk/src/app.ts', 'packages/web-kit/src/button.tsx'],
  ['web-kit-imports-contracts-only', 'packages/web-kit/src/button.tsx', `${S}/kernel/ids.ts`],
  ['apps-import-web-kit-and-contracts', 'apps/wallet/src/main.tsx', `${S}/kernel/ids.ts`],
  ['sdk-bundles-no-schemas', 'packages/sdk/src/app.ts', 'packages/contracts/src/key.ts'],
  ['browsers-know-contracts-by-type-only', 'packages/web-kit/src/tone.ts', 'packages/contracts/src/grant.ts'],
  ['browsers-know-contracts-by-type-only', 'apps/wallet/src/main.tsx', 'node_modules/typebox/index.js'],
  [
    'features-do-not-import-features',
    'apps/wallet/src/features/approvals/page.tsx',
    'apps/wallet/src/features/grants/list.tsx',
  ],
  ['product-does-not-know-its-tests', `${S}/kernel/ids.ts`, `${S}/testing/test-database.ts`],
  ['kernel-knows-only-lower-layers', `${S}/kernel/ids.ts`, `${S}/crypto/secret.ts`],
  ['crypto-knows-only-lower-layers', `${S}/crypto/keyring.ts`, `${S}/http/listener.ts`],
  ['egress-knows-only-lower-layers', `${S}/egress/upstream.ts`, `${S}/db/migrate.ts`],
  ['db-knows-only-lower-layers', `${S}/db/database.ts`, `${S}/audit/index.ts`],
  ['http-knows-only-lower-layers', `${S}/http/listener.ts`, `${S}/keys/index.ts`],
  ['keys-imports-to-the-left', `${S}/keys/index.ts`, `${S}/grants/index.ts`],
  ['approvals-imports-to-the-left', `${S}/approvals/index.ts`, `${S}/uses/index.ts`],
  ['audit-imports-to-the-left', `${S}/audit/index.ts`, `${S}/create-server.ts`],
  ['keys-is-known-by-its-face', `${S}/grants/index.ts`, `${S}/keys/key-store.ts`],
  ['only-main-starts-the-server', `${S}/http/listener.ts`, `${S}/main.ts`],
  ['only-http-knows-the-router-and-the-pages', `${S}/keys/routes.ts`, 'node_modules/find-my-way/index.js'],
  ['sql-lives-in-stores', `${S}/keys/create-key.ts`, 'node_modules/kysely/dist/index.js'],
]

/** How `from` would write an import of `to`. */
function specifier(from: string, to: string): string {
  const library = /^node_modules\/([^/]+)\//.exec(to)?.[1]
  return library ?? `${'../'.repeat(from.split('/').length - 1)}${to}`
}

test('each rule finds the import that breaks it', async () => {
  const files: Record<string, string[]> = {
    'node_modules/kysely/package.json': [],
    'node_modules/find-my-way/package.json': [],
    'node_modules/typebox/package.json': [],
  }
  for (const [, from, to] of broken) {
    files[from] = [...(files[from] ?? []), specifier(from, to)]
    files[to] ??= []
  }
  const { modules, violations } = await checkImports(checkout(files))
  expect(modules).toBeGreaterThan(broken.length)
  for (const [rule, from, to] of broken) expect(violations).toContainEqual({ rule, from, to })
})

test('a decision that reaches a file through another module is found', async () => {
  const { violations } = await checkImports(
    checkout({ [`${S}/policy/decide.ts`]: ['./clock-words.ts'], [`${S}/policy/clock-words.ts`]: ['node:fs'] }),
  )
  expect(violations.map(({ rule, from }) => ({ rule, from }))).toEqual([
    { rule: 'deciding-is-pure', from: `${S}/policy/decide.ts` },
  ])
})

test('a decision that reaches the database through another module is found', async () => {
  const { violations } = await checkImports(
    checkout({
      [`${S}/policy/decide.ts`]: ['./rule-store.ts'],
      [`${S}/policy/rule-store.ts`]: ['kysely'],
      'node_modules/kysely/package.json': [],
      'node_modules/kysely/dist/index.js': [],
    }),
  )
  expect(violations.map(({ rule, to }) => ({ rule, to }))).toEqual([
    { rule: 'deciding-is-pure', to: 'node_modules/kysely/dist/index.js' },
  ])
})

test('an import of nothing is found', async () => {
  const { violations } = await checkImports(checkout({ [`${S}/kernel/a.ts`]: ['type ./gone.ts'] }))
  expect(violations.map(({ rule }) => rule)).toEqual(['everything-resolves'])
})

test('a cycle is reported with every file on its way, type imports included', async () => {
  const [a, b, c] = ['crypto/a.ts', 'kernel/b.ts', 'kernel/c.ts'].map((file) => `${S}/${file}`)
  const { violations } = await checkImports(
    checkout({
      [a!]: ['../kernel/b.ts'],
      [b!]: ['type ./c.ts'],
      [c!]: ['../crypto/a.ts', './d.ts'],
      [`${S}/kernel/d.ts`]: [],
    }),
  )
  const cycles = violations.filter(({ rule }) => rule === 'no-circles')
  expect(cycles).toEqual([{ rule: 'no-circles', from: a, to: [b, c, a].join(' -> ') }])
})

test('a package that rules name and no import was seen of is reported', async () => {
  const { unseen } = await checkImports(
    checkout({
      [`${S}/grants/grant-store.ts`]: ['kysely'],
      'node_modules/kysely/package.json': [],
      'node_modules/kysely/dist/index.js': [],
    }),
  )
  expect(unseen).toEqual(WATCHED_PACKAGES.filter((name) => name !== 'kysely'))
})

test('every package that a rule names is watched', () => {
  const config = readFileSync(join(import.meta.dirname, '../.dependency-cruiser.cjs'), 'utf8')
  const named = [...config.matchAll(/node_modules\/(?:\(([^)]+)\)|([^/']+))\//g)].flatMap(
    ([, many, one]) => many?.split('|') ?? [one],
  )
  expect([...new Set(named)].sort()).toEqual(WATCHED_PACKAGES)
})

test('a file with a using declaration is read', async () => {
  const root = checkout({ [`${S}/kernel/a.ts`]: [], [`${S}/http/listener.ts`]: [] })
  writeFileSync(join(root, S, 'kernel/a.ts'), "await using listener = (await import('../http/listener.ts')).listen()\n")
  const { violations } = await checkImports(root)
  expect(violations.map(({ rule }) => rule)).toEqual(['kernel-knows-only-lower-layers'])
})

test('a product file that needs a development tool is found', async () => {
  const root = checkout({
    'packages/server/src/kernel/ids.ts': ['fast-check'],
    'node_modules/fast-check/package.json': [],
    'node_modules/fast-check/index.js': [],
  })
  writeFileSync(join(root, 'packages/server/package.json'), '{"devDependencies":{"fast-check":"4.0.0"}}')
  const { violations } = await checkImports(root)
  expect(violations.map(({ rule }) => rule)).toEqual(['product-imports-no-development-tools'])
})

test('imports that point the right way pass', async () => {
  const { modules, violations } = await checkImports(
    checkout({
      'packages/contracts/src/index.ts': [],
      [`${S}/main.ts`]: ['./run-main.ts'],
      [`${S}/run-main.ts`]: ['./create-server.ts'],
      [`${S}/create-server.ts`]: ['./uses/index.ts', './http/listener.ts'],
      [`${S}/uses/index.ts`]: ['../grants/index.ts', '../egress/upstream.ts', '../../../contracts/src/index.ts'],
      [`${S}/uses/uses.test.ts`]: ['../testing/test-database.ts', './index.ts'],
      [`${S}/grants/index.ts`]: ['./grant-store.ts'],
      [`${S}/grants/grant-store.ts`]: ['kysely'],
      [`${S}/grants/grant.ts`]: ['type kysely'],
      [`${S}/egress/upstream.ts`]: ['../crypto/secret.ts', '../kernel/ids.ts'],
      [`${S}/testing/test-database.ts`]: ['../db/database.ts'],
      [`${S}/http/listener.ts`]: ['../db/database.ts', 'find-my-way'],
      [`${S}/db/database.ts`]: ['../crypto/secret.ts'],
      [`${S}/crypto/secret.ts`]: [],
      [`${S}/kernel/ids.ts`]: [],
      'node_modules/kysely/package.json': [],
      'node_modules/kysely/dist/index.js': [],
      'node_modules/find-my-way/package.json': [],
      'node_modules/find-my-way/index.js': [],
    }),
  )
  expect(violations).toEqual([])
  expect(modules).toBeGreaterThan(10)
})
