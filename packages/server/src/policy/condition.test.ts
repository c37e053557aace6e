import type { Condition, When } from '@alter-vault/contracts'
import { describe, expect, test } from 'vitest'
import { checkAttributeNames, checkWhen, compileWhen, type Match } from './condition.ts'
import { contextOf, requestWith } from './context-for-tests.ts'
import { UNKNOWN } from './fact.ts'
import { createMoment } from './moment.ts'
import type { PolicyContext } from './policy-context.ts'

function match(when: When, context: Partial<PolicyContext> = {}): Match {
  expect(checkWhen(when, '/when')).toEqual([])
  return compileWhen(when)(createMoment(contextOf(context), 0, 'request'))
}
const ofBody = (condition: Condition, body: string, pointer = '/v') =>
  match({ [`body:${pointer}`]: condition }, { request: requestWith({ method: 'POST', body }) })
const unknown = { cause: 'attribute_unknown', attribute: 'body:/v' } as const
const agent = { id: 'agent-1', name: 'a', type: 'agent', scopes: {} }
const retrieve = { mode: 'retrieve', request: UNKNOWN } as const

describe('condition', () => {
  test('an empty object matches every request', () => {
    expect(match({})).toBe(true)
    expect(match({}, retrieve)).toBe(true)
  })

  test('attributes are AND-ed, a list matches any of its values', () => {
    expect(match({ method: ['POST', 'GET'], environment: 'production' })).toBe(true)
    expect(match({ method: ['POST', 'GET'], environment: 'staging' })).toBe(false)
  })

  test('methods and hosts are compared in their canonical case, other texts exactly', () => {
    expect(match({ method: 'get', host: 'API.Example.COM' })).toBe(true)
    expect(match({ environment: 'Production' })).toBe(false)
    expect(match({ header_names: 'X-Trace' }, { request: requestWith({ headers: [['x-TRACE', '1']] }) })).toBe(true)
    expect(match({ header_names: 'X_Trace' }, { request: requestWith({ headers: [['x-trace', '1']] }) })).toBe(true)
  })

  test('a client address is compared with addresses and ranges', () => {
    expect(match({ client_ip: '198.51.100.0/24' })).toBe(true)
    expect(match({ client_ip: ['10.0.0.0/8', '198.51.100.7'] })).toBe(true)
    expect(match({ client_ip: { not_in: ['10.0.0.0/8'] } })).toBe(true)
    expect(match({ client_ip: '10.0.0.0/8' }, { clientIp: '::ffff:10.1.1.1' })).toBe(true)
    const undecided = { cause: 'attribute_unknown', attribute: 'client_ip' }
    expect(match({ client_ip: '10.0.0.0/8' }, { clientIp: UNKNOWN })).toEqual(undecided)
    expect(match({ client_ip: '10.0.0.0/8' }, { clientIp: 'nonsense' })).toEqual(undecided)
  })

  test('an absent attribute matches only exists: false and the negative operators', () => {
    expect(match({ agent_id: 'agent-1' })).toBe(false)
    expect(match({ agent_id: { glob: '*' } })).toBe(false)
    expect(match({ agent_id: { exists: true } })).toBe(false)
    expect(match({ agent_id: { exists: false } })).toBe(true)
    expect(match({ agent_id: { not_in: ['agent-1'] } })).toBe(true)
    expect(match({ agent_id: { not_glob: 'agent-*' } })).toBe(true)
    expect(match({ scopes: { not_subset_of: ['read'] } })).toBe(true)
    expect(match({ agent_id: { not_in: ['agent-1'] } }, { agent })).toBe(false)
  })

  test.each(['method', 'host', 'path', 'header_names', 'content_type', 'query.q', 'body:/v'])(
    'in retrieve mode %s is unknown under every operator',
    (attribute) => {
      const undecided = { cause: 'request_shape_unavailable', attribute }
      for (const condition of ['GET', { eq: 'GET' }, { not_in: ['GET'] }, { exists: true }, { exists: false }]) {
        expect(match({ [attribute]: condition as Condition }, retrieve)).toEqual(undecided)
      }
    },
  )

  test('a known mismatch beside an unknown attribute is no match', () => {
    expect(match({ method: 'POST', environment: 'staging' }, retrieve)).toBe(false)
    expect(match({ environment: 'staging', method: 'POST' }, retrieve)).toBe(false)
  })

  test('a set matches when any of its members does, and eq asks for exactly one', () => {
    const request = requestWith({ query: 'to=a&to=evil&one=x&one=x' })
    expect(match({ 'query.to': 'a' }, { request })).toBe(true)
    expect(match({ 'query.to': { eq: 'a' } }, { request })).toBe(false)
    expect(match({ 'query.one': { eq: 'x' } }, { request })).toBe(true)
    expect(match({ 'query.to': { not_in: ['a'] } }, { request })).toBe(true)
    expect(match({ 'query.to': { not_subset_of: ['a', 'evil'] } }, { request })).toBe(false)
    expect(match({ 'query.to': { any_in: ['evil'] } }, { request })).toBe(true)
    expect(match({ 'query.to': { not_glob: 'a' } }, { request })).toBe(true)
    expect(match({ 'query.none': 'a' }, { request })).toBe(false)
  })

  test('a query that does not decode is unknown', () => {
    const request = requestWith({ query: 'a=1&b=%ff' })
    expect(match({ 'query.a': '2' }, { request })).toEqual({ cause: 'attribute_unknown', attribute: 'query.a' })
  })

  test('paths are matched by segments, other texts across slashes', () => {
    const request = requestWith({ path: '/v1/a/b', headers: [['Content-Type', 'application/vnd.api+json; charset=x']] })
    expect(match({ path: { glob: '/v1/*' } }, { request })).toBe(false)
    expect(match({ path: { glob: '/v1/**' } }, { request })).toBe(true)
    expect(match({ path: { prefix: '/v1/' } }, { request })).toBe(true)
    expect(match({ content_type: { glob: '*+json' } }, { request })).toBe(true)
    expect(match({ host: { glob: '*.EXAMPLE.com' } }, { request })).toBe(true)
  })

  test('ports and sizes are numbers', () => {
    const request = requestWith({ body: '{"v":1}' })
    expect(match({ port: 443, body_size: { gt: 6 } }, { request })).toBe(true)
    expect(match({ body_size: { gte: 8 } }, { request })).toBe(false)
  })

  test.each<[Condition, string, Match]>([
    [{ gt: 500 }, '{"v":600}', true],
    [{ gt: 500 }, '{"v":500}', false],
    [{ gt: 500 }, '{"v":"600"}', unknown],
    [{ gt: 500 }, '{"v":null}', unknown],
    [{ gt: 500 }, '{"v":1e400}', unknown],
    [{ gt: 500 }, '{"v":{"amount":600}}', unknown],
    [{ gt: 500 }, '{"w":600}', false],
    [{ lte: 5 }, '{"v":[9,4]}', true],
    [{ eq: 600 }, '{"v":600.0}', true],
    [{ eq: 600 }, '{"v":"600"}', unknown],
    [{ eq: 600 }, '{"v":null}', false],
    [{ eq: null }, '{"v":null}', true],
    [{ eq: null }, '{"v":1}', false],
    [{ eq: true }, '{"v":true}', true],
    [{ eq: 'a' }, '{"v":["a","a"]}', true],
    [{ eq: 'a' }, '{"v":["a","b"]}', false],
    [{ in: ['a', 1] }, '{"v":2}', false],
    [{ in: ['a', 1] }, '{"v":true}', unknown],
    [{ not_in: ['a'] }, '{"v":"b"}', true],
    [{ not_in: ['a'] }, '{"v":7}', unknown],
    [{ not_glob: '*@acme.com' }, '{"v":["a@acme.com","x@evil.com"]}', true],
    [{ not_glob: '*@acme.com' }, '{"v":["a@acme.com"]}', false],
    [{ not_glob: '*@acme.com' }, '{"v":{"email":"a@acme.com"}}', unknown],
    [{ exists: true }, '{"v":null}', true],
    [{ exists: false }, '{}', true],
    [{ any_in: ['a'] }, '{"v":[]}', false],
    ['a', '[{"v":"b"}]', unknown],
    ['a', '"text"', unknown],
    ['a', '{"v":', unknown],
    [{ gt: 1 }, '{"v":1,"v":9}', unknown],
  ])('of a body value, %j on %s is %j', (condition, body, expected) => {
    expect(ofBody(condition, body)).toEqual(expected)
  })

  test('a star token means any element of an array, and nothing else', () => {
    expect(ofBody({ gt: 5 }, '{"items":[{"price":1},{"price":9}]}', '/items/*/price')).toBe(true)
    expect(ofBody({ gt: 5 }, '{"items":[{"price":1},{"name":"x"}]}', '/items/*/price')).toBe(false)
    expect(ofBody({ gt: 5 }, '{"items":[]}', '/items/*/price')).toBe(false)
    const undecided = { cause: 'attribute_unknown', attribute: 'body:/items/*/price' }
    expect(ofBody({ gt: 5 }, '{"items":{"0":{"price":9}}}', '/items/*/price')).toEqual(undecided)
    expect(ofBody({ gt: 5 }, '{"items":[{"price":1},7]}', '/items/*/price')).toEqual(undecided)
  })

  test('pointers reach array elements by index and escaped names', () => {
    expect(ofBody('b', '{"v":["a","b"]}', '/v/1')).toBe(true)
    expect(ofBody('b', '{"v":["a","b"]}', '/v/9')).toBe(false)
    expect(ofBody(1, '{"a/b":{"c~d":1}}', '/a~1b/c~0d')).toBe(true)
    expect(ofBody('x', '"x"', '')).toBe(true)
    expect(ofBody({ exists: true }, '{}', '/constructor')).toBe(false)
  })

  test('the body is parsed only when every other condition matches', () => {
    let reads = 0
    const request = {
      ...(requestWith() as object),
      get body() {
        reads++
        return {}
      },
      method: 'GET',
    } as unknown
    const context = { request: request as PolicyContext['request'] }
    expect(match({ 'body:/v': 1, method: 'POST' }, context)).toBe(false)
    expect(reads).toBe(0)
    expect(match({ 'body:/v': 1, method: 'GET' }, context)).toBe(false)
    expect(reads).toBe(1)
  })
})

describe('check of a when', () => {
  test.each<[When, string, string]>([
    [{ method: { gt: 5 } }, '/when/method/gt', 'operator_not_applicable'],
    [{ agent_id: { any_in: ['x'] } }, '/when/agent_id/any_in', 'operator_not_applicable'],
    [{ port: '443' }, '/when/port', 'wrong_type'],
    [{ method: ['GET', 5] }, '/when/method/1', 'wrong_type'],
    [{ client_ip: '10.0.0.1/8' }, '/when/client_ip', 'invalid_cidr'],
    [{ client_ip: { in: ['0.0.0.0/0'] } }, '/when/client_ip/in/0', 'cidr_too_wide'],
  ])('%j has a fault at %s: %s', (when, pointer, code) => {
    expect(checkWhen(when, '/when')).toEqual([expect.objectContaining({ pointer, code })])
  })

  test.each(['url', 'methods', 'query.', 'body:amount', 'body:/a~2', '__proto__', 'toString'])(
    '%s is no attribute',
    (name) => {
      const body = { when: Object.fromEntries([[name, 'x']]) }
      expect(checkAttributeNames(body)).toEqual([expect.objectContaining({ code: 'unknown_attribute' })])
    },
  )
})
