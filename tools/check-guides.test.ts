import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import { parseRequestRule } from '../packages/server/src/policy/request-rule.ts'
import { validateRule } from '../packages/server/src/policy/validate-rule.ts'

const GUIDES = fileURLToPath(new URL('../docs/guides/', import.meta.url))
const NOW_MS = Date.parse('2026-03-04T12:00:00Z')
const FENCED_JSON = /^```json\n([\s\S]*?)^```$/gm

type Example = { place: string; value: Record<string, unknown> }

/** Every fenced JSON block of the guides. A block that is not JSON fails here, with its place. */
function examples(): Example[] {
  return readdirSync(GUIDES)
    .filter((name) => name.endsWith('.md'))
    .flatMap((name) => {
      const text = readFileSync(`${GUIDES}${name}`, 'utf8')
      return [...text.matchAll(FENCED_JSON)].map((match) => {
        const place = `${name}:${text.slice(0, match.index).split('\n').length}`
        try {
          return { place, value: JSON.parse(match[1]!) as Record<string, unknown> }
        } catch (error) {
          throw new Error(`The JSON at ${place} does not parse`, { cause: error })
        }
      })
    })
}

const all = examples()
const rules = all.filter(({ value }) => 'type' in value && 'body' in value)
const oneOffRules = all.filter(({ value }) => 'rule_type' in value)

describe('the JSON examples of the guides', () => {
  test('hold rules and one-off rules', () => {
    expect(rules.length).toBeGreaterThan(5)
    expect(oneOffRules.length).toBeGreaterThan(0)
  })

  test.each(rules)('the rule at $place is valid and does what it seems to', ({ value }) => {
    const { target, type, body } = value as { target: { type: 'app'; id: string }; type: string; body: unknown }
    expect(validateRule({ target, type, body }, NOW_MS)).toEqual({ errors: [], warnings: [] })
  })

  test.each(oneOffRules)('the one-off rule at $place is accepted', ({ value }) => {
    expect(parseRequestRule(Buffer.from(JSON.stringify(value)).toString('base64url'))).toMatchObject(value)
  })
})
