import { expect, it } from 'vitest'
import { addVersion, addVersions, isStale, joinVersions, readVersionsOf } from './read-versions.ts'

const of = (subject: string, version: number) => ({ subject, version })

it('joins what was read, each subject once', () => {
  const read = readVersionsOf([of('epoch', 1), of('key:1', 4)])
  addVersions(read, [of('epoch', 1), of('grant:1', 0)])
  expect(joinVersions(read)).toEqual([of('epoch', 1), of('key:1', 4), of('grant:1', 0)])
})

it('is stale once two versions of one subject were read, whichever came first', () => {
  for (const [first, second] of [
    [1, 2],
    [2, 1],
  ] as const) {
    const read = readVersionsOf([of('epoch', first), of('key:1', 1)])
    addVersion(read, of('epoch', second))
    addVersion(read, of('epoch', first))
    expect(joinVersions(read)).toEqual({ kind: 'stale', subjects: ['epoch'] })
  }
})

it('tells a stale value from any other', () => {
  expect(isStale(joinVersions(readVersionsOf([of('epoch', 1)])))).toBe(false)
  expect(isStale({ kind: 'stored', subjects: [] } as object)).toBe(false)
  expect(isStale({ kind: 'stale', subjects: [] })).toBe(true)
})
