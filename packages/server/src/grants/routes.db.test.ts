import * as contract from '@alter-vault/contracts'
import { Check } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import type { BoundEndpoint, Call } from '../http/bind-endpoint.ts'
import { errorsOf } from '../http/shared-errors.ts'
import { newId } from '../kernel/ids.ts'
import { type Operator, tokenSession } from '../management/index.ts'
import { createManagementTest, type ManagementTest } from '../testing/management.ts'
import { PLAINTEXT, refusalOf, setUpGrants } from './grants-fixture.ts'

/** Calls handlers as the listener does after its checks, and holds every answer and refusal against the declaration. */
function setUpRoutes(t: ManagementTest) {
  const given = setUpGrants(t)
  const routes: BoundEndpoint[] = [...given.credentials.routes, ...given.grants.routes]
  const operator: Operator = {
    session: tokenSession,
    organizationId: t.organizationId,
    memberId: newId(),
    patId: newId(),
    role: 'owner',
    scopes: [],
    appIds: null,
    clientIp: '203.0.113.7',
    userAgent: null,
  }
  async function call(endpoint: contract.Endpoint, parts: object = {}): Promise<Record<string, unknown>> {
    const bound = routes.find((route) => route.endpoint.id === endpoint.id)
    const principal = endpoint.access.kind === 'api_key' ? given.caller() : operator
    const made = { params: { app_id: t.app.appId }, query: {}, headers: {}, body: {}, principal, ...parts }
    try {
      const answer = await bound!.handler(made as unknown as Call<contract.Endpoint>)
      expect(Check(endpoint.success, JSON.parse(JSON.stringify(answer)))).toBe(true)
      return answer as Record<string, unknown>
    } catch (error) {
      if (error instanceof Error && 'code' in error) expect(errorsOf(endpoint)).toContain(error.code)
      throw error
    }
  }
  return { ...given, routes, call }
}

const declared = [
  contract.listManagedSecrets,
  contract.createManagedSecret,
  contract.showManagedSecret,
  contract.updateManagedSecret,
  contract.setAllowedHosts,
  contract.rotateManagedSecret,
  contract.deleteManagedSecret,
  contract.showSecretAccess,
  contract.listGrants,
  contract.showGrant,
  contract.revokeGrant,
  contract.listSecretGrants,
  contract.createSecretGrant,
  contract.updateSecretGrant,
  contract.sdkListGrants,
  contract.sdkCreateSecretGrant,
  contract.sdkRevokeGrant,
]

