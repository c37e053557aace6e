import { expect, test } from 'vitest'
import { affectedTests } from './affected-tests.ts'

const S = 'packages/server/src'

/** Files by what they import. */
const checkout = {
  [`${S}/kernel/ids.ts`]: [],
  [`${S}/kernel/ids.test.ts`]: [`${S}/kernel/ids.ts`],
  [`${S}/agents/agent.ts`]: [`${S}/kernel/ids.ts`],
  [`${S}/agents/agent.test.ts`]: [`${S}/agents/agent.ts`],
  [`${S}/agents/index.ts`]: [`${S}/agents/agent.ts`],
  [`${S}/agents/agents.db.test.ts`]: [`${S}/agents/index.ts`],
  [`${S}/grants/grants.ts`]: [`${S}/agents/index.ts`],
  [`${S}/grants/grants.test.ts`]: [`${S}/grants/grants.ts`],
  [`${S}/grants/grants.db.test.ts`]: [`${S}/grants/grants.ts`],
  [`${S}/db/migrate.ts`]: [],
  [`${S}/db/migrate.db.test.ts`]: [`${S}/db/migrate.ts`],
  'e2e/stories/keys.test.ts': [`${S}/kernel/ids.ts`],
}
const modules = Object.entries(checkout).map(([source, imports]) => ({
  source,
  dependencies: imports.map((resolved) => ({ resolved })),
}))
const affectedBy = (...changed: string[]) => affectedTests(modules, changed)

test('runs unit tests however far above the change, database tests of its folder, and names the others', () => {
  expect(affectedBy(`${S}/agents/agent.ts`)).toEqual({
    changed: 1,
    run: [`${S}/agents/agent.test.ts`, `${S}/agents/agents.db.test.ts`, `${S}/grants/grants.test.ts`],
    leftOut: { database: [`${S}/grants/grants.db.test.ts`], endToEnd: [] },
    unknown: [],
  })
})

test('leaves end-to-end tests out, and counts those that import the change', () => {
  const { run, leftOut } = affectedBy(`${S}/kernel/ids.ts`)
  expect(run).toEqual([`${S}/agents/agent.test.ts`, `${S}/grants/grants.test.ts`, `${S}/kernel/ids.test.ts`])
  expect(leftOut).toEqual({
    database: [`${S}/agents/agents.db.test.ts`, `${S}/grants/grants.db.test.ts`],
    endToEnd: ['e2e/stories/keys.test.ts'],
  })
})

test('runs a database test that changed, and leaves the rest of the product alone', () => {
  expect(affectedBy(`${S}/grants/grants.db.test.ts`).run).toEqual([`${S}/grants/grants.db.test.ts`])
})

test('knows who reads files that nothing imports, and names files that nobody reads', () => {
  expect(
    affectedBy('packages/server/migrations/20270101T0000_more.sql', 'apps/wallet/index.html', 'README.md'),
  ).toEqual({
    changed: 3,
    run: [`${S}/db/migrate.db.test.ts`],
    leftOut: { database: [], endToEnd: [] },
    unknown: ['apps/wallet/index.html'],
  })
})
