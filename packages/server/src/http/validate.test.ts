import { Name, Nullable, Timestamp, Uuid } from '@alter-vault/contracts'
import fc from 'fast-check'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { describe, expect, it } from 'vitest'
import { explainMismatch } from '../kernel/explain-mismatch.ts'
import { closedSchema, type JsonSchema } from '../kernel/json-schema.ts'
import type { VaultError } from '../kernel/vault-error.ts'
import { compileBody, compileHeaders, compileParams, compileQuery } from './validate.ts'

const SDK = { problem: false, nullIsAbsent: true }
const API = { problem: true, nullIsAbsent: false }

const refusal = (fn: () => unknown): Pick<VaultError, 'code' | 'message' | 'errors'> => {
  try {
    fn()
  } catch (error) {
    const { code, message, errors } = error as VaultError
    return { code, message, errors }
  }
  throw new Error('accepted')
}

const Person = Type.Object({
  name: Name,
  age: Type.Optional(Type.Integer({ minimum: 0, maximum: 150 })),
  role: Type.Optional(Type.Enum(['owner', 'auditor'])),
  note: Type.Optional(Nullable(Type.String({ maxLength: 5 }))),
  since: Type.Optional(Timestamp),
  home: Type.Optional(Type.Object({ city: Type.String(), zip: Type.Optional(Type.String()) })),
  tags: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { maxItems: 2 })),
  metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
  rule: Type.Optional(
    Type.Union([
      Type.Object({ kind: Type.Literal('limit'), max: Type.Integer() }),
      Type.Object({ kind: Type.Literal('hours'), zone: Type.String() }),
    ]),
  ),
})

