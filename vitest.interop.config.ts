import { defineConfig } from 'vitest/config'
import base from './vitest.config.ts'

/** What the product says of other servers, asked of them: `npm run interop`. */
export default defineConfig({
  ...base,
  test: {
    ...base.test,
    projects: undefined,
    include: ['e2e/interop/*.interop.ts'],
    globalSetup: ['./e2e/support/prepare-database.ts'],
    testTimeout: 120_000,
    hookTimeout: 180_000,
  },
})
