import { Environment } from '@marcbachmann/cel-js'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { contextOf, requestWith } from '../context-for-tests.ts'
import { UNKNOWN } from '../fact.ts'
import { createMoment } from '../moment.ts'
import type { PolicyContext } from '../policy-context.ts'
import { type CelMatch, compileCel, isCelFault } from './compile-cel.ts'

const NOW = Date.parse('2026-03-29T01:30:15.250Z')

function evaluate(expression: string, context: Partial<PolicyContext> = {}): CelMatch {
  const compiled = compileCel(expression)
  if (isCelFault(compiled)) throw new Error(`${compiled.message} at ${compiled.line}:${compiled.column}`)
  return compiled.evaluate(createMoment(contextOf(context), NOW, 'request'))
}
const withBody = (expression: string, body: string) =>
  evaluate(expression, { request: requestWith({ method: 'POST', body }) })
const retrieve = { mode: 'retrieve', request: UNKNOWN } as const

describe('CEL', () => {
  test.each([
    ['request.method == "GET" && request.path.startsWith("/v1/")', true],
    ['request.port == 443 && request.port > 442 && request.port in [80, 443]', true],
    ['request.host.endsWith(".example.com") && !request.host.contains("evil")', true],
    ['glob("/v1/*", request.path) && !glob("/v1/*", "/v1/a/b") && glob("*@a.com", "x/y@a.com")', true],
    ['cidr("198.51.100.0/24").contains(client.ip)', true],
    ['["10.0.0.0/8", "198.51.0.0/16"].exists(c, cidr(c).contains(client.ip))', true],
    ['request.path.matches("^/v[0-9]+/")', true],
    ['agent.id == null && grant.label == null', true],
    ['agent.id == "x"', false],
    ['size(request.header_names) == 0 && "héé".size() == 3', true],
    ['"X" in {"X": 1, "y": 2} && {"a": [1, 2]}["a"][1] == 2', true],
    ['[1, 2, 3].filter(n, n > 1).map(n, n * 2) == [4, 6]', true],
    ['[1, 2, 3].map(n, n > 1, n * 2) == [4, 6]', true],
    ['[1, 2, 2].exists_one(n, n == 2)', false],
    ['[[1, 2], [3]].all(l, l.exists(n, n > 1))', true],
    ['7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1 && 1.5 * 2.0 == 3.0', true],
    ['int("42") == 42 && double(3) == 3.0 && string(42) == "42" && int(3.9) == 3', true],
    [
      'timestamp("2026-03-29T01:00:00Z") < now && now - timestamp("2026-03-29T01:00:15Z") == duration("30m0.25s")',
      true,
    ],
    ['now + duration("-1h") < now && duration("1h30m").getMinutes() == 90', true],
    ['now.getHours() == 1 && now.getHours("Europe/Paris") == 3 && now.getDayOfWeek() == 0', true],
    ['now.getFullYear() == 2026 && now.getMonth() == 2 && now.getDate() == 29 && now.getDayOfMonth() == 28', true],
    [
      'now.getDayOfYear() == 87 && now.getMinutes() == 30 && now.getSeconds() == 15 && now.getMilliseconds() == 250',
      true,
    ],
    ['grant.created_at < now && phase == "request" && mode == "proxy"', true],
    ['"Ab".lowerAscii() == "ab" && "Äb".upperAscii() == "ÄB"', true],
    ['true ? false : true', false],
  ])('%s is %s', (expression, expected) => {
    expect(evaluate(expression)).toBe(expected)
  })

  test('reads a JSON body: its numbers are doubles and compare with integers by value', () => {
    expect(withBody('request.body.amount > 500', '{"amount":600}')).toBe(true)
    expect(withBody('request.body.amount == 500', '{"amount":500}')).toBe(true)
    expect(withBody('request.body.amount * 2.0 > 1000.0', '{"amount":500.5}')).toBe(true)
    expect(withBody('request.body.to.all(t, t.endsWith("@acme.com"))', '{"to":["a@acme.com","b@evil.com"]}')).toBe(
      false,
    )
    expect(withBody('has(request.body.a) && !has(request.body.b)', '{"a":null}')).toBe(true)
    expect(withBody('has(request.body.constructor)', '{}')).toBe(false)
  })

  test.each([
    ['request.body.amount > 500', '{"currency":"eur"}'],
    ['request.body.amount > 500', '{"amount":"600"}'],
    ['request.body.amount + 1 > 0', '{"amount":1}'],
    ['request.body.toString == "x"', '{}'],
    ['request.body', '{"a":1}'],
    ['request.body.a && true', '{"a":1}'],
    ['request.body.list[3] == 1', '{"list":[1]}'],
    ['request.body.list.exists(n, n.x == 1)', '{"list":[1]}'],
    ['!request.body.a', '{"a":"false"}'],
    ['request.body.n.matches("(a+)+$")', '{"n":5}'],
    ['9223372036854775807 + 1 > 0', '{}'],
    ['1 / 0 == 1', '{}'],
    ['timestamp(request.body.t) < now', '{"t":"tomorrow"}'],
    ['{"a": 1, "a": 2} == {}', '{}'],
  ])('%s has no result for %s', (expression, body) => {
    expect(withBody(expression, body)).toBe('failed')
  })

  test('an error or unknown beside a side that decides alone is not asked', () => {
    expect(withBody('request.body.x == 1 || true', '{}')).toBe(true)
    expect(withBody('true || request.body.x == 1', '{}')).toBe(true)
    expect(withBody('request.body.x == 1 && false', '{}')).toBe(false)
    expect(evaluate('request.method == "GET" && mode == "proxy"', retrieve)).toBe(false)
    expect(evaluate('[1, 2].exists(n, request.method == "GET" || n == 2)', retrieve)).toBe(true)
  })

  test('an unknown attribute makes the result unknown and is named', () => {
    const undecided = (attribute: string) => ({ cause: 'request_shape_unavailable', attribute })
    expect(evaluate('request.method == "GET"', retrieve)).toEqual(undecided('request.method'))
    expect(evaluate('!(request.method == "GET") && mode == "retrieve"', retrieve)).toEqual(undecided('request.method'))
    expect(evaluate('has(request.body.amount)', retrieve)).toEqual(undecided('request.body'))
    expect(evaluate('request.method == "GET" ? false : false', retrieve)).toEqual(undecided('request.method'))
    expect(evaluate('["a"].all(x, request.path == x)', retrieve)).toEqual(undecided('request.path'))
    expect(evaluate('client.ip == "x"', { clientIp: UNKNOWN })).toEqual({
      cause: 'attribute_unknown',
      attribute: 'client.ip',
    })
  })

  test('of an error and an unknown the error is told, from either side', () => {
    expect(evaluate('request.method == "GET" || context.extra.none == "x"', retrieve)).toBe('failed')
    expect(evaluate('context.extra.none == "x" || request.method == "GET"', retrieve)).toBe('failed')
  })

  test('spending too much fails, whatever stands beside it', () => {
    const list = JSON.stringify(Array.from({ length: 300 }, (_, i) => i))
    const costly = `request.body.l.all(a, request.body.l.all(b, a + b >= 0.0))`
    expect(withBody(costly, `{"l":${list}}`)).toBe('failed')
    expect(withBody(`${costly} || true`, `{"l":${list}}`)).toBe('failed')
    expect(withBody('request.body.t.contains("b")', `{"t":"${'a'.repeat(200_000)}"}`)).toBe('failed')
  })

  test('a list that is too long for a macro fails', () => {
    const list = (length: number) => `{"l":[${Array.from({ length }, () => 1).join(',')}]}`
    expect(withBody('request.body.l.exists(n, n == 2)', list(1_000))).toBe(false)
    expect(withBody('request.body.l.exists(n, n == 2)', list(1_001))).toBe('failed')
  })

  test('a regular expression that backtracking would never end is answered', () => {
    expect(withBody('request.body.s.matches("^(a+)+$")', `{"s":"${'a'.repeat(2_000)}b"}`)).toBe(false)
  })

  test.each([
    ['request.metod == "GET"', 1, 9],
    ['foo == 1', 1, 1],
    ['1 +', 1, 4],
    ['true &&\n  request.nope', 2, 11],
    ['request.method', 1, 1],
    ['request == request', 1, 1],
    ['cel.bind(x, 1, x == 1)', 1, 1],
    ['request.path.split("/").size() > 1', 1, 1],
    ['[1].all(now, now == 1)', 1, 9],
    ['b"x" == b"x"', 1, 1],
    ['type(1) == int', 1, 1],
    ['request.?path == "x"', 1, 9],
  ])('%s cannot be saved', (expression, line, column) => {
    const compiled = compileCel(expression)
    expect(isCelFault(compiled)).toBe(true)
    expect(compiled).toMatchObject({ line, message: expect.stringMatching(/^[^\n]+$/) })
    if (column > 1) expect(compiled).toMatchObject({ column })
  })

  test('an expression that looks at nothing is known beforehand', () => {
    expect(compileCel('1 == 2')).toMatchObject({ constant: false })
    expect(compileCel('1 / 0 == 2')).toMatchObject({ constant: 'failed' })
    expect(compileCel('mode == "proxy"')).toMatchObject({ constant: undefined })
  })

  test('agrees with the library wherever both have a value', () => {
    const library = new Environment({ homogeneousAggregateLiterals: false })
    const { expression } = fc.letrec<Record<'expression' | 'int' | 'list', string>>((tie) => ({
      int: fc.oneof(
        { maxDepth: 3 },
        fc.integer({ min: -5, max: 5 }).map(String),
        fc
          .tuple(tie('int'), fc.constantFrom('+', '-', '*', '/', '%'), tie('int'))
          .map(([a, op, b]) => `(${a} ${op} ${b})`),
        tie('list').map((list) => `size(${list})`),
        fc.tuple(tie('expression'), tie('int'), tie('int')).map(([c, a, b]) => `(${c} ? ${a} : ${b})`),
      ),
      list: fc.oneof(
        { maxDepth: 2 },
        fc.array(tie('int'), { maxLength: 3 }).map((elements) => `[${elements.join(', ')}]`),
        fc.tuple(tie('list'), tie('int')).map(([list, n]) => `${list}.filter(x, x > ${n})`),
        fc.tuple(tie('list'), tie('int')).map(([list, n]) => `${list}.map(x, x * ${n})`),
      ),
      expression: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom('true', 'false', '"ab".startsWith("a")', '"a" < "b"'),
        fc
          .tuple(tie('int'), fc.constantFrom('==', '!=', '<', '<=', '>', '>='), tie('int'))
          .map(([a, op, b]) => `(${a} ${op} ${b})`),
        fc
          .tuple(tie('expression'), fc.constantFrom('&&', '||'), tie('expression'))
          .map(([a, op, b]) => `(${a} ${op} ${b})`),
        tie('expression').map((e) => `!(${e})`),
        fc.tuple(tie('int'), tie('list')).map(([n, list]) => `(${n} in ${list})`),
        fc
          .tuple(tie('list'), fc.constantFrom('all', 'exists', 'exists_one'), tie('int'))
          .map(([list, macro, n]) => `${list}.${macro}(x, x > ${n})`),
      ),
    }))
    let compared = 0
    fc.assert(
      fc.property(expression, (text) => {
        let expected: unknown
        try {
          expected = library.evaluate(text)
        } catch {
          expected = 'failed'
        }
        const compiled = compileCel(text)
        if (isCelFault(compiled)) return
        compared++
        expect(compiled.constant).toBe(expected)
      }),
      { numRuns: 1_000 },
    )
    expect(compared).toBeGreaterThan(500)
  })
})
