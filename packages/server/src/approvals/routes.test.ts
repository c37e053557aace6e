import * as contracts from '@alter-vault/contracts'
import { expect, test } from 'vitest'
import type { Approvals } from './create-approvals.ts'
import { createApprovalRoutes } from './routes.ts'

/** No function of the slice may be needed to refuse. */
const routes = createApprovalRoutes({} as Approvals)

test('every endpoint about approvals is served, and nothing else', () => {
  const declared = Object.values(contracts)
    .filter((value) => typeof value === 'object' && 'tag' in value && value.tag === 'approvals')
    .map((value) => (value as contracts.Endpoint).id)
  expect(routes.map((route) => route.endpoint.id).sort()).toEqual(declared.sort())
})

test('a token never decides, whatever it may do', async () => {
  const decide = routes.find((route) => route.endpoint.id === 'decide_approval_as_operator')!
  expect(decide.endpoint.access).toMatchObject({ kind: 'operator', needs: { scope: null, inPerson: true } })
  await expect(decide.handler({} as never)).rejects.toThrow('never reached')
})
