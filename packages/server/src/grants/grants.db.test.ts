import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { parsePage } from '../kernel/page.ts'
import type { Ended } from '../management/index.ts'
import { requestWith } from '../policy/context-for-tests.ts'
import type { PolicyRequest } from '../policy/policy-context.ts'
import { findRulesOf } from '../rules/index.ts'
import { createManagementTest, type ManagementTest } from '../testing/management.ts'
import { loadCandidates, loadGrantFacts } from '../uses/grant-facts-store.ts'
import { grantSources } from '../uses/grant-source.ts'
import { refusalOf, setUpGrants } from './grants-fixture.ts'
import { findGrantTargets } from './index.ts'

const HOUR_MS = 3_600_000
const approval = { approvers: ['ann@acme.test'], quorum: 1 }

const rulesOn = (t: ManagementTest, grantId: string) =>
  t.db.forApp(t.app.appId, (tx) => findRulesOf(tx, t.app.appId, { type: 'grant', id: grantId }))
const factsOf = (t: ManagementTest, grantId: string) =>
  t.db.readForApp(t.app.appId, (tx) => loadGrantFacts(tx, t.app.appId, grantId, grantSources))

describe('creating a grant', () => {
  test('lets a use find it at once, bumps its principal’s fence and records it', async () => {
    await using t = await createManagementTest()
    const { addSecret, addAgent, grantTo } = setUpGrants(t)
    const secret = await addSecret()
    const agentId = await addAgent({ name: 'refunder' })
    const before = await t.fences()
    const grant = await grantTo(secret.id, {
      principal: { type: 'agent', id: agentId },
      label: '  billing ',
      policy: { restrictions: { allowed_methods: ['GET'] } },
    })
    expect(grant).toMatchObject({
      grant_kind: 'managed_secret',
      status: 'active',
      principal: { type: 'agent', id: agentId, name: 'refunder' },
      provider_id: 'stripe',
      managed_secret_id: secret.id,
      managed_secret_name: 'Stripe',
      credential_id: secret.credentials[0]!.id,
      credential_label: 'default',
      label: 'billing',
      grant_policy: {
        expires_at: null,
        max_ttl_seconds: null,
        default_ttl_seconds: null,
        restrictions: { allowed_methods: ['GET'] },
        requires_approval: null,
      },
      version: 1,
      last_used_at: null,
    })
    const subject = `principal:agent:${agentId}`
    const after = await t.fences()
    expect(after[subject]).toBe(before[subject]! + 1)
    expect(after['principal:system:']).toBe(before['principal:system:'])
    const principal = { type: 'agent', id: agentId } as const
    const found = await t.db.readForApp(t.app.appId, (tx) =>
      loadCandidates(tx, t.app.appId, principal, 'stripe', grantSources),
    )
    expect(found.grants.map((facts) => facts.grantId)).toEqual([grant.id])
    const facts = found.grants[0]!
    expect(
      facts.checkRestrictions!(requestWith({ method: 'POST', host: 'api.stripe.com', path: '/' }) as PolicyRequest),
    ).toEqual({ list: 'allowed_methods' })
    expect(facts.target.allowedHosts.allows({ scheme: 'https', host: 'api.stripe.com', port: 443 })).toBe(true)
    expect(facts.credential.injection).toEqual({ header: 'Authorization', format: 'Bearer {token}', additional: [] })
    const row = (await t.auditRows()).at(-1)!
    expect(row.keep).toMatchObject({
      event: 'grant.created',
      stream: 'grants',
      caller_kind: 'pat',
      grant_id: grant.id,
      provider_id: 'stripe',
      principal_type: 'agent',
      principal_id: agentId,
      outcome: 'changed',
    })
    expect(row.detail).toMatchObject({ grant_label: 'billing', resource_type: 'grant', resource_id: grant.id })
  })

  test.each([
    [{ max_ttl_seconds: 3_600 }, HOUR_MS],
    [{ max_ttl_seconds: 7_200, default_ttl_seconds: 3_600 }, HOUR_MS],
    [{ default_ttl_seconds: 3_600 }, HOUR_MS],
    [{ max_ttl_seconds: 3_600, expires_at: '2999-01-01T00:00:00Z' }, HOUR_MS],
    [{ max_ttl_seconds: 31_536_000, default_ttl_seconds: 7_200, expires_in_ms: HOUR_MS }, HOUR_MS],
    [{}, null],
  ])(
    'with %j ends at the earliest of all ends',
    async ({ expires_in_ms: inMs, ...policy }: Record<string, unknown>, ms) => {
      await using t = await createManagementTest()
      const { grants, addSecret, grantTo } = setUpGrants(t)
      const secret = await addSecret({ no_base_grant: true })
      const end = typeof inMs === 'number' ? { expires_at: new Date(t.clock.now() + inMs).toISOString() } : {}
      const grant = await grantTo(secret.id, { policy: { ...policy, ...end } })
      expect(grant.grant_policy.expires_at).toBe(ms === null ? null : new Date(t.clock.now() + ms).toISOString())
      t.clock.advance(HOUR_MS)
      expect((await grants.showGrant(t.app, grant.id)).status).toBe(ms === null ? 'active' : 'expired')
    },
  )

  test.each([
    [{ policy: { max_ttl_seconds: 60, default_ttl_seconds: 61 } }, 'invalid_grant_policy'],
    [{ policy: { max_ttl_seconds: 31_536_001 } }, 'invalid_grant_policy'],
    [{ policy: { expires_at: '2001-01-01T00:00:00Z' } }, 'invalid_grant_policy'],
    [{ policy: { expires_at: '2999-02-30T00:00:00Z' } }, 'validation_failed'],
    [{ policy: { restrictions: { allowed_hosts: ['not a host'] } } }, 'invalid_grant_policy'],
    [{ policy: { requires_approval: { approvers: ['ann@acme.test'], quorum: 2 } } }, 'invalid_rule_body'],
    [{ label: '   ' }, 'validation_failed'],
    [{ credentialId: '00000000-0000-7000-8000-000000000001' }, 'credential_not_found'],
    [{ principal: { type: 'agent' as const, id: '00000000-0000-7000-8000-000000000002' } }, 'agent_not_found'],
  ])('refuses %j as %s and leaves nothing', async (over, code) => {
    await using t = await createManagementTest()
    const { addSecret, grantTo } = setUpGrants(t)
    const secret = await addSecret({ no_base_grant: true })
    expect((await refusalOf(grantTo(secret.id, over)))[0]).toBe(code)
    expect(await t.inApp('select 1 from grants')).toEqual([])
    expect(await t.inApp('select 1 from rules')).toEqual([])
    expect(await t.events()).toEqual(['secret.created'])
  })

  test('names faults where they were written', async () => {
    await using t = await createManagementTest()
    const { addSecret, grantTo } = setUpGrants(t)
    const secret = await addSecret()
    await expect(
      grantTo(secret.id, { label: 'a', policy: { restrictions: { allowed_hosts: ['a.test', 'not a host'] } } }),
    ).rejects.toMatchObject({ errors: [{ pointer: '/grant_policy/restrictions/allowed_hosts/1' }] })
    await expect(
      grantTo(secret.id, { label: 'a', policy: { requires_approval: { ...approval, quorum: 2 } } }),
    ).rejects.toMatchObject({
      errors: [{ pointer: expect.stringMatching(/^\/grant_policy\/requires_approval\/(?!approval)/) }],
    })
  })

  test('for an agent of another app or a revoked one is refused alike', async () => {
    await using t = await createManagementTest()
    const { addSecret, addAgent, grantTo } = setUpGrants(t)
    const secret = await addSecret()
    const ids = [await addAgent({ app: t.otherApp }), await addAgent({ status: 'revoked' }), newId()]
    const refusals = await Promise.all(
      ids.map((id) => refusalOf(grantTo(secret.id, { principal: { type: 'agent', id } }))),
    )
    expect(new Set(refusals.map((refusal) => JSON.stringify(refusal))).size).toBe(1)
    expect(
      (await grantTo(secret.id, { principal: { type: 'agent', id: await addAgent({ status: 'inactive' }) } })).status,
    ).toBe('active')
  })

  test('takes a label once for each principal and credential, whatever its case, also when two come at once', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, addAgent, addCredential, grantTo } = setUpGrants(t)
    const secret = await addSecret({ no_base_grant: true })
    const principal = { type: 'agent', id: await addAgent() } as const
    const results = await Promise.allSettled([
      grantTo(secret.id, { label: 'Billing' }),
      grantTo(secret.id, { label: 'billing' }),
    ])
    expect(results.map((result) => result.status).sort()).toEqual(['fulfilled', 'rejected'])
    expect(results.find((result) => result.status === 'rejected')?.reason).toMatchObject({
      code: 'sibling_label_conflict',
      fields: { label: expect.stringMatching(/^billing$/i) },
    })
    await grantTo(secret.id)
    await expect(grantTo(secret.id)).rejects.toMatchObject({ code: 'sibling_label_conflict', fields: { label: null } })
    await grantTo(secret.id, { label: 'billing', principal })
    const credentialId = await addCredential(secret.id, 'second')
    const second = await grantTo(secret.id, { label: 'billing', credentialId })
    await grants.revokeGrant({ app: t.app, author: t.owner, grantId: second.id, whenRevoked: 'keep' })
    expect((await grantTo(secret.id, { label: 'billing', credentialId })).id).not.toBe(second.id)
  })

  test('ends an expired namesake to make its label free', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, grantTo, ended } = setUpGrants(t)
    const secret = await addSecret({ no_base_grant: true })
    const old = await grantTo(secret.id, { label: 'billing', policy: { default_ttl_seconds: 60 } })
    t.clock.advance(60_000)
    const next = await grantTo(secret.id, { label: 'billing' })
    expect(next.status).toBe('active')
    expect(await grants.showGrant(t.app, old.id)).toMatchObject({ status: 'revoked', revoked_reason: 'expired' })
    expect(ended).toEqual([{ grantId: old.id, reason: 'grant_revoked' }])
  })

  test('asks which credential when there are several, and gives out no end user’s key', async () => {
    await using t = await createManagementTest()
    const { addSecret, addCredential, grantTo } = setUpGrants(t)
    const secret = await addSecret({ no_base_grant: true })
    const endUsers = await addCredential(secret.id, 'ann', 'end_user')
    expect((await grantTo(secret.id)).credential_id).toBe(secret.credentials[0]!.id)
    await expect(grantTo(secret.id, { credentialId: endUsers })).rejects.toMatchObject({
      code: 'end_user_credential_not_assignable',
    })
    const second = await addCredential(secret.id, 'second')
    await expect(grantTo(secret.id, { label: 'a' })).rejects.toMatchObject({
      code: 'credential_id_required',
      fields: { details: { credentials: [{ label: 'default' }, { id: second, label: 'second' }] } },
    })
    expect((await grantTo(secret.id, { label: 'a', credentialId: second })).credential_id).toBe(second)
  })

  test('that requires an approval puts a rule on it that only its policy changes', async () => {
    await using t = await createManagementTest()
    const { rules, addSecret, grantTo } = setUpGrants(t)
    const secret = await addSecret()
    const epoch = (await t.fences()).epoch!
    const grant = await grantTo(secret.id, { label: 'held', policy: { requires_approval: approval } })
    expect(grant.grant_policy.requires_approval).toEqual(approval)
    const [rule] = await rulesOn(t, grant.id)
    expect(rule).toMatchObject({
      type: 'require_approval',
      managed_by: 'grant_policy',
      enabled: true,
      mode: 'enforce',
      body: { effect: 'require_approval', approval },
    })
    expect((await t.fences()).epoch).toBeGreaterThan(epoch)
    await expect(
      rules.deleteRule({ home: { kind: 'app', ...t.app }, author: t.owner, ruleId: rule!.id, expectedVersion: 1 }),
    ).rejects.toMatchObject({ code: 'conflict' })
  })
})