describe('a body', () => {
  const check = compileBody(Person, API)
  const checkSdk = compileBody(Person, SDK)

  it('comes back as it was when it fits', () => {
    const person = { name: 'Ann', age: 3, note: null, rule: { kind: 'limit', max: 2 }, metadata: { a: { b: null } } }
    expect(check(person)).toEqual(person)
  })

  it.each([
    [{}, '/name', 'required', '"name" is missing; expected a text'],
    [{ name: 'A', age: 1.5 }, '/age', 'invalid_type', '"age" must be an integer from 0 to 150; got the number 1.5'],
    [
      { name: 'A', age: '7' },
      '/age',
      'invalid_type',
      '"age" must be an integer from 0 to 150; got a text of 1 character',
    ],
    [{ name: 'A', age: 151 }, '/age', 'out_of_range', '"age" must be an integer from 0 to 150; got 151'],
    [{ name: '' }, '/name', 'too_short', '"name" must not be empty'],
    [{ name: 'A', role: 'boss' }, '/role', 'not_allowed_value', '"role" must be "owner" or "auditor"; got "boss"'],
    [{ name: 'A', note: 'too long' }, '/note', 'too_long', '"note" must have at most 5 characters; got 8'],
    [{ name: 'A', note: 5 }, '/note', 'invalid_type', '"note" must be a text or null; got the number 5'],
    [{ name: 'A', home: { zip: 'x' } }, '/home/city', 'required', '"city" is missing; expected a text'],
    [{ name: 'A', home: [] }, '/home', 'invalid_type', '"home" must be an object; got a list'],
    [{ name: 'A', tags: ['a', ''] }, '/tags/1', 'too_short', '"tags"[1] must not be empty'],
    [{ name: 'A', tags: ['a', 'b', 'c'] }, '/tags', 'too_many', '"tags" must have at most 2 elements; got 3'],
    [{ name: 'A', rule: { kind: 'limit' } }, '/rule/max', 'required', '"max" is missing; expected an integer'],
    [
      { name: 'A', rule: { kind: 'other' } },
      '/rule/kind',
      'not_allowed_value',
      '"kind" must be "limit" or "hours"; got "other"',
    ],
    [{ name: 'A', rule: 5 }, '/rule', 'invalid_type', '"rule" must be an object; got the number 5'],
    [
      { name: 'A', since: '2026-01-31' },
      '/since',
      'invalid_format',
      '"since" must be a time with a zone, such as "2026-01-31T09:30:00Z"; got a text of 10 characters of another form',
    ],
    [[], '', 'invalid_type', 'The body must be an object; got a list'],
    [null, '', 'invalid_type', 'The body must be an object; got null'],
  ])('%j is refused at %s', (body, pointer, code, message) => {
    const refused = refusal(() => check(body))
    expect(refused.code).toBe('validation_failed')
    expect(refused.errors).toEqual([{ pointer, code, message }])
    expect(refused.message).toBe(`${message}. Nothing was done.`)
  })

  it('never quotes text that came, unless the schema lists the words', () => {
    const secret = 'hunter2-very-secret-value-of-a-field'
    for (const body of [
      { name: secret.repeat(9) },
      { name: 'A', age: secret },
      { name: 'A', role: secret },
      { name: 'A', since: secret },
    ]) {
      expect(JSON.stringify(refusal(() => check(body)))).not.toContain('hunter2')
    }
  })

  it('refuses unknown members at every depth, with the code of its API', () => {
    const body = { name: 'A', agee: 3, home: { city: 'B', street: 'C' } }
    expect(refusal(() => check(body))).toMatchObject({
      code: 'unknown_field',
      errors: [
        { pointer: '/agee', code: 'unknown_field' },
        { pointer: '/home/street', code: 'unknown_field' },
      ],
    })
    expect(refusal(() => checkSdk(body))).toMatchObject({
      code: 'validation_failed',
      errors: [{ code: 'unknown_field' }, {}],
    })
    expect(refusal(() => check({ ...body, age: -1 })).code).toBe('validation_failed')
    expect(compileBody(Person, { ...SDK, lenient: true })(body)).toEqual(body)
  })

  it('takes the members of every part of an intersection and no others', () => {
    const both = compileBody(
      Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.String() })]),
      API,
    )
    expect(both({ a: '1', b: '2' })).toEqual({ a: '1', b: '2' })
    expect(refusal(() => both({ a: '1', b: '2', c: '3' }))).toMatchObject({
      code: 'unknown_field',
      errors: [{ pointer: '/c', message: '"c" is not a known field; known here: "a", "b"' }],
    })
  })

  it('counts null as absent on the SDK API, but not where null is a value or the caller owns the names', () => {
    const body = { name: 'A', age: null, note: null, home: { city: 'B', zip: null }, metadata: { x: null } }
    expect(checkSdk(body)).toEqual({ name: 'A', note: null, home: { city: 'B' }, metadata: { x: null } })
    expect(refusal(() => checkSdk({ name: null }))).toMatchObject({ errors: [{ pointer: '/name', code: 'required' }] })
    expect(refusal(() => check(body)).errors?.map(({ pointer }) => pointer)).toEqual(['/age', '/home/zip'])
  })

  it('brings names into NFC and refuses what cannot be shown in a list', () => {
    expect(check({ name: 'Cafe\u0301' })).toEqual({ name: 'Caf\u00e9' })
    for (const bad of ['a\u0000b', 'a\nb', 'a\u007fb', 'pay\u202eeht', '\u2066x\u2069', 'a\u2028b']) {
      expect(refusal(() => check({ name: bad }))).toMatchObject({
        code: 'invalid_characters',
        errors: [{ pointer: '/name' }],
      })
    }
    expect(check({ name: '👩‍👩‍👧 שלום' })).toEqual({ name: '👩‍👩‍👧 שלום' })
  })

  it('refuses NUL everywhere, for the store cannot hold it, and no other control character in free text', () => {
    expect(check({ name: 'A', home: { city: 'x\ny' } })).toEqual({ name: 'A', home: { city: 'x\ny' } })
    expect(refusal(() => check({ name: 'A', metadata: { deep: [{ x: '\0' }] } }))).toMatchObject({
      code: 'invalid_characters',
      errors: [{ pointer: '/metadata/deep/0/x' }],
    })
    expect(refusal(() => check({ name: 'A', metadata: { 'a\0': 1 } })).code).toBe('invalid_characters')
  })

  it('keeps a member called __proto__ a member', () => {
    const body = JSON.parse('{"name":"A","metadata":{"__proto__":{"admin":true}}}') as unknown
    const checked = check(body)
    expect(JSON.stringify(checked)).toBe('{"name":"A","metadata":{"__proto__":{"admin":true}}}')
    expect((checked.metadata as { admin?: boolean }).admin).toBeUndefined()
  })

  it('is explained exactly when the compiled check refuses it', () => {
    const closed = closedSchema(Person as unknown as JsonSchema)
    const compiled = Compile(closed as unknown as Type.TSchema)
    const scalar = fc.constantFrom<unknown>(
      null,
      '',
      'owner',
      'A',
      'abcdefgh',
      0,
      3,
      1.5,
      151,
      true,
      '2026-01-31T09:30:00Z',
    )
    const value: fc.Arbitrary<unknown> = fc.letrec<{ any: unknown }>((tie) => ({
      any: fc.oneof(
        { maxDepth: 2 },
        scalar,
        fc.array(tie('any'), { maxLength: 3 }),
        fc.dictionary(fc.constantFrom('kind', 'max', 'zone', 'city', 'zip', 'other'), tie('any')),
        fc.record(
          { kind: fc.constantFrom('limit', 'hours', 'x'), max: scalar, zone: scalar },
          { requiredKeys: ['kind'] },
        ),
      ),
    })).any
    const names = ['name', 'age', 'role', 'note', 'since', 'home', 'tags', 'metadata', 'rule', 'other'] as const
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...names), value), (body) => {
        expect(explainMismatch(closed, body, 'The body').length === 0).toBe(compiled.Check(body))
      }),
      { numRuns: 2_000 },
    )
  })
})

