import { describe, expect, it } from 'vitest'
import { clientErrors } from './client-errors.ts'
import { type ErrorCode, errorRegistry } from './errors.ts'

const entries = Object.entries(clientErrors)
const rows = entries.flatMap(([name, { calls = [], agents = [], proxied = [] }]) =>
  Object.entries({ calls, agents, proxied }).flatMap(([table, keys]) => keys.map((key) => ({ name, table, key }))),
)

describe('the errors of clients', () => {
  it.each(entries)('have the parent of %s before it', (name, { parent }) => {
    const known = ['AlterSDKError', 'ProviderAPIError', ...Object.keys(clientErrors)]
    expect(known.slice(0, known.indexOf(name))).toContain(parent)
  })

  it('name each refusal once in a table', () => {
    const keys = rows.map(({ table, key }) => `${table}: ${key}`)
    expect(keys.filter((key, index) => keys.indexOf(key) !== index)).toEqual([])
    for (const { key } of rows) expect(key).toMatch(/^(\d{3}|\*) ([a-z_]+|\*)$/)
  })

  it('expect the codes of this server with the status that it sends', () => {
    const codes = [...new Set(rows.map(({ key }) => key.split(' ')[1]!))].filter((code) => code in errorRegistry)
    expect(codes.length).toBeGreaterThan(20)
    for (const code of codes) {
      const { status } = errorRegistry[code as ErrorCode]
      const statuses = rows.filter(({ key }) => key.endsWith(` ${code}`)).map(({ key }) => key.split(' ')[0])
      expect(
        [String(status), '*'].some((expected) => statuses.includes(expected)),
        `${code} ${statuses}`,
      ).toBe(true)
    }
  })
})