describe('changing a grant', () => {
  test('writes what is named, takes off what is null, and bumps its fence', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, grantTo } = setUpGrants(t)
    const secret = await addSecret()
    const grant = await grantTo(secret.id, {
      label: 'billing',
      policy: { restrictions: { allowed_methods: ['GET'] }, requires_approval: approval, default_ttl_seconds: 3_600 },
    })
    const change = (input: Parameters<typeof grants.changeGrant>[0]['change']) =>
      grants.changeGrant({ app: t.app, author: t.owner, managedSecretId: secret.id, grantId: grant.id, change: input })
    const before = await t.fences()
    const stricter = { ...approval, window_seconds: 600 }
    const changed = await change({
      label: 'Billing 2',
      grant_policy: {
        expires_at: null,
        restrictions: { allowed_methods: ['GET', 'POST'] },
        requires_approval: stricter,
      },
    })
    expect(changed).toMatchObject({
      label: 'Billing 2',
      version: 2,
      grant_policy: {
        expires_at: null,
        default_ttl_seconds: 3_600,
        restrictions: { allowed_methods: ['GET', 'POST'] },
        requires_approval: stricter,
      },
    })
    const after = await t.fences()
    expect(after[`grant:${grant.id}`]).toBe(before[`grant:${grant.id}`]! + 1)
    expect(after['principal:system:']).toBe(before['principal:system:']! + 1)
    expect((await rulesOn(t, grant.id)).map((rule) => rule.version)).toEqual([2])
    const row = (await t.auditRows()).at(-1)!
    expect(row.keep).toMatchObject({ event: 'grant.updated', grant_id: grant.id })
    expect((row.detail.changes as { field: string }[]).map((one) => one.field).sort()).toEqual([
      'expires_at',
      'label',
      'requires_approval',
      'restrictions',
    ])
    const freed = await change({ label: null, grant_policy: { restrictions: null, requires_approval: null } }).catch(
      (error) => error,
    )
    // The base grant holds the place without a label.
    expect(freed).toMatchObject({ code: 'sibling_label_conflict' })
    const open = await change({ grant_policy: { restrictions: null, requires_approval: null } })
    expect(open.grant_policy).toMatchObject({ restrictions: null, requires_approval: null })
    expect(await rulesOn(t, grant.id)).toEqual([])
    expect(await change({ grant_policy: { restrictions: null } })).toEqual(open)
    expect((await t.events()).filter((event) => event === 'grant.updated')).toHaveLength(2)
  })

  test('keeps its end within its maximum and lets an expired one live again', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, grantTo } = setUpGrants(t)
    const secret = await addSecret({ no_base_grant: true })
    const grant = await grantTo(secret.id, { policy: { default_ttl_seconds: 60 } })
    const change = (policy: object) =>
      grants.changeGrant({
        app: t.app,
        author: t.owner,
        managedSecretId: secret.id,
        grantId: grant.id,
        change: { grant_policy: policy },
      })
    t.clock.advance(60_000)
    expect((await grants.showGrant(t.app, grant.id)).status).toBe('expired')
    const inHours = (hours: number) => new Date(t.clock.now() + hours * HOUR_MS).toISOString()
    expect(await change({ expires_at: inHours(5) })).toMatchObject({ status: 'active' })
    const bounded = await change({ max_ttl_seconds: 3_600 })
    expect(bounded.grant_policy.expires_at).toBe(inHours(1))
    expect((await change({ expires_at: inHours(9) })).grant_policy.expires_at).toBe(inHours(1))
    expect((await change({ expires_at: null })).grant_policy.expires_at).toBe(inHours(1))
    await expect(change({ default_ttl_seconds: 3_601 })).rejects.toMatchObject({ code: 'invalid_grant_policy' })
    expect((await change({ max_ttl_seconds: null, expires_at: null })).grant_policy.expires_at).toBeNull()
  })

  test('is refused when it was revoked, on another secret or in another app', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret } = setUpGrants(t)
    const secret = await addSecret()
    const other = await addSecret()
    const elsewhere = await addSecret({ app: t.otherApp })
    const change = (managedSecretId: string, grantId: string) =>
      grants.changeGrant({ app: t.app, author: t.owner, managedSecretId, grantId, change: { label: 'x' } })
    const refusals = await Promise.all([
      refusalOf(change(secret.id, other.base_grant_id!)),
      refusalOf(change(elsewhere.id, elsewhere.base_grant_id!)),
      refusalOf(change(secret.id, newId())),
      refusalOf(grants.showGrant(t.app, elsewhere.base_grant_id!)),
      refusalOf(
        grants.revokeGrant({
          app: t.app,
          author: t.owner,
          grantId: elsewhere.base_grant_id!,
          whenRevoked: 'keep',
        }),
      ),
    ])
    expect(new Set(refusals.map((refusal) => JSON.stringify(refusal))).size).toBe(1)
    expect(refusals[0]![0]).toBe('grant_not_found')
    expect((await grants.showGrant(t.otherApp, elsewhere.base_grant_id!)).status).toBe('active')
    await grants.revokeGrant({ app: t.app, author: t.owner, grantId: secret.base_grant_id!, whenRevoked: 'keep' })
    await expect(change(secret.id, secret.base_grant_id!)).rejects.toMatchObject({ code: 'grant_revoked' })
  })
})

