import { availableParallelism } from 'node:os'
import { defineConfig } from 'vitest/config'

const postgres = './packages/server/src/testing/postgres-for-tests.ts'
const ignored = ['**/node_modules/**', '**/dist/**', '**/.alter/**']

/**
 * A file's name says what it needs: `*.db.test.ts` gets a PostgreSQL, `e2e/` boots servers, everything else runs alone. Files of the first and
 * the last kind share a process, since loading the modules anew took longer than most of them: a test puts back what it changed in it.
 */
export default defineConfig({
  // The SDK's package resolves to its source instead of its build; the rest are Vite's own conditions for Node, except
  // `module`: Vitest hands them to Node itself, which cannot load the files that packages offer to bundlers.
  ssr: { resolve: { conditions: ['@alter-vault/source', 'node', 'development|production'] } },
  test: {
    pool: 'forks',
    // Two on two cores, where the default is one: tests wait for PostgreSQL and for servers.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    unstubEnvs: true,
    // A net for what hangs, not a measure: on a busy machine the default of five seconds failed tests that need two.
    testTimeout: 20_000,
    hookTimeout: 20_000,
    reporters: ['default', './tools/closing-line-reporter.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{packages,apps,tools,bench}/**/*.test.{ts,tsx}'],
          exclude: [...ignored, '**/*.db.test.ts'],
          isolate: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'db',
          include: ['{packages,apps,tools,bench}/**/*.db.test.ts'],
          exclude: ignored,
          isolate: false,
          globalSetup: [postgres],
          setupFiles: ['./packages/server/src/testing/drop-shared-database.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['e2e/**/*.test.ts'],
          exclude: ignored,
          globalSetup: ['./e2e/support/prepare-database.ts'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
        },
      },
    ],
  },
})
