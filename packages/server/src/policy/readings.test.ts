import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { appendQuery } from '../egress/append-query.ts'
import { canonicalUrl } from '../egress/canonical-url.ts'
import { compileCel } from './cel/compile-cel.ts'
import { compileWhen } from './condition.ts'
import { contextOf, requestWith } from './context-for-tests.ts'
import { createMoment } from './moment.ts'
import { readPath } from './path-readings.ts'
import type { PolicyContext } from './policy-context.ts'
import { compileRequestMatch } from './rule-types/request-match.ts'

/*
 * Whatever a server makes of a request that is let through: a restriction fires when one of the servers modelled here reads what it is
 * about, and an allow list passes only what all of them read as allowed. The models know nothing of the product.
 */

const at = (request: PolicyContext['request']) => createMoment(contextOf({ request }), 0, 'request')
const accepted = <T>(read: () => T): T | undefined => {
  try {
    return read()
  } catch {
    return undefined
  }
}

describe('a path', () => {
  const decode = (path: string) => accepted(() => decodeURIComponent(path)) ?? path
  /** What servers do to a path, each by itself; they do several, in any order. */
  const STEPS: ((path: string) => string)[] = [
    decode,
    (path) => path.replace(/\/+/g, '/'),
    (path) => path.replace(/;[^/]*/g, ''),
    (path) => path.replace(/[. ]+(?=\/|$)/g, ''),
    (path) => path.toLowerCase(),
    (path) => (path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path),
  ]
  const server = fc.array(fc.constantFrom(...STEPS.keys()), { maxLength: 8 })
  const read = (path: string, steps: readonly number[]) => steps.reduce((now, step) => STEPS[step]!(now), path)

  const piece = fc.constantFrom(
    ...[
      'admin',
      'Admin',
      '%61dmin',
      'a',
      'x',
      'X.',
      'public',
      '%2F',
      '%2f',
      '%252F',
      '%20',
      '%2520',
      '.',
      '..',
      ';v=1',
      ';',
      '%3B',
    ],
    ...['/', '//', '/', '/', '%EF%BC%8F', '..%2F', '%2e', 'admin;a', 'é'],
  )
  const raw = fc.array(piece, { minLength: 1, maxLength: 9 }).map((pieces) => `/${pieces.join('')}`)
  const path = raw
    .map((text) => accepted(() => canonicalUrl(`https://api.example.com${text}`).path))
    .filter((one) => one !== undefined)

  test.each(['/admin/**', '/admin/x', '/admin'])('that any server reads as %s meets a restriction on it', (glob) => {
    const folder = glob.replace('/**', '')
    const isMeant = (reading: string) =>
      reading === folder || reading === `${folder}/` || (glob.endsWith('**') && reading.startsWith(`${folder}/`))
    const when = compileWhen({ path: { glob } })
    fc.assert(
      fc.property(path, server, (sent, steps) => {
        if (isMeant(read(sent, steps))) expect(when(at(requestWith({ path: sent })))).not.toBe(false)
      }),
      { numRuns: 3_000 },
    )
  })

  test('that an allow list lets through is inside it for every server', () => {
    const allow = compileRequestMatch({ allow: { paths: ['/public/**', '/a/*'] } })
    const isInside = (reading: string) =>
      /^\/public(\/|$)/i.test(reading) || /^\/a\/[^/]*$/i.test(reading) || reading === '/a'
    /** Letter case is not among the readings of an allow list: what it names is compared as it is written. */
    fc.assert(
      fc.property(path, server, (sent, steps) => {
        if (allow(at(requestWith({ path: sent }))) !== null) return
        expect(isInside(read(sent, steps)), read(sent, steps)).toBe(true)
      }),
      { numRuns: 3_000 },
    )
  })

  test('in plain spelling has one reading, and finding the others takes time by its length alone', () => {
    for (const plain of ['/', '/v1/refunds', '/repos/acme/x-y_z~1']) expect(readPath(plain).all).toEqual([plain])
    for (const long of [
      '%2525'.repeat(12_000),
      '%253'.repeat(15_000) + '5'.repeat(5_000),
      '.'.repeat(60_000),
      '/;'.repeat(30_000),
    ]) {
      const began = performance.now()
      accepted(() => readPath(canonicalUrl(`https://api.example.com/${long}a`).path))
      expect(performance.now() - began).toBeLessThan(500)
    }
  })

  test('that is too long to tell meets every restriction and is in no allow list', () => {
    const request = requestWith({ path: `/${'x/'.repeat(5_000)}%2Fadmin` })
    expect(compileWhen({ path: '/admin' })(at(request))).toMatchObject({ cause: 'attribute_unknown' })
    expect(compileRequestMatch({ allow: { paths: ['/**'] } })(at(request))).not.toBeNull()
    const cel = compileCel("request.path == '/admin'")
    expect('evaluate' in cel && cel.evaluate(at(request))).toMatchObject({ attribute: 'request.path' })
  })
})

