import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ErrorCode, errorRegistry, sdkApi } from '@alter-vault/contracts'
import { describe, expect, it } from 'vitest'
import { agentsError, approvalStatusError, proxyError } from '../packages/sdk/src/error-mapping.ts'
import published from '../packages/sdk/test/published-error-classes.json' with { type: 'json' }
import { declaredEndpoints } from '../packages/server/src/http/declared-endpoints.ts'
import { errorsOf } from '../packages/server/src/http/shared-errors.ts'

/*
 * Four lists of error codes that must be one: what the registry holds, what the documents explain, what clients understand, and what
 * the server sends. `published-error-classes.json` is the protocol's own table of `/sdk/*`: the class that a client raises for each
 * code, whether or not this server sends it yet.
 */

const ROOT = fileURLToPath(new URL('../', import.meta.url))
const codes = Object.keys(errorRegistry) as ErrorCode[]
const entries = Object.entries(errorRegistry)

/** Files that speak of codes without refusing with them. */
const ONLY_NAMES_CODES = ['http/shared-errors.ts', 'audit/explain-trace.ts']

const textOf = (files: readonly string[]): string =>
  files.map((file) => readFileSync(join(ROOT, file), 'utf8')).join('\n')
const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')

type PublishedRow = {
  status: number
  code: string
  on_calls?: string
  on_agents?: string
  on_approval_status?: string
}
const rows: readonly PublishedRow[] = published

describe('an error code', () => {
  it.each(entries)('%s is explained in the reference, with its status', (code, { status, sentence }) => {
    const line = `| \`${code}\` | ${status} |`
    const found = readFileSync(join(ROOT, 'docs/reference/errors.md'), 'utf8')
      .split('\n')
      .filter((each) => each.startsWith(line))
    expect(found).toHaveLength(1)
    expect(found[0]).toContain(sentence.replaceAll('|', '\\|'))
  })

  it('that the reference explains is in the registry', () => {
    const text = readFileSync(join(ROOT, 'docs/reference/errors.md'), 'utf8')
    const explained = [...text.matchAll(/^\| `([a-z_]+)` \| \d{3} \|/gm)].map(([, code]) => code)
    expect(explained.sort()).toEqual([...codes].sort())
  })

  it('is refused with somewhere in the product', () => {
    const files = globSync('packages/server/src/**/*.ts', { cwd: ROOT }).filter(
      (file) =>
        !/\.test\.ts$|-fixture\.ts$|\/testing\//.test(file) && !ONLY_NAMES_CODES.some((end) => file.endsWith(end)),
    )
    const product = withoutComments(textOf(files))
    expect(codes.filter((code) => !product.includes(`'${code}'`))).toEqual([])
  })

  it('is met by a test', () => {
    const files = globSync(['{packages,e2e,apps}/**/*.test.{ts,tsx}', 'e2e/python/*.py', 'policies/cases/*.yaml'], {
      cwd: ROOT,
      exclude: ['**/node_modules/**'],
    }).filter((file) => !file.startsWith('packages/sdk/'))
    const tests = textOf(files)
    expect(codes.filter((code) => !new RegExp(`\\b${code}\\b`).test(tests))).toEqual([])
  })
})

describe('a client', () => {
  const classOf = (
    mapper: (answer: { status: number; headers: Headers; json: unknown }) => Error,
    { status, code }: PublishedRow,
  ) => mapper({ status, headers: new Headers(), json: { error: code, message: 'No.' } }).constructor.name

  it.each(rows)('raises what the protocol says for $status $code', (row) => {
    if (row.on_calls !== undefined) expect(classOf(proxyError, row)).toBe(row.on_calls)
    if (row.on_agents !== undefined) expect(classOf(agentsError, row)).toBe(row.on_agents)
    if (row.on_approval_status !== undefined) expect(classOf(approvalStatusError, row)).toBe(row.on_approval_status)
  })

  it('knows every code and status that the SDK API may answer with', () => {
    const known = new Set(rows.map(({ status, code }) => `${status} ${code}`))
    const sent = new Set<string>(['405 method_not_allowed', '404 not_found'])
    for (const endpoint of declaredEndpoints.filter(({ api }) => api === sdkApi)) {
      for (const code of errorsOf(endpoint)) sent.add(`${errorRegistry[code].status} ${code}`)
      if (endpoint.errors.includes('key_revoked')) sent.add('409 key_revoked')
    }
    expect([...sent].filter((each) => !known.has(each))).toEqual([])
  })
})