describe('revoking a grant', () => {
  test('ends it with what waits on it, says what may still finish, and does so once', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, grantTo, ended, inFlight } = setUpGrants(t)
    const secret = await addSecret()
    const grant = await grantTo(secret.id, { label: 'held', policy: { requires_approval: approval } })
    const attempt = newId()
    inFlight.push(attempt)
    const before = await t.fences()
    const revoke = () =>
      grants.revokeGrant({
        app: t.app,
        author: t.owner,
        grantId: grant.id,
        reason: 'left the team',
        whenRevoked: 'keep',
      })
    const revoked = await revoke()
    expect(revoked).toMatchObject({
      status: 'revoked',
      revoked_at: new Date(t.clock.now()).toISOString(),
      revoked_reason: 'left the team',
    })
    expect(ended).toEqual([{ grantId: grant.id, reason: 'grant_revoked' }])
    expect(await factsOf(t, grant.id)).toMatchObject({ status: 'revoked' })
    expect(await rulesOn(t, grant.id)).toEqual([])
    const after = await t.fences()
    expect(after[`grant:${grant.id}`]).toBe(before[`grant:${grant.id}`]! + 1)
    expect(after['principal:system:']).toBe(before['principal:system:']! + 1)
    const row = (await t.auditRows()).find(({ keep }) => keep.event === 'grant.revoked')!
    expect(row.keep).toMatchObject({ stream: 'grants', grant_id: grant.id, reason: 'left the team' })
    expect(row.detail.changes).toEqual([{ field: 'in_flight', from: null, to: JSON.stringify([attempt]) }])
    const events = await t.events()
    t.clock.advance(1_000)
    expect(await revoke()).toEqual(revoked)
    expect(await t.fences()).toEqual(after)
    expect(await t.events()).toEqual(events)
  })

  test('with its agent or its app leaves none of theirs', async () => {
    await using t = await createManagementTest()
    const { grants, endings, addSecret, addAgent, grantTo } = setUpGrants(t)
    const secret = await addSecret()
    const [agentId, otherId] = [await addAgent(), await addAgent()]
    const own = await grantTo(secret.id, { principal: { type: 'agent', id: agentId } })
    const others = await grantTo(secret.id, { principal: { type: 'agent', id: otherId } })
    const elsewhere = await addSecret({ app: t.otherApp })
    const by = { app: t.app, author: t.owner, at: new Date(t.clock.now()) }
    const end = (ended: Ended) => t.db.forApp(t.app.appId, (tx) => endings.announce(tx, () => '', ended, by))
    const statusOf = async (id: string) => (await grants.showGrant(t.app, id)).status
    await end({ type: 'agent', id: agentId, reason: 'revoked' })
    expect(await Promise.all([own.id, others.id, secret.base_grant_id!].map(statusOf))).toEqual([
      'revoked',
      'active',
      'active',
    ])
    await end({ type: 'app', id: t.app.appId, reason: 'deleted' })
    expect(await Promise.all([others.id, secret.base_grant_id!].map(statusOf))).toEqual(['revoked', 'revoked'])
    expect((await grants.showGrant(t.otherApp, elsewhere.base_grant_id!)).status).toBe('active')
  })

  test.each(['agent', 'source', 'app'] as const)(
    'by its %s ends every row, also of a kind that has no managed secret',
    async (by) => {
      await using t = await createManagementTest()
      const { endings, addSecret, addAgent, grantTo } = setUpGrants(t)
      const agentId = await addAgent()
      const secret = await addSecret()
      await grantTo(secret.id, { principal: { type: 'agent', id: agentId } })
      const [connectionId, credentialId] = [newId(), newId()]
      await t.asOwner(
        "insert into credentials (app_id, credential_id, source_kind, source_id, label) values ($1, $2, 'connection', $3, 'ann@acme.test')",
        [t.app.appId, credentialId, connectionId],
      )
      for (const principal of [null, agentId]) {
        await t.asOwner(
          `insert into grants (app_id, grant_id, grant_kind, principal_type, principal_id, provider_id, source_id, credential_id, created_by)
            values ($1, $2, 'oauth', $3, $4, 'github', $5, $6, '{"kind":"system"}')`,
          [t.app.appId, newId(), principal === null ? 'system' : 'agent', principal, connectionId, credentialId],
        )
      }
      const ending = { app: t.app, author: t.owner, at: new Date(t.clock.now()) }
      const ended: Record<typeof by, Ended> = {
        agent: { type: 'agent', id: agentId, reason: 'revoked' },
        source: { type: 'secret', id: connectionId, reason: 'deleted' },
        app: { type: 'app', id: t.app.appId, reason: 'deleted' },
      }
      await t.db.forApp(t.app.appId, (tx) => endings.announce(tx, () => '', ended[by], ending))
      const of = { agent: 'principal_id = $2', source: 'source_id = $2', app: 'app_id = $2' }[by]
      const id = { agent: agentId, source: connectionId, app: t.app.appId }[by]
      const rows = await t.asOwner<{ status: string; own: boolean }>(
        `select status, coalesce(${of}, false) as own from grants where app_id = $1`,
        [t.app.appId, id],
      )
      expect(rows.filter(({ own }) => own).length).toBe({ agent: 2, source: 2, app: 4 }[by])
      expect(rows.map(({ status }) => status)).toEqual(rows.map(({ own }) => (own ? 'revoked' : 'active')))
    },
  )
})

