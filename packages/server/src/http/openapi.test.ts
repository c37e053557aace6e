import { errorRegistry } from '@alter-vault/contracts'
import { describe, expect, it } from 'vitest'
import { declaredEndpoints } from './declared-endpoints.ts'
import { describeApi } from './openapi.ts'
import { errorsOf } from './shared-errors.ts'
import { compileBody } from './validate.ts'

type Operation = {
  operationId: string
  summary: string
  description: string
  tags: string[]
  security: object[]
  requestBody?: { content: Record<string, { example?: unknown }> }
  responses: Record<string, { content?: Record<string, unknown> }>
  parameters?: { name: string }[]
}

const description = describeApi(declaredEndpoints, { version: '1.2.3', serverUrl: 'https://vault.example' }) as {
  paths: Record<string, Record<string, Operation>>
  components: Record<string, Record<string, unknown>>
}
const operations = Object.values(description.paths).flatMap((path) => Object.values(path))

describe('the description of the API', () => {
  it('has one operation for every declared endpoint', () => {
    expect(operations.map(({ operationId }) => operationId).sort()).toEqual(
      declaredEndpoints.map(({ id }) => id).sort(),
    )
    expect(operations.length).toBeGreaterThan(10)
  })

  it('names every status that an endpoint may refuse with', () => {
    for (const endpoint of declaredEndpoints) {
      const operation = operations.find(({ operationId }) => operationId === endpoint.id)!
      const declared = Object.keys(operation.responses)
      for (const code of errorsOf(endpoint)) expect(declared).toContain(String(errorRegistry[code].status))
      for (const status of ['404', '405', '413', '415', '500', '503']) expect(declared).toContain(status)
    }
  })

  it('is made from errors of which no endpoint lists one that it would have anyway', () => {
    for (const endpoint of declaredEndpoints) {
      const common = errorsOf({ ...endpoint, errors: [] })
      // In the list of an endpoint, this code says that a revoked key is the object of the call.
      const repeated = endpoint.errors.filter((code) => code !== 'key_revoked' && common.includes(code))
      expect(repeated, endpoint.id).toEqual([])
    }
  })

  it('has every path parameter that its path names, and no reference that leads nowhere', () => {
    for (const [path, methods] of Object.entries(description.paths)) {
      for (const operation of Object.values(methods)) {
        const names = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
        expect((operation.parameters ?? []).map(({ name }) => name)).toEqual(expect.arrayContaining(names))
      }
    }
    for (const [, place, name] of JSON.stringify(description).matchAll(/"#\/components\/(\w+)\/(\w+)"/g)) {
      expect(description.components[place!]).toHaveProperty(name!)
    }
  })

  it('says of every operation what it does, where it belongs, and who may call it', () => {
    for (const operation of operations) {
      expect(operation.summary, operation.operationId).toMatch(/^[A-Z].{5,100}[^.]$/)
      expect(operation.description, operation.operationId).toMatch(/\.$/)
      expect(operation.tags).toHaveLength(1)
      expect(operation.security).toBeInstanceOf(Array)
    }
  })

  it('shows a body that the server takes wherever it takes one', () => {
    for (const { id, api, body, example, lenient = false } of declaredEndpoints) {
      expect(example === undefined, id).toBe(body === undefined)
      if (body === undefined) continue
      const style = { problem: api.envelope === 'problem', nullIsAbsent: api.nullIsAbsent, lenient }
      expect(compileBody(body, style)(example), id).toEqual(example)
      const operation = operations.find(({ operationId }) => operationId === id)!
      expect(operation.requestBody?.content['application/json']?.example).toEqual(example)
    }
  })

  it('is plain JSON and the same each time', () => {
    const again = describeApi(declaredEndpoints, { version: '1.2.3', serverUrl: 'https://vault.example' })
    expect(JSON.parse(JSON.stringify(description))).toEqual(JSON.parse(JSON.stringify(again)))
    expect(JSON.stringify(description)).not.toContain('[object')
  })
})
