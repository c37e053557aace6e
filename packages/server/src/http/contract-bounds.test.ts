import { expect, test } from 'vitest'
import type { JsonSchema } from '../kernel/json-schema.ts'
import { declaredEndpoints } from './declared-endpoints.ts'

/** Every schema inside a schema, with its place. */
function* partsOf(schema: unknown, place: string): Generator<[string, JsonSchema]> {
  if (typeof schema !== 'object' || schema === null) return
  yield [place, schema as JsonSchema]
  for (const [name, part] of Object.entries(schema)) yield* partsOf(part, `${place}/${name}`)
}

const asked = declaredEndpoints.flatMap((endpoint) =>
  (['params', 'query', 'headers', 'body'] as const).flatMap((part) => [
    ...partsOf(endpoint[part], `${endpoint.id} ${part}`),
  ]),
)
const answered = declaredEndpoints.flatMap((endpoint) => [...partsOf(endpoint.success, endpoint.id)])

test('attack F20: every integer that a caller may send has an end that the store can hold', () => {
  const integers = asked.filter(([, { type }]) => type === 'integer')
  expect(integers.length).toBeGreaterThan(50)
  const open = integers.filter(
    ([, { minimum, maximum }]) =>
      !Number.isSafeInteger(minimum) || !Number.isSafeInteger(maximum) || maximum! > Number.MAX_SAFE_INTEGER,
  )
  expect(open.map(([place]) => place)).toEqual([])
})

test('a status of a provider may have any three digits, wherever one is asked for or answered', () => {
  const statuses = [...asked, ...answered].filter(
    ([place, { type }]) => /(status_code|response_status)(\/anyOf\/\d)?$/.test(place) && type === 'integer',
  )
  expect(statuses.length).toBeGreaterThan(3)
  expect(statuses.filter(([, { maximum }]) => maximum !== 999).map(([place]) => place)).toEqual([])
})
