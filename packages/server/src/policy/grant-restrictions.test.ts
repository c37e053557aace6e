import { describe, expect, test } from 'vitest'
import { requestWith } from './context-for-tests.ts'
import { checkGrantRestrictions, compileGrantRestrictions } from './grant-restrictions.ts'
import type { PolicyRequest } from './policy-context.ts'

const request = (different: object = {}) => requestWith(different) as PolicyRequest
const listOf = (restrictions: unknown, different: object = {}) =>
  compileGrantRestrictions([restrictions])(request(different))?.list ?? null

describe('grant restrictions', () => {
  test('all present lists must match', () => {
    const restrictions = { allowed_methods: ['GET'], allowed_hosts: ['*.example.com'], allowed_endpoints: ['/v1/*'] }
    expect(listOf(restrictions)).toBeNull()
    expect(listOf(restrictions, { method: 'POST' })).toBe('allowed_methods')
    expect(listOf(restrictions, { host: 'example.com' })).toBe('allowed_hosts')
    expect(listOf(restrictions, { path: '/v1/items/1' })).toBe('allowed_endpoints')
  })

  test.each([
    ['/v1/**', {}, null],
    ['/V1/**', {}, 'allowed_endpoints'],
    ['/v1/a%2Fb', { path: '/v1/a/b' }, 'allowed_endpoints'],
    ['https://api.example.com/v1/*', {}, null],
    ['https://*.example.com/v1/*', {}, null],
    ['https://api.example.com/v1/*', { host: 'other.example.com' }, 'allowed_endpoints'],
    ['https://api.example.com/v1/*', { port: 8443 }, 'allowed_endpoints'],
    ['https://api.example.com:8443/v1/*', { port: 8443 }, null],
    ['https://api.example.com/v1/*', { scheme: 'http' }, 'allowed_endpoints'],
  ])('endpoint %s against %j: %s', (endpoint, different, list) => {
    expect(listOf({ allowed_endpoints: [endpoint] }, different)).toBe(list)
  })

  test('a grant is inside the restrictions of every grant it was delegated from', () => {
    const check = compileGrantRestrictions([{ allowed_methods: ['GET', 'POST'] }, { allowed_methods: ['GET'] }])
    expect(check(request())).toBeNull()
    expect(check(request({ method: 'POST' }))).toEqual({ list: 'allowed_methods' })
  })

  test.each([
    [{}],
    [{ allowed_methods: [] }],
    [{ allowed_methods: ['TRACE'] }],
    [{ allowed_paths: ['/'] }],
    [{ allowed_hosts: ['*'] }],
    [{ allowed_endpoints: ['v1/*'] }],
    [{ allowed_endpoints: ['http://api.example.com/v1'] }],
    [{ allowed_endpoints: ['https://**.example.com/v1'] }],
    [{ allowed_endpoints: ['https://api.example.com'] }],
    [null],
  ])('%j has a fault, and stored it refuses every request', (restrictions) => {
    expect(checkGrantRestrictions(restrictions).length).toBeGreaterThan(0)
    expect(listOf(restrictions)).toBe('invalid')
  })

  test('a request outside is refused with the list that it is outside of', () => {
    const check = compileGrantRestrictions([{ allowed_methods: ['GET'] }])
    expect(check(request())).toBeNull()
    expect(check(request({ method: 'POST' }))).toEqual({ list: 'allowed_methods' })
  })
})
