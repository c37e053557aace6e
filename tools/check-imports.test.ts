import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { checkImports } from './check-imports.ts'

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
    writeFileSync(
      file,
      path.endsWith('.json')
        ? '{"name":"kysely","version":"1.0.0","main":"index.js"}'
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
  ['only-http-knows-the-web-framework', `${S}/keys/routes.ts`, 'node_modules/fastify/index.js'],
  ['sql-lives-in-stores', `${S}/keys/create-key.ts`, 'node_modules/kysely/index.js'],
]

/** How `from` would write an import of `to`. */
function specifier(from: string, to: string): string {
  const library = /^node_modules\/([^/]+)\//.exec(to)?.[1]
  return library ?? `${'../'.repeat(from.split('/').length - 1)}${to}`
}

test('each rule finds the import that breaks it', async () => {
  const files: Record<string, string[]> = {
    'node_modules/kysely/package.json': [],
    'node_modules/fastify/package.json': [],
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

test('circles and imports of nothing are found, type imports included', async () => {
  const { violations } = await checkImports(
    checkout({ [`${S}/kernel/a.ts`]: ['type ./b.ts'], [`${S}/kernel/b.ts`]: ['type ./a.ts', './gone.ts'] }),
  )
  expect(violations.map(({ rule }) => rule).sort()).toEqual(['everything-resolves', 'no-circles'])
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
      [`${S}/http/listener.ts`]: ['../db/database.ts', 'fastify'],
      [`${S}/db/database.ts`]: ['../crypto/secret.ts'],
      [`${S}/crypto/secret.ts`]: [],
      [`${S}/kernel/ids.ts`]: [],
      'node_modules/kysely/package.json': [],
      'node_modules/kysely/index.js': [],
      'node_modules/fastify/package.json': [],
      'node_modules/fastify/index.js': [],
    }),
  )
  expect(violations).toEqual([])
  expect(modules).toBeGreaterThan(10)
})