describe('reading grants', () => {
  test('finds them by state, slug, principal and text, page by page', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, addAgent, grantTo } = setUpGrants(t)
    const stripe = await addSecret()
    t.clock.advance(1_000)
    const mail = await addSecret({ name: 'Mail' })
    const agentId = await addAgent({ name: 'refunder' })
    t.clock.advance(1_000)
    const agents = await grantTo(stripe.id, { principal: { type: 'agent', id: agentId }, label: 'Refunds' })
    t.clock.advance(1_000)
    const brief = await grantTo(mail.id, { label: 'brief', policy: { default_ttl_seconds: 1 } })
    t.clock.advance(1_000)
    await grants.revokeGrant({ app: t.app, author: t.owner, grantId: mail.base_grant_id!, whenRevoked: 'keep' })
    await addSecret({ app: t.otherApp })
    const ids = async (filter: object, query = {}) =>
      (await grants.listGrants(t.app, filter, parsePage(query))).items.map((grant) => grant.id)
    expect(await ids({})).toEqual([brief.id, agents.id, mail.base_grant_id, stripe.base_grant_id])
    expect(await ids({ states: ['active'] })).toEqual([agents.id, stripe.base_grant_id])
    expect(await ids({ states: ['expired'] })).toEqual([brief.id])
    expect(await ids({ states: ['revoked'] })).toEqual([mail.base_grant_id])
    expect(await ids({ providerId: 'stripe' })).toEqual([agents.id, stripe.base_grant_id])
    expect(await ids({ sourceId: mail.id })).toEqual([brief.id, mail.base_grant_id])
    expect(await ids({ principalType: 'agent', principalId: agentId })).toEqual([agents.id])
    for (const search of ['refunds', 'REFUNDER']) expect(await ids({ search })).toEqual([agents.id])
    expect(await ids({ search: 'mail' })).toEqual([brief.id, mail.base_grant_id])
    const first = await grants.listGrants(t.app, {}, parsePage({ limit: 3 }))
    expect(first.has_more).toBe(true)
    expect(await ids({}, { cursor: first.next_cursor! })).toEqual([stripe.base_grant_id])
    expect(await ids({}, { offset: 1, limit: 1 })).toEqual([agents.id])
  })

  test('says who reaches a secret, and which agents cannot yet', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, addAgent, grantTo } = setUpGrants(t)
    const secret = await addSecret()
    const named = { managed_secret_slugs: ['stripe'] }
    const agentIds = [
      await addAgent({ scopes: named, name: 'refunder' }),
      await addAgent({ scopes: named, status: 'inactive' }),
      await addAgent({ scopes: { stripe: ['charges'] } }),
      await addAgent({ scopes: named }),
    ]
    await t.asOwner('update agents set scopes_pending = $1, scopes_applies_at = $2 where agent_id = $3', [
      {},
      new Date(t.clock.now() + HOUR_MS),
      agentIds[3],
    ])
    for (const id of agentIds) {
      t.clock.advance(1)
      await grantTo(secret.id, {
        principal: { type: 'agent', id },
        policy: { restrictions: { allowed_methods: ['GET'] } },
      })
    }
    await grantTo(secret.id, { label: 'brief', policy: { default_ttl_seconds: 1 } })
    t.clock.advance(1_000)
    const access = () => grants.showSecretAccess(t.app, secret.id)
    const { items } = await access()
    expect(items.map((item) => [item.principal.type, item.effective, item.restricted])).toEqual([
      ['system', true, false],
      ['agent', true, true],
      ['agent', false, true],
      ['agent', false, true],
      ['agent', true, true],
    ])
    expect(items[1]).toMatchObject({
      principal: { type: 'agent', id: agentIds[0], name: 'refunder' },
      reachable_by: 'The agent "refunder" only, with its own keys or through an app key that acts as it.',
    })
    t.clock.advance(HOUR_MS)
    expect((await access()).items.at(-1)!.effective).toBe(false)
  })

  test('says what the rules on one meet, in its own app only', async () => {
    await using t = await createManagementTest()
    const { addSecret, addAgent, grantTo } = setUpGrants(t)
    const secret = await addSecret()
    const agentId = await addAgent()
    const own = await grantTo(secret.id, { principal: { type: 'agent', id: agentId } })
    const find = (appId: string, grantId: string) => t.db.forApp(appId, (tx) => findGrantTargets(tx, appId, grantId))
    expect(await find(t.app.appId, own.id)).toEqual({ providerId: 'stripe', agentId })
    expect(await find(t.app.appId, secret.base_grant_id!)).toEqual({ providerId: 'stripe', agentId: null })
    expect(await find(t.otherApp.appId, own.id)).toBeUndefined()
  })
})

