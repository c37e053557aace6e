import { audited, defineEndpoint, noAudit } from '@alter-vault/contracts'
import Type from 'typebox'
import { expect, expectTypeOf, it } from 'vitest'
import { answer } from './answer.ts'
import { bind } from './bind-endpoint.ts'
import type { Operator, SdkCaller } from './principals.ts'

const renameKey = defineEndpoint({
  id: 'rename_key',
  method: 'PATCH',
  path: '/api/v1/apps/:app_id/keys/:key_id',
  summary: 'Rename a key',
  tag: 'keys',
  access: { kind: 'operator', scope: 'keys:write' },
  params: Type.Object({ app_id: Type.String(), key_id: Type.String() }),
  body: Type.Object({ name: Type.String(), note: Type.Optional(Type.String()) }),
  success: Type.Object({ name: Type.String() }),
  errors: ['key_not_found'],
  audit: audited('key.updated'),
  versioned: true,
})

const readMe = defineEndpoint({
  id: 'read_me',
  method: 'GET',
  path: '/sdk/me',
  summary: 'Read the agent that calls',
  tag: 'agents',
  access: { kind: 'api_key', scopes: ['agents:read'] },
  success: Type.Object({ agent_id: Type.String() }),
  errors: [],
  audit: noAudit('reads nothing secret'),
})

it('gives a handler the types of its declaration', () => {
  bind(renameKey, async (call) => {
    expectTypeOf(call.params).toEqualTypeOf<{ app_id: string; key_id: string }>()
    expectTypeOf(call.body).toEqualTypeOf<{ name: string; note?: string }>()
    expectTypeOf(call.principal).toEqualTypeOf<Operator>()
    expectTypeOf(call.expectedVersion).toEqualTypeOf<number>()
    return { name: call.body.name }
  })
  bind(readMe, async (call) => {
    expectTypeOf(call.principal).toEqualTypeOf<SdkCaller>()
    expectTypeOf(call.expectedVersion).toEqualTypeOf<null>()
    return answer({ headers: { 'X-Alter-Actor-ID': 'x' }, body: { agent_id: 'a' } })
  })
  // @ts-expect-error the success value lacks agent_id
  bind(readMe, async () => ({}))
})

it('keeps the declaration it was bound to', () => {
  expect(bind(readMe, async () => ({ agent_id: 'a' })).endpoint.path).toBe('/sdk/me')
})
