import {
  AgentDelegationMissingError,
  AmbiguousGrantError,
  type ApprovalResult,
  BlockedDestinationError,
  GrantDeletedError,
  GrantNotFoundError,
  GrantRevokedError,
  NoDelegatedGrantError,
  PolicyViolationError,
  RestrictedGrantRequiresProxyError,
} from '@alter-ai/alter-sdk'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startVaultWithProvider, type VaultWithProvider } from '../support/vault-with-provider.ts'

let desk: VaultWithProvider

beforeAll(async () => {
  desk = await startVaultWithProvider()
})
afterAll(() => desk?.[Symbol.asyncDispose]())

const url = (path: string) => `${desk.api.url}${path}`
const failure = (call: Promise<unknown>) =>
  call.then(
    (value) => expect.fail(`expected a refusal, got ${JSON.stringify(value)}`),
    (error: unknown) => error as Error & { details: Record<string, unknown> },
  )

describe('an agent', () => {
  it('uses its own grant, by id and by provider', async () => {
    await using worker = desk.worker()
    for (const address of [{ grantId: desk.agent.grantId }, { provider: desk.secret.slug }]) {
      const outcome = await worker.proxyRequest('GET', url('/own'), address)
      expect((outcome as ApprovalResult).statusCode).toBe(200)
    }
    expect(desk.api.to('/own')).toHaveLength(2)
  })

  it('never reaches a grant of the app, nor one of another agent', async () => {
    const other = await desk.operator.createAgent({
      name: 'neighbor',
      scopes: { managed_secret_slugs: [desk.secret.slug] },
    })
    const theirs = await desk.operator.createGrant(desk.secret.id, { principal: { type: 'agent', id: other.id } })
    await using worker = desk.worker()
    for (const grantId of [desk.grantId, theirs.id]) {
      expect(await failure(worker.proxyRequest('GET', url('/never'), { grantId }))).toBeInstanceOf(
        AgentDelegationMissingError,
      )
      expect(await failure(worker.request('GET', url('/never'), { grantId }))).toBeInstanceOf(
        AgentDelegationMissingError,
      )
    }
    const seen = (await worker.listGrants()).grants.map(({ grantId }) => grantId)
    expect(seen).toEqual([desk.agent.grantId])
  })

  it('is told that it has no grant, not that the app has one', async () => {
    const hidden = await desk.operator.createSecret({
      name: 'Hidden',
      credential_type: 'bearer',
      value: { token: 'hidden-1' },
      allowed_hosts: [desk.api.host],
    })
    await using worker = desk.worker()
    expect(await failure(worker.proxyRequest('GET', url('/never'), { provider: hidden.slug }))).toBeInstanceOf(
      NoDelegatedGrantError,
    )
  })

  it('is stopped by its scope map even with a grant in hand', async () => {
    const bare = await desk.operator.createAgent({ name: 'bare', scopes: {} })
    const grant = await desk.operator.createGrant(desk.secret.id, { principal: { type: 'agent', id: bare.id } })
    await using worker = desk.worker({ apiKey: bare.api_key ?? '' })
    const refusal = await failure(worker.proxyRequest('GET', url('/never'), { grantId: grant.id }))
    expect(refusal).toBeInstanceOf(PolicyViolationError)
    expect(refusal.details.error).toBe('agent_scope_not_allowed')
  })

  it('is told that access is gone, not how it ended', async () => {
    const grant = await desk.operator.createGrant(desk.secret.id, {
      principal: { type: 'agent', id: desk.agent.id },
      label: 'to be revoked',
    })
    await desk.operator.revokeGrant(grant.id)
    await using worker = desk.worker()
    expect(await failure(worker.proxyRequest('GET', url('/never'), { grantId: grant.id }))).toBeInstanceOf(
      GrantDeletedError,
    )
  })

  it('stops at once when it is suspended', async () => {
    const paused = await desk.operator.createAgent({
      name: 'paused',
      scopes: { managed_secret_slugs: [desk.secret.slug] },
    })
    const grant = await desk.operator.createGrant(desk.secret.id, { principal: { type: 'agent', id: paused.id } })
    await using worker = desk.worker({ apiKey: paused.api_key ?? '' })
    await worker.proxyRequest('GET', url('/before'), { grantId: grant.id })
    await desk.operator.suspendAgent(paused.id)
    const refusal = await failure(worker.proxyRequest('GET', url('/never'), { grantId: grant.id }))
    expect(refusal.details).toMatchObject({ status_code: 401, error: 'agent_inactive' })
  })
})

