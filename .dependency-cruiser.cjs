/*
 * Which way the arrows point.
 *
 *   contracts <- server, sdk, web-kit <- apps
 *   inside the server: kernel <- crypto, egress, policy, db <- http <- slices, left to right <- create-server <- run-main <- main
 *
 * To add a slice, put its name where it belongs in SLICES.
 */

const { default: Visitor } = require('@swc/core/Visitor.js')

// The visitor that dependency-cruiser walks the tree with stops at a declaration newer than itself: `using` (ECMAScript 2026).
const visitStatement = Visitor.prototype.visitStatement
Visitor.prototype.visitStatement = function (statement) {
  if (statement.type !== 'UsingDeclaration') return visitStatement.call(this, statement)
  statement.decls = this.visitVariableDeclarators(statement.decls)
  return statement
}

/** A slice may import the faces (`index.ts`) of the slices before it. */
const SLICES = [
  'audit',
  'management',
  'organizations',
  'members',
  'apps',
  'tokens',
  'agents',
  'keys',
  'secrets',
  'grants',
  'rules',
  'approvals',
  'uses',
]

/** The folders under the slices, in layers: each may import the layers before it. */
const LAYERS = [['kernel'], ['crypto', 'egress', 'policy', 'db'], ['http']]

/** Files of a lower layer's neighbor that the whole layer may know: they are words, not machinery. */
const NEIGHBOURS = ['crypto/secret.ts', 'db/database.ts']

const SERVER = '^packages/server/src'
const any = (names) => `(${names.join('|')})`
const literally = (path) => path.replaceAll('.', '\\.')

/** A test may use the whole test kit, and what it compares against. */
const TEST = '\\.test\\.tsx?$|-fixture\\.ts$|/test(ing)?/'

const layerRules = LAYERS.flatMap((layer, index) => {
  const lower = LAYERS.slice(0, index).flat()
  return layer.map((folder) => ({
    name: `${folder}-knows-only-lower-layers`,
    severity: 'error',
    from: { path: `${SERVER}/${folder}/`, pathNot: TEST },
    to: {
      path: `${SERVER}/`,
      pathNot: [
        `${SERVER}/${any([folder, ...lower])}/`,
        ...(index === 1 ? NEIGHBOURS.map((file) => `${SERVER}/${literally(file)}$`) : []),
      ],
    },
  }))
})

const sliceRules = SLICES.flatMap((slice, index) => [
  {
    name: `${slice}-imports-to-the-left`,
    comment: `The slices after ${slice} build on it; it cannot build on them.`,
    severity: 'error',
    from: { path: `${SERVER}/${slice}/`, pathNot: TEST },
    to: { path: `${SERVER}/(${[...SLICES.slice(index + 1), 'create-server\\.ts', 'main\\.ts', 'testing'].join('|')})` },
  },
  {
    name: `${slice}-is-known-by-its-face`,
    comment: `Others import ${slice}/index.ts; what is not there is ${slice}'s own business.`,
    severity: 'error',
    from: { path: `${SERVER}/`, pathNot: [`${SERVER}/${slice}/`, TEST] },
    to: { path: `${SERVER}/${slice}/`, pathNot: `${SERVER}/${slice}/index\\.ts$` },
  },
])

module.exports = {
  forbidden: [
    {
      name: 'no-circles',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'everything-resolves',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'contracts-imports-nothing-of-ours',
      severity: 'error',
      from: { path: '^packages/contracts/' },
      to: { path: '^(packages|apps|e2e|bench|tools)/', pathNot: '^packages/contracts/' },
    },
    ...['server', 'sdk', 'web-kit'].map((name) => ({
      name: `${name}-imports-contracts-only`,
      comment: 'server, sdk and web-kit meet on the wire, never in an import.',
      severity: 'error',
      from: { path: `^packages/${name}/`, pathNot: TEST },
      to: { path: '^(packages|apps|e2e|bench|tools)/', pathNot: `^packages/(contracts|${name})/` },
    })),
    {
      name: 'apps-import-web-kit-and-contracts',
      severity: 'error',
      from: { path: '^apps/([^/]+)/' },
      to: { path: '^(packages|apps|e2e|bench|tools)/', pathNot: ['^packages/(contracts|web-kit)/', '^apps/$1/'] },
    },
    {
      name: 'sdk-bundles-no-schemas',
      comment: 'What the SDK needs of schemas is in sdk/src/generated; it bundles what else it takes from contracts.',
      severity: 'error',
      from: { path: '^packages/sdk/src/', pathNot: TEST },
      to: {
        path: ['^packages/contracts/', 'node_modules/typebox/'],
        pathNot: '^packages/contracts/src/(key-format\\.ts$|aws/)',
        dependencyTypesNot: ['type-only'],
      },
    },
    {
      name: 'browsers-know-contracts-by-type-only',
      comment: 'What a browser needs of them at run time is in web-kit/src/generated: no schema comes into a bundle.',
      severity: 'error',
      from: { path: ['^packages/web-kit/src/', '^apps/[^/]+/src/'], pathNot: TEST },
      to: { path: ['^packages/contracts/', 'node_modules/typebox/'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'features-do-not-import-features',
      severity: 'error',
      from: { path: '^apps/[^/]+/src/features/([^/]+)/' },
      to: { path: '^apps/[^/]+/src/features/', pathNot: '/features/$1/' },
    },
    {
      name: 'product-does-not-know-its-tests',
      severity: 'error',
      from: { path: '^(packages|apps)/', pathNot: TEST },
      to: { path: ['\\.test\\.tsx?$', '-fixture\\.ts$', `${SERVER}/testing/`] },
    },
    ...layerRules,
    ...sliceRules,
    {
      name: 'only-main-starts-the-server',
      severity: 'error',
      from: { path: `${SERVER}/`, pathNot: [TEST, `${SERVER}/(main|run-main)\\.ts$`] },
      to: { path: `${SERVER}/(main|run-main|create-server)\\.ts$` },
    },
    {
      name: 'only-http-knows-the-router-and-the-pages',
      severity: 'error',
      from: { path: `${SERVER}/`, pathNot: [`${SERVER}/http/`, TEST] },
      to: { path: 'node_modules/(find-my-way|sirv|@scalar)/' },
    },
    {
      name: 'sql-lives-in-stores',
      comment: 'Types may travel; statements are written in *-store.ts and in db/.',
      severity: 'error',
      from: { path: `${SERVER}/`, pathNot: ['-store\\.ts$', `${SERVER}/db/`, TEST] },
      to: { path: 'node_modules/kysely/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'deciding-is-pure',
      comment: 'A decision depends on its arguments alone: no file, socket, process or database, however far down.',
      severity: 'error',
      from: { path: `${SERVER}/policy/decide\\.ts$` },
      to: {
        path: [
          '^(node:)?(fs|net|tls|dns|http|https|http2|child_process|worker_threads|dgram)(/|$)',
          'node_modules/(pg|kysely|undici|pino|find-my-way)/',
        ],
        reachable: true,
      },
    },
    {
      name: 'product-imports-no-development-tools',
      severity: 'error',
      from: { path: '^(packages/[^/]+|apps/[^/]+)/src/', pathNot: [TEST, '^apps/[^/]+/vite\\.config'] },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: ['^(packages|apps)/[^/]+/dist/'] },
    // The parser must be named: the default takes TypeScript 7 for none at all, misses `export type … from` and cannot tell an
    // import of types from another.
    parser: 'swc',
    tsPreCompilationDeps: true,
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['@alter-vault/source', 'import', 'node', 'default', 'types'],
      extensions: ['.ts', '.tsx', '.mjs', '.js'],
    },
  },
}
