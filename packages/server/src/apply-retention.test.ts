import { expect, test } from 'vitest'
import { createApplyRetention } from './apply-retention.ts'
import { silentLog } from './kernel/log.ts'

const SCOPES = [
  { organizationId: 'o1', appIds: ['a1', 'a2'] },
  { organizationId: 'o2', appIds: [] },
]

test('every scope is visited, and a failure of one does not hold up the others', async () => {
  const visited: string[] = []
  const visit = (what: string) => async (scopeId: string) => {
    visited.push(`${what} ${scopeId}`)
    if (scopeId === 'a1') throw new Error('a damaged row')
  }
  const deps = { readScopes: async () => SCOPES, inScopes: [visit('answers')], inApps: [visit('approvals')] }
  await createApplyRetention({ ...deps, log: silentLog })()
  expect(visited).toEqual(['answers o1', 'answers a1', 'approvals a1', 'answers a2', 'approvals a2', 'answers o2'])
})

test('it stops between two steps when the server stops', async () => {
  const stopping = new AbortController()
  const visited: string[] = []
  const inScopes = [
    async (scopeId: string, signal?: AbortSignal) => {
      visited.push(scopeId)
      stopping.abort()
      expect(signal?.aborted).toBe(true)
    },
  ]
  await createApplyRetention({ readScopes: async () => SCOPES, inScopes, inApps: [], log: silentLog })(stopping.signal)
  expect(visited).toEqual(['o1'])
})
