import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { auditEvents } from '@alter-vault/contracts'
import { expect, test } from 'vitest'
import { declaredEndpoints } from '../http/declared-endpoints.ts'

const SOURCE = join(import.meta.dirname, '..')
/** Words of the policy language that look like events. */
const ATTRIBUTES = new Set(['approval.edited', 'grant.delegated', 'request.body'])
/** `use-rows.ts` names the events of a use by how the credential is used. */
const USES = ['proxy', 'token']

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !/\.test\.ts$|-fixture\.ts$|^testing\//.test(path))
  .map((path) => readFileSync(join(SOURCE, path), 'utf8'))

const eventsIn = (text: string): string[] => [
  ...[...text.matchAll(/'([a-z_]+\.(?:[a-z]+_)*(?:[a-z]+ed|found|unknown|read|body))'/g)].map(([, name]) => name!),
  ...[...text.matchAll(/event:\s*'([^']+)'/g)].map(([, name]) => name!),
  // Each event that a template may name: the part that varies is one of its quoted words, or the word behind it.
  ...[...text.matchAll(/event:\s*`\$\{kind\}\.([^`]+)`/g)].flatMap(([, rest]) => {
    const words = rest!.includes("'") ? [...rest!.matchAll(/'([a-z]+)'/g)].map(([, word]) => word!) : [rest!]
    return USES.flatMap((use) => words.map((word) => `${use}.${word}`))
  }),
]

const written = new Set([
  ...files.flatMap(eventsIn),
  ...declaredEndpoints.flatMap(({ audit }) => ('none' in audit ? [] : audit.events)),
])
for (const name of ATTRIBUTES) written.delete(name)

test('every event that is written anywhere is listed', () => {
  expect([...written].filter((name) => !Object.hasOwn(auditEvents, name))).toEqual([])
  expect(written.size).toBeGreaterThan(50)
})

test('every event that is listed is written somewhere', () => {
  expect(Object.keys(auditEvents).filter((name) => !written.has(name))).toEqual([])
})

test('the list is in order, and each entry is a sentence', () => {
  expect(Object.keys(auditEvents)).toEqual(Object.keys(auditEvents).sort())
  for (const { sentence } of Object.values(auditEvents)) expect(sentence).toMatch(/^[A-Z].*\.$/)
})