describe('query parameters', () => {
  const List = Type.Object({
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000 })),
    archived: Type.Optional(Type.Boolean()),
    status: Type.Optional(Type.Union([Type.Literal('active'), Type.Literal('revoked')])),
    ids: Type.Optional(Type.Array(Type.Integer())),
    body: Type.Optional(Type.Literal('whole')),
  })
  const check = compileQuery(List, API)
  const query = (text: string) => new URLSearchParams(text)

  it('become the values their schema asks for', () => {
    expect(check(query('limit=20&archived=true&status=active&ids=1&ids=2&body=whole'))).toEqual({
      limit: 20,
      archived: true,
      status: 'active',
      ids: [1, 2],
      body: 'whole',
    })
  })

  it.each([
    'limit=0',
    'limit=1001',
    'limit=1.5',
    'limit=NaN',
    'limit=1e2',
    'limit=',
    'limit=+5',
    'limit=0x10',
    'limit= 5',
    'archived=1',
    'status=x',
    'ids=a',
  ])('refuses %s', (text) => {
    const refused = refusal(() => check(query(text)))
    expect(refused.code).toBe('validation_failed')
    expect(refused.errors![0]!.pointer).toMatch(/^query:/)
  })

  it('refuses a name that comes twice and is no list', () => {
    expect(refusal(() => check(query('limit=1&limit=2')))).toMatchObject({
      code: 'validation_failed',
      errors: [{ pointer: 'query:limit', code: 'repeated' }],
    })
  })

  it('refuses an unknown name with the code of its API', () => {
    expect(refusal(() => check(query('limt=5')))).toMatchObject({
      code: 'unknown_parameter',
      errors: [{ pointer: 'query:limt' }],
    })
    expect(refusal(() => compileQuery(List, SDK)(query('limt=5')))).toMatchObject({
      code: 'validation_failed',
      errors: [{ pointer: 'query:limt', code: 'unknown_field' }],
    })
  })

  it('refuses NUL in a text', () => {
    const search = compileQuery(Type.Object({ q: Type.Optional(Type.String()) }), API)
    expect(refusal(() => search(query('q=%00'))).code).toBe('invalid_characters')
  })
})

describe('path parameters and headers', () => {
  it('a path parameter of a wrong form is named, not refused', () => {
    const check = compileParams(Type.Object({ app_id: Uuid, key_id: Uuid }))
    const id = '018f0000-0000-7000-8000-000000000000'
    expect(check({ app_id: id, key_id: id })).toEqual({ params: { app_id: id, key_id: id } })
    expect(check({ app_id: id, key_id: 'nope' })).toEqual({ wrong: 'key_id' })
    expect(check({ app_id: `${id}\0`, key_id: id })).toEqual({ wrong: 'app_id' })
  })

  it('declared headers are checked, others are left out', () => {
    const check = compileHeaders(Type.Object({ 'x-level': Type.Optional(Type.Enum(['a', 'b'])) }))
    expect(check({ 'x-level': 'a', host: 'x' })).toEqual({ 'x-level': 'a' })
    expect(refusal(() => check({ 'x-level': 'c' }))).toMatchObject({ errors: [{ pointer: 'header:x-level' }] })
  })
})
