import { apiKey, audited, managementApi, noAudit, operator, sdkApi } from '@alter-vault/contracts'
import Type from 'typebox'
import { expect, expectTypeOf, it } from 'vitest'
import { Answer } from './answer.ts'
import { bind, bindFor } from './bind-endpoint.ts'

const renameKey = managementApi.defineEndpoint({
  id: 'rename_key',
  method: 'PATCH',
  path: '/api/v1/apps/:app_id/keys/:key_id',
  summary: 'Rename a key',
  tag: 'keys',
  access: operator({ scope: 'keys:write' }),
  params: Type.Object({ app_id: Type.String(), key_id: Type.String() }),
  body: Type.Object({ name: Type.String(), note: Type.Optional(Type.String()) }),
  success: Type.Object({ name: Type.String() }),
  errors: ['key_not_found'],
  audit: audited('key.updated'),
  versioned: true,
})

const readMe = sdkApi.defineEndpoint({
  id: 'read_me',
  method: 'GET',
  path: '/sdk/me',
  summary: 'Read the agent that calls',
  tag: 'agents',
  access: apiKey({ scopes: ['agents:read'] }),
  success: Type.Object({ agent_id: Type.String() }),
  errors: [],
  audit: noAudit('reads nothing secret'),
})

const bindForOperators = bindFor<'operator', { memberId: string }>()

it('gives a handler the types of its declaration', () => {
  bindForOperators(renameKey, async (call) => {
    expectTypeOf(call.params).toEqualTypeOf<{ app_id: string; key_id: string }>()
    expectTypeOf(call.body).toEqualTypeOf<{ name: string; note?: string }>()
    expectTypeOf(call.principal).toEqualTypeOf<{ memberId: string }>()
    expectTypeOf(call.expectedVersion).toEqualTypeOf<number>()
    return { name: call.body.name }
  })
  bind(readMe, async (call) => {
    expectTypeOf(call.principal).toEqualTypeOf<unknown>()
    expectTypeOf(call.expectedVersion).toEqualTypeOf<null>()
    return new Answer({ headers: { 'X-Alter-Actor-ID': 'x' }, body: { agent_id: 'a' } })
  })
  // @ts-expect-error another kind of access has other callers
  bindForOperators(readMe, async () => ({ agent_id: 'a' }))
  // @ts-expect-error the success value lacks agent_id
  bind(readMe, async () => ({}))
})

it('keeps the declaration it was bound to', () => {
  expect(bind(readMe, async () => ({ agent_id: 'a' })).endpoint.path).toBe('/sdk/me')
})
