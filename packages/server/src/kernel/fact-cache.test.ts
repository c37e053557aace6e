import { expect, test } from 'vitest'
import { createFactCache } from './fact-cache.ts'

test('a value is loaded once until a subject of it moves', async () => {
  const cache = createFactCache<number>(10)
  let loads = 0
  const load = async () => ({ value: ++loads, subjects: ['key:1', 'epoch'] })
  expect(await Promise.all([cache.get('a', load), cache.get('a', load)])).toEqual([1, 1])
  cache.forget(['key:2'])
  expect(await cache.get('a', load)).toBe(1)
  cache.forget(['epoch'])
  expect(await cache.get('a', load)).toBe(2)
})

test('a load that was under way when a subject moved is answered and not kept', async () => {
  const cache = createFactCache<string>(10)
  const gate = Promise.withResolvers<void>()
  const slow = cache.get('a', async () => {
    await gate.promise
    return { value: 'old', subjects: ['epoch'] }
  })
  cache.forget(['epoch'])
  const fresh = cache.get('a', async () => ({ value: 'new', subjects: ['epoch'] }))
  gate.resolve()
  expect(await slow).toBe('old')
  expect(await fresh).toBe('new')
  expect(cache.peek('a')).toBe('new')
})

test('what was not found is asked for again, and the least recently used goes first', async () => {
  const cache = createFactCache<number>(2)
  expect(await cache.get('none', async () => undefined)).toBeUndefined()
  expect(await cache.get('none', async () => ({ value: 1, subjects: [] }))).toBe(1)
  await cache.get('b', async () => ({ value: 2, subjects: [] }))
  await cache.get('none', async () => undefined)
  await cache.get('c', async () => ({ value: 3, subjects: [] }))
  expect([cache.peek('none'), cache.peek('b'), cache.peek('c')]).toEqual([1, undefined, 3])
  expect(cache.size).toBe(2)
})
