import { expect, test } from 'vitest'
import { ADDITIONS, findExcesses, productSources, renderStructure } from './generate-structure.ts'

const file = (path: string, lines: number, text = 'x') => ({
  path: `packages/server/src/${path}`,
  text: `${text}\n`.repeat(lines),
})
const noViolations = { modules: 2, violations: [], unseen: [] }
const sources = [
  file('create-server.ts', 180),
  file('uses/run-use.ts', 250),
  file('grants/grant.ts', 9, "kind: 'managed_secret'"),
  file('secrets/create-managed-secret.ts', 9, "kind: 'managed_secret'"),
  file('agents/agent-scopes.ts', 9, "kind: 'oauth' | 'managed_secret'"),
]

test('the figures name the longest file of a use and the files that know a kind', () => {
  const text = renderStructure(sources, noViolations)
  expect(text).toContain('| lines of the longest file of a use | 250 | 250 (`uses/run-use.ts`) |')
  expect(text).toContain('| lines of `create-server.ts` | 180 | 180 |')
  expect(text).toMatch(/a grant kind.*\| 1: `grants\/grant\.ts` \|/)
  expect(findExcesses(sources, noViolations)).toEqual([])
})

test('what is a sibling itself, and a list that has the addition already, would not change', () => {
  expect(ADDITIONS[0]!.itself?.test(sources[3]!.path)).toBe(true)
  expect(ADDITIONS[0]!.knownBy.test(sources[4]!.text)).toBe(false)
})

test('every addition has siblings in the product', () => {
  expect(renderStructure(productSources(), noViolations)).not.toMatch(/\| 0: /)
})

test('a file over its limit and an import that points the wrong way are named', () => {
  const violations = [{ rule: 'no-circles', from: 'a.ts', to: 'b.ts -> a.ts' }]
  const long = [file('create-server.ts', 181), file('uses/run-use.ts', 251), file('grants/grant-store.ts', 900)]
  expect(findExcesses(long, { modules: 2, violations, unseen: [] })).toEqual([
    'packages/server/src/create-server.ts has 181 lines; at most 180 are allowed.',
    'packages/server/src/uses/run-use.ts has 251 lines; at most 250 are allowed.',
    'no-circles: a.ts -> b.ts -> a.ts',
  ])
  expect(renderStructure(long, { modules: 2, violations, unseen: [] })).toContain('| cycles of imports | 0 | 1 |')
})