describe('an SDK caller', () => {
  test('lists the grants of its app; an agent only its own that live', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, addAgent, grantTo, caller } = setUpGrants(t)
    const secret = await addSecret()
    const agentId = await addAgent()
    t.clock.advance(1_000)
    const own = await grantTo(secret.id, { principal: { type: 'agent', id: agentId }, label: 'a' })
    t.clock.advance(1_000)
    const gone = await grantTo(secret.id, { principal: { type: 'agent', id: agentId }, label: 'b' })
    await grants.revokeGrant({ app: t.app, author: t.owner, grantId: gone.id, whenRevoked: 'keep' })
    await addSecret({ app: t.otherApp })
    await t.asOwner('insert into last_uses (app_id, subject, used_at) values ($1, $2, $3)', [
      t.app.appId,
      `grant:${own.id}`,
      new Date(t.clock.now()),
    ])

    const ofApp = await grants.listCallerGrants(caller(), {})
    expect(ofApp).toMatchObject({ total: 3, limit: 100, offset: 0, has_more: false })
    expect(ofApp.grants.map((grant) => [grant.grant_id, grant.status])).toEqual([
      [gone.id, 'revoked'],
      [own.id, 'active'],
      [secret.base_grant_id, 'active'],
    ])
    const ofAgent = await grants.listCallerGrants(caller({ agentId }), {})
    expect(ofAgent).toMatchObject({ total: 1, has_more: false })
    expect(ofAgent.grants[0]).toEqual({
      grant_kind: 'managed_secret',
      grant_id: own.id,
      status: 'active',
      principal_type: 'agent',
      managed_secret_id: secret.id,
      managed_secret_slug: 'stripe',
      managed_secret_name: 'Stripe',
      agent_id: agentId,
      credential_kind: 'developer',
      credential_label: 'default',
      access_via: 'ownership',
      account_identifier: null,
      label: 'a',
      credential_id: secret.credentials[0]!.id,
      grant_policy: { expires_at: null, created_by: own.created_by, created_at: own.created_at },
      expires_at: null,
      grant_expires_at: null,
      last_used_at: new Date(t.clock.now()).toISOString(),
      delegated_at: null,
      parent_grant_id: null,
      depth: 0,
      delegable: false,
      scope_constraint: null,
      created_at: own.created_at,
    })
    const list = async (body: object, over = {}) => {
      const { grants: found, ...rest } = await grants.listCallerGrants(caller(over), body)
      return { ids: found.map((grant) => grant.grant_id), ...rest }
    }
    expect(await list({}, { scopes: [`grants:read:${own.id}`] })).toMatchObject({ ids: [own.id], total: 1 })
    expect(await list({ limit: 1, offset: 1 })).toEqual({
      ids: [own.id],
      total: 3,
      limit: 1,
      offset: 1,
      has_more: true,
    })
    expect((await list({ status: 'revoked' })).ids).toEqual([gone.id])
    expect((await list({ status: 'revoked' }, { agentId })).ids).toEqual([])
    expect((await list({ status: 'unheard-of' })).ids).toEqual([])
    expect((await list({ provider_id: 'mail' })).ids).toEqual([])
    expect((await list({ provider_id: 'stripe', label: 'a' })).ids).toEqual([own.id])
    expect((await list({ account: 'ann@acme.test' })).total).toBe(0)
    expect((await list({}, { keyType: 'ak' })).total).toBe(0)
    await expect(list({ user_token: 'x.y.z' })).rejects.toMatchObject({ code: 'jwt_validation_error' })
  })

  test('makes a grant for the app, or for the agent it acts as, which widens no scope', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, addAgent, caller } = setUpGrants(t)
    const secret = await addSecret({ no_base_grant: true })
    const agentId = await addAgent()
    const key = caller()
    const made = await grants.createCallerGrant(key, secret.id, {
      principal: { type: 'system', label: 'nightly' },
      grant_policy: { default_ttl_seconds: 60 },
    })
    expect(made).toEqual({
      grant_id: expect.any(String),
      principal_type: 'system',
      label: 'nightly',
      created_at: new Date(t.clock.now()).toISOString(),
      credential_id: secret.credentials[0]!.id,
    })
    const row = (await t.auditRows()).at(-1)!
    expect(row.keep).toMatchObject({ event: 'grant.created', caller_kind: 'app_key', key_id: key.keyId })
    expect(row.detail).toMatchObject({ initiator: 'sdk', key_prefix: key.keyPrefix })

    const acting = caller({ agentId, impersonated: true })
    const own = await grants.createCallerGrant(acting, secret.id, { principal: { type: 'agent' } })
    expect(own).toMatchObject({ principal_type: 'agent', label: null })
    expect((await t.auditRows()).at(-1)!.keep).toMatchObject({ agent_id: agentId, principal_id: agentId })
    expect(await t.inApp('select scopes, version from agents')).toEqual([{ scopes: {}, version: 1 }])
    const { items } = await grants.showSecretAccess(t.app, secret.id)
    expect(items.find((item) => item.grant_id === own.grant_id)!.effective).toBe(false)
  })

  test.each([
    ['an agent’s own key', { agentId: newId() }, { type: 'agent' }, 'app_key_required'],
    ['an agent’s own key for the app', { agentId: newId() }, { type: 'system' }, 'app_key_required'],
    ['a key of agent type', { keyType: 'ak' }, { type: 'system' }, 'app_key_required'],
    [
      'acting as an agent for the app',
      { agentId: newId(), impersonated: true },
      { type: 'system' },
      'app_key_required',
    ],
    ['an app key for an unnamed agent', {}, { type: 'agent' }, 'agent_principal_requires_agent'],
    ['a user’s token', {}, { type: 'user', user_token: 'x', label: 'a' }, 'jwt_validation_error'],
    ['a group', {}, { type: 'group', external_group_id: 'g', idp_id: 'i', label: 'a' }, 'group_grants_unsupported'],
    [
      'an agent that has just ended',
      { agentId: newId(), impersonated: true },
      { type: 'agent' },
      'caller_agent_unresolved',
    ],
  ] as const)('is refused with %s', async (_, over, principal, code) => {
    await using t = await createManagementTest()
    const { grants, addSecret, caller } = setUpGrants(t)
    const secret = await addSecret({ no_base_grant: true })
    await expect(grants.createCallerGrant(caller(over), secret.id, { principal })).rejects.toMatchObject({ code })
    expect(await t.inApp('select 1 from grants')).toEqual([])
  })

  test('gets the documented codes for unknown secrets, credentials and taken labels', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, caller } = setUpGrants(t)
    const secret = await addSecret()
    const elsewhere = await addSecret({ app: t.otherApp })
    const create = (id: string, over = {}) =>
      grants.createCallerGrant(caller(), id, { principal: { type: 'system' }, ...over })
    for (const id of [elsewhere.id, newId()]) {
      await expect(create(id)).rejects.toMatchObject({ code: 'managed_secret_not_found' })
    }
    for (const id of [elsewhere.credentials[0]!.id, newId()]) {
      await expect(create(secret.id, { credential_id: id })).rejects.toMatchObject({ code: 'credential_not_found' })
    }
    await expect(create(secret.id)).rejects.toMatchObject({ code: 'sibling_label_conflict', fields: { label: null } })
    await expect(create(secret.id, { principal: { type: 'system', label: ' ' } })).rejects.toMatchObject({
      errors: [{ pointer: '/principal/label' }],
    })
  })

  test('revokes once; an agent never', async () => {
    await using t = await createManagementTest()
    const { grants, addSecret, addAgent, caller, ended } = setUpGrants(t)
    const secret = await addSecret()
    const elsewhere = await addSecret({ app: t.otherApp })
    const grantId = secret.base_grant_id!
    const agentId = await addAgent()
    for (const over of [{ agentId }, { agentId, impersonated: true }, { keyType: 'ak' as const }]) {
      await expect(grants.revokeCallerGrant(caller(over), grantId, {})).rejects.toMatchObject({
        code: 'app_key_required',
      })
    }
    await expect(grants.revokeCallerGrant(caller(), grantId, { user_token: 'x' })).rejects.toMatchObject({
      code: 'jwt_validation_error',
    })
    for (const id of [elsewhere.base_grant_id!, newId()]) {
      await expect(grants.revokeCallerGrant(caller(), id, {})).rejects.toMatchObject({ code: 'grant_not_found' })
    }
    expect(ended).toEqual([])
    expect(await grants.revokeCallerGrant(caller(), grantId, { reason: 'done' })).toEqual({
      success: true,
      message: 'The grant was revoked.',
      grant_id: grantId,
      revoked_at: new Date(t.clock.now()).toISOString(),
    })
    expect(ended).toEqual([{ grantId, reason: 'grant_revoked' }])
    await expect(grants.revokeCallerGrant(caller(), grantId, {})).rejects.toMatchObject({
      code: 'grant_revoked',
      status: 403,
      fields: { grant_id: grantId },
    })
  })
})
