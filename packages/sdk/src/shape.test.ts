import { describe, expect, test } from 'vitest'
import { type Call, requestOf } from './call.ts'
import { AlterValueError } from './generated/errors.ts'
import { FIELDS, type Fields, Model, readEach, writeObject } from './shape.ts'

class Part extends Model<object> {
  static override readonly [FIELDS]: Fields = { part_id: { type: 'string', min: 1 } }
}
class Whole extends Model<object> {
  static override readonly [FIELDS]: Fields = {
    kind_name: { enum: ['whole'] },
    parts: { type: 'array', min: 1, items: { oneOf: () => [Part] } },
    by_name: { type: 'object', values: { oneOf: () => [Part] }, default: {} },
    user_data: { nullable: true, default: null },
    known_word: { enum: ['a', 'b'], nullable: true, nullWhenUnknown: true, default: null },
    must_be_there: { type: 'string', nullable: true },
  }
}
const WHOLE = { kind_name: 'whole', parts: [{ part_id: 'a' }], must_be_there: null }

const refusal = (act: () => unknown): AlterValueError => {
  try {
    act()
  } catch (error) {
    return error as AlterValueError
  }
  throw new Error('nothing was refused')
}

describe('reading', () => {
  test('translates names that the table holds, and no other key', () => {
    const inner = { snake_key: { part_id: 1 }, camelKey: [{ grant_id: 2 }] }
    const whole = new Whole({ ...WHOLE, by_name: { some_key: { part_id: 'b' } }, user_data: inner, new_field: 1 })
    expect(whole).toMatchObject({ kindName: 'whole', byName: { some_key: { partId: 'b' } }, userData: inner })
    expect(whole).not.toHaveProperty('newField')
    expect(whole.toJSON()).toEqual({
      ...WHOLE,
      by_name: { some_key: { part_id: 'b' } },
      user_data: inner,
      known_word: null,
    })
  })

  test('fills in what absence means, each time anew', () => {
    const [one, other] = [new Whole(WHOLE), new Whole(WHOLE)] as unknown as { byName: Record<string, string> }[]
    one!.byName.mine = 'x'
    expect(other!.byName).toEqual({})
  })

  test('takes an unknown value for none where the contract says so, and only there', () => {
    expect(new Whole({ ...WHOLE, known_word: 'new' })).toMatchObject({ knownWord: null })
    expect(refusal(() => new Whole({ ...WHOLE, kind_name: 'new' })).message).toBe(
      '"kind_name" of Whole must be "whole"',
    )
  })

  test.each([
    [{ must_be_there: undefined }, '"must_be_there" of Whole must be a string'],
    [{ by_name: null }, '"by_name" of Whole must be an object'],
    [{ parts: [] }, '"parts" of Whole must be a list of at least 1 items'],
    [{ parts: [7] }, '"parts" of Whole must be a list of at least 1 items'],
    [{ parts: [{ part_id: '' }] }, '"part_id" of Part must be a string of at least 1 characters'],
  ])('refuses %j', (fields, message) => {
    const error = refusal(() => new Whole({ ...WHOLE, ...fields }))
    expect(error).toBeInstanceOf(AlterValueError)
    expect(error.message).toBe(message)
    expect(error.details.field).toBe(/"(.*?)"/.exec(message)![1])
  })

  test('does not read fields of the prototype', () => {
    expect(() => new Part(Object.create({ part_id: 'a' }))).toThrow('"part_id"')
  })

  test('of a list leaves out what does not fit', () => {
    expect(readEach(Part[FIELDS], [{ part_id: 'a', more: 1 }, { part_id: 7 }, null, 'x'])).toEqual([{ partId: 'a' }])
    expect(readEach(Part[FIELDS], 'x')).toEqual([])
  })
})

const GIVEN: Fields = {
  page_size: { type: 'integer', min: 1, max: 9, optional: true, default: 5 },
  user_data: { type: 'object', optional: true },
  owner: {
    oneOf: () => [
      { fields: { type: { enum: ['user'] }, user_token: { type: 'string', max: 3 } } },
      { fields: { type: { enum: ['app'] } } },
    ],
  },
}

describe('writing', () => {
  test('keeps the order of the table, leaves out undefined and keeps null', () => {
    const inner = { camelKey: 1, snake_key: 2 }
    const given = { owner: { type: 'user', userToken: 'abc' }, userData: inner, pageSize: undefined }
    expect(JSON.stringify(writeObject(GIVEN, given))).toBe(
      '{"page_size":5,"user_data":{"camelKey":1,"snake_key":2},"owner":{"type":"user","user_token":"abc"}}',
    )
    expect(writeObject(GIVEN, { owner: { type: 'app' }, userData: null })).toEqual({
      page_size: 5,
      user_data: null,
      owner: { type: 'app' },
    })
  })

  test('counts characters, not the halves that some are made of', () => {
    expect(() => writeObject(GIVEN, { owner: { type: 'user', userToken: '😀😀😀' } })).not.toThrow()
  })

  test.each([
    [{ pageSize: 10 }, '"pageSize" must be an integer from 1 to 9'],
    [{ pageSize: 1.5 }, '"pageSize" must be an integer from 1 to 9'],
    [{ page_size: 1 }, '"page_size" is not known'],
    [{ owner: { type: 'group' } }, '"owner" must be an object whose "type" is "user" or "app"'],
    [{ owner: { type: 'user', userToken: 'abcd' } }, '"userToken" of "owner" must be a string of at most 3 characters'],
    [{ owner: { type: 'app', user_token: 'a' } }, '"user_token" of "owner" is not known'],
    [{ owner: undefined }, '"owner" must be an object whose "type" is "user" or "app"'],
  ])('refuses %j', (fields, message) => {
    expect(refusal(() => writeObject(GIVEN, { owner: { type: 'app' }, ...fields })).message).toBe(message)
  })
})

describe('a call', () => {
  type Input = { thingId: string; dryRun?: boolean; newName: string }
  const call: Call<Input, object> = {
    method: 'POST',
    path: '/sdk/things/:thing_id/rename',
    query: { dry_run: { type: 'boolean', optional: true } },
    body: { new_name: { type: 'string' } },
    answers: {},
  }

  test('puts what it is given into path, query and body', () => {
    expect(requestOf(call, { thingId: 'a/b?c', newName: 'x', dryRun: true })).toEqual({
      method: 'POST',
      path: '/sdk/things/a%2Fb%3Fc/rename?dry_run=true',
      body: { new_name: 'x' },
    })
    expect(requestOf(call, { thingId: 'a', newName: 'x' }).path).toBe('/sdk/things/a/rename')
  })

  test('without a body in its table has none', () => {
    const { body: _body, ...bare } = call
    expect(requestOf<{ thingId: string }>({ ...bare }, { thingId: 'a' })).not.toHaveProperty('body')
  })

  test.each(['', 7, undefined])('refuses %j in its path', (thingId) => {
    expect(() => requestOf(call, { thingId: thingId as string, newName: 'x' })).toThrow('"thingId"')
  })
})