describe('a query or a form', () => {
  const decode = (text: string) => accepted(() => decodeURIComponent(text.replaceAll('+', ' '))) ?? text
  const pairsAt = (separator: RegExp) => (query: string) =>
    query.split(separator).map((pair) => decode(pair.split('=', 1)[0]!))
  /** The names that a server finds in a query. */
  const SERVERS: Record<string, (query: string) => string[]> = {
    standard: pairsAt(/&/),
    rack: (query) => pairsAt(/[&;] */)(query).map((name) => /^[[\]]*([^[\]]+)\]*/.exec(name)?.[1] ?? name),
    php: (query) =>
      pairsAt(/&/)(query).map((name) =>
        name
          .split('\0', 1)[0]!
          .trimStart()
          .replace(/(?<=.)\[.*$/, '')
          .replace(/[ .[]/g, '_'),
      ),
    dotnet: (query) => pairsAt(/&/)(query).map((name) => name.toLowerCase()),
    qs: (query) => pairsAt(/&/)(query).map((name) => name.replace(/^\[/, '').split(/[[\].]/, 1)[0]!),
  }
  const name = fc
    .array(fc.constantFrom('force', 'Force', 'f%6Frce', '[', ']', '+', '%20', '.', '%00', 'x', '_', '%5B'), {
      minLength: 1,
      maxLength: 4,
    })
    .map((parts) => parts.join(''))
  const query = fc
    .array(fc.tuple(name, fc.constantFrom('&', ';', '&&', '; ')), { minLength: 1, maxLength: 4 })
    .map((pairs) => pairs.map(([one, separator]) => `${one}=1${separator}`).join(''))
  const canonical = query.map((text) => canonicalUrl(`https://api.example.com/?${text}`).query)

  test.each(Object.entries(SERVERS))('in which %s finds a name meets a restriction on it', (_, namesIn) => {
    const when = compileWhen({ 'query.force': { exists: true } })
    fc.assert(
      fc.property(canonical, (text) => {
        if (namesIn(text).includes('force')) expect(when(at(requestWith({ query: text }))), text).not.toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })

  test('that names nothing of the kind is let through', () => {
    const when = compileWhen({ 'query.force': { exists: true } })
    for (const text of ['', 'a=force', 'expand[]=force&page=1', 'filter[x]=1', 'enforce=1']) {
      expect([text, when(at(requestWith({ query: text })))]).toEqual([text, false])
    }
  })

  test('built from members can be spelled in no way that a rule misses', () => {
    const when = compileWhen({ 'query.force': { exists: true } })
    const url = canonicalUrl('https://api.example.com/')
    for (const member of ['force', ' force', 'Force', 'force[]', 'force.x', 'force\u0000x', '[force']) {
      expect(when(at(requestWith({ query: appendQuery(url, { [member]: '1' }).query })))).not.toBe(false)
    }
  })
})

describe('a body', () => {
  const fold = (name: string) => name.normalize('NFKC').toLowerCase()
  /** The amount that a reader finds in JSON. */
  const READERS: Record<string, (members: [string, number][]) => number | undefined> = {
    'the last of exact names': (members) => members.findLast(([name]) => name === 'amount')?.[1],
    'the first of exact names': (members) => members.find(([name]) => name === 'amount')?.[1],
    'the last of folded names': (members) => members.findLast(([name]) => fold(name) === 'amount')?.[1],
    'the first of folded names': (members) => members.find(([name]) => fold(name) === 'amount')?.[1],
  }
  const member = fc.tuple(
    fc.constantFrom('amount', 'Amount', 'AMOUNT', '\uFF41mount', 'amoun\u0074', 'note'),
    fc.constantFrom(1, 600),
  )
  const types = fc.constantFrom(
    ...[
      'application/json',
      'application/json; charset=utf-8',
      'application/json;v=1',
      'application/vnd.api+json',
      'text/json',
      'text/plain',
    ],
  )

  test.each(Object.entries(READERS))('in which %s is too much meets a rule on the amount', (_, amountOf) => {
    const when = compileWhen({ 'body:/amount': { gt: 500 } })
    fc.assert(
      fc.property(fc.array(member, { maxLength: 4 }), types, (members, type) => {
        const body = Buffer.from(`{${members.map(([name, value]) => `${JSON.stringify(name)}:${value}`).join(',')}}`)
        if ((amountOf(members) ?? 0) <= 500) return
        expect(when(at(requestWith({ method: 'POST', headers: [['content-type', type]], body })))).not.toBe(false)
      }),
    )
  })

  test('of a type that is not plain JSON or a plain form is known to nobody', () => {
    const when = compileWhen({ 'body:/amount': { eq: 999_999 } })
    const parameter = fc.stringMatching(/^; ?[a-z]{1,8}="?[ -~]{0,12}"?$/)
    const type = fc.constantFrom(
      'application/json',
      'application/x-www-form-urlencoded',
      'text/plain',
      'multipart/form-data',
    )
    const body = Buffer.from('{"amount":1}')
    fc.assert(
      fc.property(type, parameter, (media, more) => {
        if (/^; ?charset="?utf-8"?$/i.test(more)) return
        const headers: [string, string][] = [['content-type', media + more]]
        expect(when(at(requestWith({ method: 'POST', headers, body })))).not.toBe(false)
      }),
    )
  })
})
