import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { systemAuthor } from '../management/index.ts'
import { createMembers } from '../members/index.ts'
import { createManagementTest, type ManagementTest } from '../testing/management.ts'
import { createPatAuthenticator, createTokens } from './index.ts'

function setUp(test: ManagementTest) {
  const members = createMembers(test)
  const authenticate = createPatAuthenticator(test)
  const memberOf = (role: 'owner' | 'admin' | 'developer' | 'auditor' | 'approver') =>
    members.addMember({
      author: systemAuthor,
      organizationId: test.organizationId,
      email: `${role}-${newId()}@acme.test`,
      role,
    })
  return { members, tokens: createTokens(test), authenticate, memberOf }
}

const presented = (token: string, params: Record<string, string> = {}) => ({
  method: 'GET',
  target: '/api/v1/apps',
  headers: { authorization: `Bearer ${token}`, 'user-agent': 'alter-cli/1' },
  readBody: async () => Buffer.alloc(0),
  params,
  clientIp: '203.0.113.7',
  requestId: newId(),
})
const operatorAccess = (scope: string | null) => ({ scope })

describe('a personal access token', () => {
  test('makes an operator cut by its member’s role', async () => {
    await using t = await createManagementTest()
    const { tokens, authenticate, memberOf } = setUp(t)
    const { memberId } = await memberOf('auditor')
    const minted = await tokens.mintPersonalAccessToken({
      author: systemAuthor,
      organizationId: t.organizationId,
      memberId,
      name: 'ci',
      scopes: ['dashboard_keys:write', 'dashboard_audit:read'],
    })
    expect(`${minted.token}`).toBe('[secret]')
    expect(minted.tokenPrefix).toHaveLength(16)
    const { principal: operator } = await authenticate(presented(minted.token.reveal()), operatorAccess('keys:read'))
    expect(operator).toMatchObject({
      session: { callerKind: 'pat' },
      memberId,
      role: 'auditor',
      organizationId: t.organizationId,
    })
    expect([...operator.scopes].sort()).toEqual(['audit:read', 'keys:read'])
    const write = authenticate(presented(minted.token.reveal()), operatorAccess('keys:write'))
    await expect(write).rejects.toMatchObject({ code: 'role_insufficient' })
    const other = authenticate(presented(minted.token.reveal()), operatorAccess('agents:read'))
    await expect(other).rejects.toMatchObject({
      code: 'insufficient_scope',
      fields: { required: ['dashboard_agents:read'], missing: ['dashboard_agents:read'] },
    })
    const stored = await t.asOwner(
      'select digest, token_prefix from personal_access_tokens where organization_id = $1',
      [t.organizationId],
    )
    expect(JSON.stringify(stored)).not.toContain(minted.token.reveal().slice(16))
  })

  test('reaches the apps that both it and its member are limited to; others answer as if they did not exist', async () => {
    await using t = await createManagementTest()
    const { members, tokens, authenticate } = setUp(t)
    const { memberId } = await members.addMember({
      author: systemAuthor,
      organizationId: t.organizationId,
      email: 'dev@acme.test',
      role: 'developer',
      appIds: [t.app.appId],
    })
    const { token } = await tokens.mintPersonalAccessToken({
      author: systemAuthor,
      organizationId: t.organizationId,
      memberId,
      name: 'dev',
      scopes: ['dashboard_keys:read'],
      appIds: [t.app.appId, t.otherApp.appId],
    })
    const reach = (appId: string) =>
      authenticate(presented(token.reveal(), { app_id: appId }), operatorAccess('keys:read')).then(
        ({ principal }) => principal.appIds,
        (error) => ({ code: error.code, message: error.message }),
      )
    expect(await reach(t.app.appId)).toEqual([t.app.appId])
    const unknown = await reach(newId())
    expect(unknown).toMatchObject({ code: 'not_found' })
    expect(await reach(t.otherApp.appId)).toEqual(unknown)
    expect(await reach('no-id')).toEqual(unknown)
    const foreign = authenticate(presented(token.reveal(), { organization_id: newId() }), operatorAccess(null))
    await expect(foreign).rejects.toMatchObject({ code: 'not_found' })
  })

  test('stops when it expires, is revoked, or its member leaves', async () => {
    await using t = await createManagementTest()
    const { tokens, authenticate, memberOf } = setUp(t)
    const { memberId } = await memberOf('developer')
    const mint = (expiresInDays: number) =>
      tokens.mintPersonalAccessToken({
        author: systemAuthor,
        organizationId: t.organizationId,
        memberId,
        name: 'ci',
        scopes: ['dashboard_keys:read'],
        expiresInDays,
      })
    const [short, long, revoked] = [await mint(1), await mint(30), await mint(30)]
    await tokens.revokePersonalAccessToken({
      author: systemAuthor,
      organizationId: t.organizationId,
      patId: revoked.id,
    })
    const tryToken = (token: { reveal(): string }) =>
      authenticate(presented(token.reveal()), operatorAccess(null)).then(
        () => 'ok',
        (error) => error.code,
      )
    expect(await tryToken(revoked.token)).toBe('token_revoked')
    t.clock.advance(86_400_000)
    expect(await tryToken(short.token)).toBe('token_expired')
    expect(await tryToken(long.token)).toBe('ok')
    await t.asOwner('update members set removed_at = now() where member_id = $1', [memberId])
    expect(await tryToken(long.token)).toBe('token_revoked')
    const unknown = authenticate(presented('alter_pat_aaaaaaaaaaaaaaaaaaaaaa_aaaaaa'), operatorAccess(null))
    await expect(unknown).rejects.toMatchObject({ code: 'authentication_required' })
    expect(await t.events(t.organizationId)).toContain('pat.revoked')
  })

  test('notes its use at most once a minute', async () => {
    await using t = await createManagementTest()
    const { tokens, authenticate, memberOf } = setUp(t)
    const { memberId } = await memberOf('developer')
    const { token } = await tokens.mintPersonalAccessToken({
      author: systemAuthor,
      organizationId: t.organizationId,
      memberId,
      name: 'ci',
      scopes: ['dashboard_keys:read'],
    })
    const lastUse = async () =>
      (
        await t.asOwner<{ last_used_at: Date }>(
          'select last_used_at from personal_access_tokens where organization_id = $1',
          [t.organizationId],
        )
      )[0]!.last_used_at.getTime()
    const startMs = t.clock.now()
    await authenticate(presented(token.reveal()), operatorAccess(null))
    t.clock.advance(59_000)
    await authenticate(presented(token.reveal()), operatorAccess(null))
    expect(await lastUse()).toBe(startMs)
    t.clock.advance(1_000)
    await authenticate(presented(token.reveal()), operatorAccess(null))
    expect(await lastUse()).toBe(startMs + 60_000)
  })

  test('is refused over 25 live ones, over the organization’s life, without scopes and for approvers', async () => {
    await using t = await createManagementTest()
    const { tokens, memberOf } = setUp(t)
    const { memberId } = await memberOf('developer')
    const mint = (over: object) =>
      tokens.mintPersonalAccessToken({
        author: systemAuthor,
        organizationId: t.organizationId,
        memberId,
        name: 'ci',
        scopes: ['dashboard_keys:read'],
        ...over,
      })
    await expect(mint({ scopes: [] })).rejects.toMatchObject({ code: 'validation_failed' })
    await expect(mint({ scopes: ['dashboard_keys:fly'] })).rejects.toMatchObject({ code: 'invalid_scope' })
    await expect(mint({ expiresInDays: 366 })).rejects.toMatchObject({ code: 'key_policy_violation' })
    await expect(mint({ memberId: newId() })).rejects.toMatchObject({ code: 'not_found' })
    await expect(mint({ memberId: (await memberOf('approver')).memberId })).rejects.toMatchObject({
      code: 'role_insufficient',
    })
    for (let n = 0; n < 24; n++) await mint({})
    const results = await Promise.allSettled([mint({}), mint({})])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(results.find((result) => result.status === 'rejected')?.reason).toMatchObject({ code: 'conflict' })
  })

  test('makes so many calls in a minute and no more', async () => {
    await using t = await createManagementTest()
    const { tokens, memberOf } = setUp(t)
    const authenticate = createPatAuthenticator({ ...t, callsPerMinute: 2 })
    const { memberId } = await memberOf('developer')
    const { token } = await tokens.mintPersonalAccessToken({
      author: systemAuthor,
      organizationId: t.organizationId,
      memberId,
      name: 'ci',
      scopes: ['dashboard_keys:read'],
    })
    const call = () => authenticate(presented(token.reveal()), operatorAccess(null))
    await call()
    await call()
    await expect(call()).rejects.toMatchObject({ code: 'rate_limit_exceeded', fields: { limit: 2 } })
    t.clock.advance(120_000)
    await call()
  })
})