describe('an app', () => {
  it('acts as an agent with exactly the reach of the agent', async () => {
    await using app = desk.app()
    await using worker = app.getAgent(desk.agent.id)
    await worker.proxyRequest('GET', url('/as-agent'), { grantId: desk.agent.grantId })
    expect(await failure(worker.proxyRequest('GET', url('/never'), { grantId: desk.grantId }))).toBeInstanceOf(
      AgentDelegationMissingError,
    )
    const [row] = await desk.operator.auditEvents({ grant_id: desk.agent.grantId, event: 'proxy.executed' })
    expect(row?.agent_id).toBe(desk.agent.id)
  })

  it('cannot tell an unknown grant from one of another app', async () => {
    await using app = desk.app()
    const unknown = await failure(app.proxyRequest('GET', url('/never'), { grantId: crypto.randomUUID() }))
    expect(unknown).toBeInstanceOf(GrantNotFoundError)
  })

  it('must say which of several grants it means', async () => {
    const shared = await desk.operator.createSecret({
      name: 'Shared',
      credential_type: 'bearer',
      value: { token: 'shared-1' },
      allowed_hosts: [desk.api.host],
      no_base_grant: true,
    })
    for (const label of ['north', 'south']) {
      await desk.operator.createGrant(shared.id, { principal: { type: 'system' }, label })
    }
    await using app = desk.app()
    const refusal = await failure(app.proxyRequest('GET', url('/never'), { provider: shared.slug }))
    expect(refusal).toBeInstanceOf(AmbiguousGrantError)
    expect((refusal as AmbiguousGrantError).candidates.map(({ label }) => label).toSorted()).toEqual(['north', 'south'])
    await app.proxyRequest('GET', url('/labeled'), { provider: shared.slug, label: 'south' })

    await desk.operator.createGrant(shared.id, { principal: { type: 'system' } })
    await app.proxyRequest('GET', url('/labeled'), { provider: shared.slug })
    expect(desk.api.to('/labeled')).toHaveLength(2)
  })

  it('loses a grant the moment it revokes it', async () => {
    const grant = await desk.operator.createGrant(desk.secret.id, { principal: { type: 'system' }, label: 'temporary' })
    await using app = desk.app()
    await app.proxyRequest('GET', url('/temporary'), { grantId: grant.id })
    await app.revokeGrant(grant.id, { reason: 'done' })
    expect(await failure(app.proxyRequest('GET', url('/never'), { grantId: grant.id }))).toBeInstanceOf(
      GrantRevokedError,
    )
    expect(await failure(app.request('GET', url('/never'), { grantId: grant.id }))).toBeInstanceOf(GrantRevokedError)
  })

  it('uses the new value right after a rotation', async () => {
    const rotating = await desk.operator.createSecret({
      name: 'Rotating',
      credential_type: 'bearer',
      value: { token: 'first-value' },
      allowed_hosts: [desk.api.host],
    })
    await using app = desk.app()
    const call = () => app.proxyRequest('GET', url('/rotating'), { grantId: rotating.base_grant_id ?? '' })
    await call()
    await desk.operator.rotateSecret(rotating.id, { token: 'second-value' })
    await call()
    expect(desk.api.to('/rotating').map(({ headers }) => headers.authorization)).toEqual([
      'Bearer first-value',
      'Bearer second-value',
    ])
  })
})

describe('a restricted grant', () => {
  it('serves what it lists, refuses the rest and is never handed out', async () => {
    const { id: grantId } = await desk.operator.createGrant(desk.secret.id, {
      principal: { type: 'system' },
      label: 'read orders',
      grant_policy: { restrictions: { allowed_methods: ['GET'], allowed_endpoints: ['/orders/*', '/customers/**'] } },
    })
    await using app = desk.app()
    for (const path of ['/orders/1', '/customers/1/addresses/2']) {
      await app.proxyRequest('GET', url(path), { grantId })
    }
    for (const [method, path] of [
      ['POST', '/orders/1'],
      ['GET', '/orders/1/lines'],
      ['GET', '/orders/../admin'],
      ['GET', '/Orders/1'],
      ['GET', '/orders/a%2Fb/c'],
    ] as const) {
      const refusal = await failure(app.proxyRequest(method, url(path), { grantId }))
      expect(refusal.details.error, `${method} ${path}`).toBe('grant_restriction')
    }
    expect(await failure(app.request('GET', url('/orders/1'), { grantId }))).toBeInstanceOf(
      RestrictedGrantRequiresProxyError,
    )
    expect(desk.api.requests.map(({ path }) => path).filter((path) => /orders|customers/i.test(path))).toEqual([
      '/orders/1',
      '/customers/1/addresses/2',
    ])
  })
})

describe('the client that calls by itself', () => {
  it('gets the credential when nothing asks for the proxy, and the call is reported', async () => {
    {
      await using app = desk.app()
      const response = await app.request('POST', url('/direct'), {
        grantId: desk.grantId,
        json: { a: 1 },
        reason: 'direct',
      })
      expect(await response.json()).toMatchObject({ path: '/direct', body: '{"a":1}' })
    }
    expect(desk.api.to('/direct')[0]?.headers.authorization).toBe(`Bearer ${desk.token}`)
    const events = (await desk.operator.auditEvents({ grant_id: desk.grantId })).map(({ event }) => event)
    expect(events).toEqual(expect.arrayContaining(['call.reported', 'token.retrieved', 'token.requested']))
  })

  it.each([
    ['a secret for the proxy only', { proxy_only: true }, {}],
    ['a grant that needs approval', {}, { requires_approval: {} }],
  ])('is refused the credential of %s', async (name, secretOptions, policy) => {
    const secret = await desk.operator.createSecret({
      name,
      credential_type: 'bearer',
      value: { token: 'kept-in-the-vault' },
      allowed_hosts: [desk.api.host],
      no_base_grant: true,
      ...secretOptions,
    })
    const grant = await desk.operator.createGrant(secret.id, { principal: { type: 'system' }, grant_policy: policy })
    await using app = desk.app()
    expect(await failure(app.request('GET', url('/never'), { grantId: grant.id }))).toBeInstanceOf(
      RestrictedGrantRequiresProxyError,
    )
  })

  it('is refused a credential for a destination it is not for', async () => {
    await using app = desk.app()
    const refusal = await failure(app.request('GET', 'https://example.com/', { grantId: desk.grantId }))
    expect(refusal).toBeInstanceOf(BlockedDestinationError)
  })
})

it('sent nothing that was refused', () => {
  expect(desk.api.to('/never')).toEqual([])
})