describe('the endpoints of secrets and grants', () => {
  test('answer as they declare, from the first value to the last grant, and never with the value', async () => {
    await using t = await createManagementTest()
    const { routes, call, addAgent } = setUpRoutes(t)
    expect(routes.map((route) => route.endpoint.id).sort()).toEqual(declared.map((endpoint) => endpoint.id).sort())

    const answers: unknown[] = []
    const made = await call(contract.createManagedSecret, {
      body: { name: 'Stripe', credential_type: 'bearer', value: { token: PLAINTEXT }, allowed_hosts: ['a.test'] },
    })
    const params = { app_id: t.app.appId, managed_secret_id: made.id }
    answers.push(
      made,
      await call(contract.listManagedSecrets),
      await call(contract.showManagedSecret, { params }),
      await call(contract.updateManagedSecret, { params, expectedVersion: 1, body: { proxy_only: true } }),
      await call(contract.setAllowedHosts, { params, expectedVersion: 2, body: { allowed_hosts: ['b.test'] } }),
      await call(contract.rotateManagedSecret, { params, body: { value: { token: PLAINTEXT } } }),
    )
    const agentId = await addAgent()
    const grant = await call(contract.createSecretGrant, {
      params,
      body: {
        principal: { type: 'agent', id: agentId },
        label: 'a',
        grant_policy: { requires_approval: { quorum: 1 }, restrictions: { allowed_methods: ['GET'] } },
      },
    })
    answers.push(
      grant,
      await call(contract.updateSecretGrant, { params: { ...params, grant_id: grant.id }, body: { label: null } }),
      await call(contract.listSecretGrants, { params, query: { agent_id: agentId } }),
      await call(contract.showSecretAccess, { params }),
      await call(contract.listGrants),
      await call(contract.showGrant, { params: { app_id: t.app.appId, grant_id: grant.id } }),
      await call(contract.sdkListGrants),
      await call(contract.sdkCreateSecretGrant, { params, body: { principal: { type: 'system', label: 'sdk' } } }),
      await call(contract.sdkRevokeGrant, { params: { grant_id: made.base_grant_id } }),
      await call(contract.revokeGrant, { params: { app_id: t.app.appId, grant_id: grant.id } }),
      await call(contract.revokeGrant, { params: { app_id: t.app.appId, grant_id: grant.id } }),
      await call(contract.deleteManagedSecret, { params, expectedVersion: 4, body: { confirm: 'stripe' } }),
    )
    expect(JSON.stringify(answers)).not.toContain(PLAINTEXT)
  })

  test.each([
    [{ type: 'user', id: newId() }, 'validation_failed'],
    [{ type: 'group', id: newId() }, 'group_grants_unsupported'],
    [{ type: 'agent' }, 'validation_failed'],
    [{ type: 'system', id: newId() }, 'validation_failed'],
  ])('refuse the principal of type $type as %s', async (principal, code) => {
    await using t = await createManagementTest()
    const { call, addSecret } = setUpRoutes(t)
    const secret = await addSecret({ no_base_grant: true })
    const params = { app_id: t.app.appId, managed_secret_id: secret.id }
    await expect(call(contract.createSecretGrant, { params, body: { principal } })).rejects.toMatchObject({ code })
    expect(await t.inApp('select 1 from grants')).toEqual([])
  })

  test('say "not found" to operators and the noun to SDK callers, of whatever is not there', async () => {
    await using t = await createManagementTest()
    const { call, addSecret } = setUpRoutes(t)
    const secret = await addSecret()
    const unknown = { app_id: t.app.appId, managed_secret_id: newId(), grant_id: newId() }
    const known = { ...unknown, managed_secret_id: secret.id }
    const body = { principal: { type: 'system' } }
    const toAgent = { principal: { type: 'agent', id: newId() }, label: 'a' }
    const refusals = await Promise.all(
      [
        call(contract.showManagedSecret, { params: unknown }),
        call(contract.showGrant, { params: unknown }),
        call(contract.createSecretGrant, { params: unknown, body }),
        call(contract.createSecretGrant, { params: known, body: toAgent }),
        call(contract.createSecretGrant, { params: known, body: { ...body, label: 'a', credential_id: newId() } }),
        call(contract.updateSecretGrant, { params: known, body: { label: 'x' } }),
        call(contract.showSecretAccess, { params: unknown }),
      ].map(refusalOf),
    )
    expect(new Set(refusals.map(([code]) => code))).toEqual(new Set(['not_found']))
    await expect(call(contract.sdkCreateSecretGrant, { params: unknown, body })).rejects.toMatchObject({
      code: 'managed_secret_not_found',
    })
    await expect(call(contract.sdkRevokeGrant, { params: unknown })).rejects.toMatchObject({ code: 'grant_not_found' })
  })

  test('find grants by a principal that is named in several ways only when all agree', async () => {
    await using t = await createManagementTest()
    const { call, addSecret, addAgent, grantTo } = setUpRoutes(t)
    const secret = await addSecret()
    const agentId = await addAgent()
    const grant = await grantTo(secret.id, { principal: { type: 'agent', id: agentId } })
    const ids = async (query: object) =>
      ((await call(contract.listGrants, { query })).items as { id: string }[]).map((item) => item.id)
    expect(await ids({ agent_id: agentId })).toEqual([grant.id])
    expect(await ids({ agent_id: agentId, principal_type: 'agent', principal_id: agentId })).toEqual([grant.id])
    expect(await ids({ principal_type: 'system' })).toEqual([secret.base_grant_id])
    expect(await ids({ agent_id: agentId, principal_type: 'system' })).toEqual([])
    expect(await ids({ agent_id: agentId, app_user: newId() })).toEqual([])
    expect(await ids({ app_user: newId() })).toEqual([])
  })
})
