import { describe, expect, test } from 'vitest'
import { PLAINTEXT, refusalOf, setUpGrants } from '../grants/grants-fixture.ts'
import { newId } from '../kernel/ids.ts'
import { parsePage } from '../kernel/page.ts'
import { createManagementTest, type ManagementTest } from '../testing/management.ts'
import { openSealedCredential } from './index.ts'

/** Everything that the database and the audit log hold, as text: the log is searched too, for a value must be in neither. */
async function everythingStored(t: ManagementTest): Promise<string> {
  const rows = await Promise.all(
    ['managed_secrets', 'credentials', 'grants', 'rules'].map((table) =>
      t.asOwner<{ text: string }>(`select ${table}::text as text from ${table}`),
    ),
  )
  return JSON.stringify([rows, await t.auditRows()])
}

const NOBODYS_APP = {
  appId: '00000000-0000-7000-8000-000000000001',
  organizationId: '00000000-0000-7000-8000-000000000002',
}
const hexOf = (text: string) => Buffer.from(text).toString('hex')

describe('storing a secret', () => {
  test('seals the value, shows its end, makes a base grant and records both without the value', async () => {
    await using t = await createManagementTest()
    const { addSecret, openCredential } = setUpGrants(t)
    const made = await addSecret()
    expect(made).toMatchObject({
      slug: 'stripe',
      credential_type: 'bearer',
      injection: { header: 'Authorization', format: 'Bearer {token}', additional: [] },
      allowed_hosts: ['api.stripe.com'],
      status: 'active',
      proxy_only: false,
      version: 1,
      credentials: [{ label: 'default', kind: 'developer', hint: PLAINTEXT.slice(-4), rotated_at: null }],
      base_grant_id: expect.any(String),
    })
    const stored = await everythingStored(t)
    expect(stored).not.toContain(PLAINTEXT)
    expect(stored).not.toContain(hexOf(PLAINTEXT))
    expect(JSON.stringify(made)).not.toContain(PLAINTEXT)
    const opened = await openCredential(made.credentials[0]!.id, 'bearer')
    expect(opened.type === 'bearer' && opened.token.reveal()).toBe(PLAINTEXT)

    const rows = await t.auditRows()
    expect(rows.map((row) => [row.keep.event, row.keep.stream])).toEqual([
      ['secret.created', 'portal'],
      ['grant.created', 'grants'],
    ])
    expect(rows[0]!.detail).toMatchObject({ resource_type: 'secret', resource_id: made.id })
    expect(rows[0]!.detail.changes).toContainEqual({ field: 'value', from: null, to: 'changed' })
    expect(rows[1]!.keep).toMatchObject({
      grant_id: made.base_grant_id,
      provider_id: 'stripe',
      resource_kind: 'managed_secret',
      principal_type: 'system',
    })
    const fences = await t.fences()
    expect(fences).toMatchObject({
      [`secret:${made.id}`]: 1,
      [`credential:${made.credentials[0]!.id}`]: 1,
      [`grant:${made.base_grant_id}`]: 1,
      'principal:system:': 2,
    })
  })

  test('makes no base grant when none is wanted, and shows no end of a short value', async () => {
    await using t = await createManagementTest()
    const { addSecret } = setUpGrants(t)
    const made = await addSecret({ no_base_grant: true, value: { token: 'nineteen-characters' } })
    expect(made.base_grant_id).toBeNull()
    expect(made.credentials[0]!.hint).toBeNull()
    expect(await t.events()).toEqual(['secret.created'])
  })

  test.each([
    [
      'basic',
      { username: 'ann', password: PLAINTEXT },
      undefined,
      { header: 'Authorization', format: 'Basic {token}' },
    ],
    ['api_key', { token: PLAINTEXT }, { header: 'X-Key', format: '{token}' }, { header: 'X-Key', format: '{token}' }],
    [
      'aws_sigv4',
      { access_key_id: 'AKIAIOSFODNN7EXAMPLE', secret_access_key: PLAINTEXT },
      undefined,
      { format: 'AWS4-HMAC-SHA256' },
    ],
    [
      'custom',
      { token: PLAINTEXT, fields: { tenant: 'acme' } },
      {
        header: 'X-Token',
        format: 'Token {token}',
        additional: [{ target: 'query_param' as const, key: 'tenant', value_source: 'additional_credentials.tenant' }],
      },
      { additional: [{ target: 'query_param', key: 'tenant', value_source: 'additional_credentials.tenant' }] },
    ],
  ] as const)('of type %s keeps where the value goes', async (type, value, injection, shown) => {
    await using t = await createManagementTest()
    const { addSecret, openCredential } = setUpGrants(t)
    const made = await addSecret({
      credential_type: type,
      value,
      ...(injection === undefined
        ? {}
        : { injection: { ...injection, additional: [...('additional' in injection ? injection.additional : [])] } }),
    })
    expect(made.injection).toMatchObject(shown)
    const opened = await openCredential(made.credentials[0]!.id, type)
    expect(opened.type).toBe(type)
    expect(await everythingStored(t)).not.toContain(PLAINTEXT)
  })

  test.each([
    [{ allowed_hosts: [] }, 'allowed_hosts_required'],
    [{ allowed_hosts: ['*'] }, 'validation_failed'],
    [{ allowed_hosts: ['127.0.0.1:9000'] }, 'validation_failed'],
    [{ value: { token: 'with\nnewline' } }, 'validation_failed'],
    [{ value: { password: PLAINTEXT } }, 'validation_failed'],
    [{ injection: { header: 'X-Other' } }, 'validation_failed'],
    [{ credential_type: 'api_key' as const, injection: { header: 'Cookie' } }, 'validation_failed'],
    [
      {
        credential_type: 'custom' as const,
        injection: {
          additional: [{ target: 'header' as const, key: 'X-T', value_source: 'additional_credentials.no' }],
        },
      },
      'validation_failed',
    ],
    [{ app: NOBODYS_APP }, 'not_found'],
  ])('refuses %j as %s, and its message has nothing of the value', async (over, code) => {
    await using t = await createManagementTest()
    const { addSecret } = setUpGrants(t)
    const [refused, message] = await refusalOf(addSecret(over))
    expect(refused).toBe(code)
    expect(message).not.toContain(PLAINTEXT)
    expect(await t.inApp('select 1 from credentials')).toEqual([])
    expect(await t.events()).toEqual([])
  })

  test('takes an IP address only where the owner has opened it', async () => {
    await using t = await createManagementTest()
    const { addSecret } = setUpGrants(t)
    await t.asOwner('update apps set settings = $1 where app_id = $2', [
      { allowed_private_hosts: ['127.0.0.1:9000'], secrets_proxy_only: true },
      t.app.appId,
    ])
    const made = await addSecret({ allowed_hosts: ['127.0.0.1:9000', 'API.Stripe.com', 'api.stripe.com'] })
    expect(made).toMatchObject({ allowed_hosts: ['127.0.0.1:9000', 'api.stripe.com'], proxy_only: true })
    await expect(addSecret({ allowed_hosts: ['127.0.0.1:9001'] })).rejects.toMatchObject({
      code: 'validation_failed',
      errors: [{ pointer: '/allowed_hosts/0' }],
    })
  })

  test('numbers slugs only when they are taken, also when two are stored at once', async () => {
    await using t = await createManagementTest()
    const { addSecret, credentials } = setUpGrants(t)
    const [first, second] = await Promise.all([addSecret(), addSecret()])
    expect([first.slug, second.slug].sort()).toEqual(['stripe', 'stripe-2'])
    await credentials.deleteManagedSecret({
      app: t.app,
      author: t.owner,
      managedSecretId: first.id,
      expectedVersion: 1,
      confirm: first.slug,
      force: false,
    })
    expect((await addSecret()).slug).toBe(first.slug)
    expect((await addSecret({ app: t.otherApp })).slug).toBe('stripe')
  })
})

describe('a sealed value', () => {
  test('opens neither for another app nor in the row of another credential', async () => {
    await using t = await createManagementTest()
    const { addSecret, keyring, openCredential } = setUpGrants(t)
    const mine = (await addSecret()).credentials[0]!.id
    const other = (await addSecret({ app: t.otherApp, value: { token: 'another-token' } })).credentials[0]!.id
    await expect(openCredential(mine, 'bearer', t.otherApp)).rejects.toThrow()
    const [row] = await t.asOwner<{ sealed: Buffer }>('select sealed from credentials where credential_id = $1', [mine])
    await expect(openSealedCredential(keyring, t.app.appId, other, 'bearer', row!.sealed)).rejects.toThrow()
    const fault: Error = await openSealedCredential(keyring, t.app.appId, mine, 'basic', row!.sealed).then(
      () => expect.unreachable(),
      (error) => error,
    )
    expect(fault.message).toBe(`The opened credential ${mine} is no "basic" value.`)
    expect(fault.cause).toBeUndefined()
  })
})

describe('rotating a value', () => {
  test('replaces it in place: same ids, other value, the old one gone', async () => {
    await using t = await createManagementTest()
    const { credentials, addSecret, openCredential } = setUpGrants(t)
    const made = await addSecret()
    const [credential] = made.credentials
    const [before] = await t.inApp<{ sealed: Buffer }>('select sealed from credentials')
    const fencesBefore = await t.fences()
    t.clock.advance(1_000)
    const rotated = await credentials.rotateManagedSecret({
      app: t.app,
      author: t.owner,
      managedSecretId: made.id,
      value: { token: 'sk_live_the-second-value' },
    })
    expect(rotated).toMatchObject({
      version: 2,
      updated_at: new Date(t.clock.now()).toISOString(),
      credentials: [{ id: credential!.id, hint: 'alue', rotated_at: new Date(t.clock.now()).toISOString() }],
    })
    const opened = await openCredential(credential!.id, 'bearer')
    expect(opened.type === 'bearer' && opened.token.reveal()).toBe('sk_live_the-second-value')
    const [after] = await t.inApp<{ sealed: Buffer }>('select sealed from credentials')
    expect(after!.sealed.equals(before!.sealed)).toBe(false)
    const subject = `credential:${credential!.id}`
    expect((await t.fences())[subject]).toBe(fencesBefore[subject]! + 1)
    expect((await t.fences())[`grant:${made.base_grant_id}`]).toBe(fencesBefore[`grant:${made.base_grant_id}`])
    const row = (await t.auditRows()).at(-1)!
    expect(row.keep).toMatchObject({ event: 'credential.rotated', provider_id: 'stripe' })
    expect(row.detail).toMatchObject({
      resource_type: 'credential',
      resource_id: credential!.id,
      changes: [{ field: 'value', from: null, to: 'changed' }],
    })
    expect(JSON.stringify(await t.auditRows())).not.toContain('second-value')
  })

  test('asks which one when there are several, and never touches an end user’s key', async () => {
    await using t = await createManagementTest()
    const { credentials, addSecret, addCredential } = setUpGrants(t)
    const made = await addSecret()
    const endUsers = await addCredential(made.id, 'ann', 'end_user')
    const rotate = (credentialId?: string) =>
      credentials.rotateManagedSecret({
        app: t.app,
        author: t.owner,
        managedSecretId: made.id,
        value: { token: 'sk_live_the-second-value' },
        ...(credentialId === undefined ? {} : { credentialId }),
      })
    expect((await rotate()).version).toBe(2)
    const second = await addCredential(made.id, 'second')
    await expect(rotate()).rejects.toMatchObject({
      code: 'credential_id_required',
      fields: {
        details: {
          credentials: [
            { id: made.credentials[0]!.id, label: 'default' },
            { id: second, label: 'second' },
          ],
        },
      },
    })
    expect((await rotate(second)).credentials.find(({ id }) => id === second)!.rotated_at).not.toBeNull()
    for (const id of [endUsers, newId()])
      await expect(rotate(id)).rejects.toMatchObject({ code: 'credential_not_found' })
  })

  test('refuses a value of another type and one that lacks what the injection reads', async () => {
    await using t = await createManagementTest()
    const { credentials, addSecret } = setUpGrants(t)
    const made = await addSecret({
      credential_type: 'custom',
      value: { token: 'a', fields: { tenant: 'acme', region: 'eu' } },
      injection: { additional: [{ target: 'header', key: 'X-T', value_source: 'additional_credentials.tenant' }] },
    })
    const rotate = (value: Record<string, unknown>) =>
      credentials.rotateManagedSecret({ app: t.app, author: t.owner, managedSecretId: made.id, value })
    await expect(rotate({ username: 'a', password: 'b' })).rejects.toMatchObject({ code: 'validation_failed' })
    await expect(rotate({ token: 'b', fields: { region: 'eu' } })).rejects.toMatchObject({
      errors: [{ pointer: '/value/fields/tenant' }],
    })
    expect((await rotate({ token: 'b', fields: { tenant: 'desk' } })).version).toBe(2)
  })
})

describe('changing a secret', () => {
  test('needs the version that was seen, writes what differs and bumps the fence once', async () => {
    await using t = await createManagementTest()
    const { credentials, addSecret } = setUpGrants(t)
    const made = await addSecret({ credential_type: 'api_key' })
    const change = (expectedVersion: number, change: object) =>
      credentials.updateManagedSecret({
        app: t.app,
        author: t.owner,
        managedSecretId: made.id,
        expectedVersion,
        change,
      })
    const before = (await t.fences())[`secret:${made.id}`]!
    const next = await change(1, {
      name: 'Payments',
      proxy_only: true,
      injection: { header: 'X-Api-Key', format: '{token}' },
    })
    expect(next).toMatchObject({ slug: 'stripe', name: 'Payments', proxy_only: true, version: 2 })
    expect(next.injection.header).toBe('X-Api-Key')
    await expect(change(1, { name: 'Other' })).rejects.toMatchObject({
      code: 'version_conflict',
      fields: { current_version: 2 },
    })
    expect((await change(2, { name: 'Payments' })).version).toBe(2)
    expect((await t.fences())[`secret:${made.id}`]).toBe(before + 1)
    expect((await t.events()).filter((event) => event === 'secret.updated')).toHaveLength(1)
    expect((await t.auditRows()).at(-1)!.detail.changes).toContainEqual({
      field: 'name',
      from: '"Stripe"',
      to: '"Payments"',
    })
  })

  test('replaces its hosts but never leaves it without one', async () => {
    await using t = await createManagementTest()
    const { credentials, addSecret } = setUpGrants(t)
    const made = await addSecret()
    const setHosts = (expectedVersion: number, allowed_hosts: string[]) =>
      credentials.updateManagedSecret({
        app: t.app,
        author: t.owner,
        managedSecretId: made.id,
        expectedVersion,
        change: { allowed_hosts },
      })
    await expect(setHosts(1, [])).rejects.toMatchObject({ code: 'allowed_hosts_required' })
    expect(await setHosts(1, ['*.stripe.com'])).toMatchObject({ allowed_hosts: ['*.stripe.com'], version: 2 })
  })

  test('lets an injection read only fields that every stored value has', async () => {
    await using t = await createManagementTest()
    const { credentials, addSecret, addCredential } = setUpGrants(t)
    const made = await addSecret({ credential_type: 'custom', value: { token: 'a', fields: { tenant: 'acme' } } })
    const read = (expectedVersion: number, field: string) =>
      credentials.updateManagedSecret({
        app: t.app,
        author: t.owner,
        managedSecretId: made.id,
        expectedVersion,
        change: {
          injection: {
            additional: [{ target: 'header', key: 'X-T', value_source: `additional_credentials.${field}` }],
          },
        },
      })
    await expect(read(1, 'region')).rejects.toMatchObject({ errors: [{ code: 'unknown_field' }] })
    expect((await read(1, 'tenant')).version).toBe(2)
    await addCredential(made.id, 'second')
    await expect(read(2, 'tenant')).rejects.toMatchObject({ errors: [{ code: 'unknown_field' }] })
  })
})

describe('deleting a secret', () => {
  const deletion = (t: ManagementTest, managedSecretId: string, over: object = {}) => ({
    app: t.app,
    author: t.owner,
    managedSecretId,
    expectedVersion: 1,
    confirm: 'stripe',
    force: false,
    ...over,
  })

  test('destroys its values and ends its grants, what waits on them and its rules', async () => {
    await using t = await createManagementTest()
    const { credentials, grants, rules, addSecret, grantTo, ended } = setUpGrants(t)
    const made = await addSecret()
    const labeled = await grantTo(made.id, { label: 'billing' })
    await rules.createRule({
      home: { kind: 'app', ...t.app },
      author: t.owner,
      target: { type: 'provider', id: 'stripe' },
      type: 'json_match',
      name: 'No deletions',
      body: { effect: 'deny', when: { method: 'DELETE' } },
    })
    const before = await t.fences()
    expect(await credentials.deleteManagedSecret(deletion(t, made.id))).toEqual({
      id: made.id,
      deleted: true,
      grants_revoked: 2,
    })
    expect(await t.inApp('select sealed, hint, status from credentials')).toEqual([
      { sealed: null, hint: null, status: 'revoked' },
    ])
    for (const id of [made.base_grant_id!, labeled.id]) {
      expect(await grants.showGrant(t.app, id)).toMatchObject({ status: 'revoked', revoked_reason: 'secret_deleted' })
      expect(ended).toContainEqual({ grantId: id, reason: 'grant_revoked' })
      expect((await t.fences())[`grant:${id}`]).toBe(before[`grant:${id}`]! + 1)
    }
    expect(await t.inApp('select 1 from rules')).toEqual([])
    const events = (await t.events()).slice(4)
    expect(events.sort()).toEqual([
      'credential.revoked',
      'grant.revoked',
      'grant.revoked',
      'rule.deleted',
      'secret.deleted',
    ])
    await expect(credentials.showManagedSecret(t.app, made.id)).rejects.toMatchObject({
      code: 'managed_secret_not_found',
    })
    await expect(credentials.deleteManagedSecret(deletion(t, made.id))).rejects.toMatchObject({
      code: 'managed_secret_not_found',
    })
  })

  test('needs its slug, its version, and force while agents use it', async () => {
    await using t = await createManagementTest()
    const { credentials, addSecret, addAgent, grantTo } = setUpGrants(t)
    const made = await addSecret()
    await grantTo(made.id, { principal: { type: 'agent', id: await addAgent() } })
    const remove = (over: object = {}) => credentials.deleteManagedSecret(deletion(t, made.id, over))
    await expect(remove({ confirm: 'Stripe' })).rejects.toMatchObject({ code: 'confirm_mismatch' })
    await expect(remove({ expectedVersion: 2 })).rejects.toMatchObject({ code: 'version_conflict' })
    await expect(remove()).rejects.toMatchObject({
      code: 'has_dependants',
      fields: { details: { grants: { agent: 1 } } },
    })
    expect((await credentials.showManagedSecret(t.app, made.id)).status).toBe('active')
    expect(await remove({ force: true })).toMatchObject({ grants_revoked: 2 })
  })

  test('of a whole app destroys every value', async () => {
    await using t = await createManagementTest()
    const { endings, addSecret } = setUpGrants(t)
    await addSecret()
    await addSecret()
    await addSecret({ app: t.otherApp })
    const by = { app: t.app, author: t.owner, at: new Date(t.clock.now()) }
    await t.db.forApp(t.app.appId, (tx) =>
      endings.announce(tx, () => '', { type: 'app', id: t.app.appId, reason: 'deleted' }, by),
    )
    const rows = await t.asOwner<{ app_id: string; gone: boolean }>(
      'select app_id, sealed is null as gone from credentials where app_id = any($1)',
      [[t.app.appId, t.otherApp.appId]],
    )
    expect(rows.filter((row) => row.gone).map((row) => row.app_id)).toEqual([t.app.appId, t.app.appId])
    expect(rows.filter((row) => !row.gone).map((row) => row.app_id)).toEqual([t.otherApp.appId])
  })
})

describe('secrets', () => {
  test('of another app are answered like those that nobody has', async () => {
    await using t = await createManagementTest()
    const { credentials, grants, addSecret, grantTo } = setUpGrants(t)
    const elsewhere = (await addSecret({ app: t.otherApp })).id
    const { app } = t
    const common = { app, author: t.owner, expectedVersion: 1 }
    const refusals = await Promise.all(
      [elsewhere, newId(), 'no-id'].flatMap((managedSecretId) =>
        [
          credentials.showManagedSecret(app, managedSecretId),
          credentials.updateManagedSecret({ ...common, managedSecretId, change: { name: 'x' } }),
          credentials.rotateManagedSecret({ ...common, managedSecretId, value: { token: 'x' } }),
          credentials.deleteManagedSecret({ ...common, managedSecretId, confirm: 'stripe', force: true }),
          grants.showSecretAccess(app, managedSecretId),
          grants.listGrants(app, { sourceId: managedSecretId }, parsePage({})),
          grantTo(managedSecretId),
        ].map(refusalOf),
      ),
    )
    expect(new Set(refusals.map((refusal) => JSON.stringify(refusal))).size).toBe(1)
    expect(refusals[0]![0]).toBe('managed_secret_not_found')
    expect((await credentials.showManagedSecret(t.otherApp, elsewhere)).status).toBe('active')
  })

  test('are listed by page and found by name or slug', async () => {
    await using t = await createManagementTest()
    const { credentials, addSecret } = setUpGrants(t)
    const ids: string[] = []
    for (const name of ['Stripe', 'Mail', 'Stripe test']) {
      ids.push((await addSecret({ name })).id)
      t.clock.advance(1_000)
    }
    await addSecret({ app: t.otherApp })
    const list = (query: object, filter = {}) => credentials.listManagedSecrets(t.app, filter, parsePage(query))
    const first = await list({ limit: 2 })
    expect(first.items.map(({ id }) => id)).toEqual([ids[2], ids[1]])
    const rest = await list({ limit: 2, cursor: first.next_cursor! })
    expect(rest.items.map(({ id }) => id)).toEqual([ids[0]])
    expect(rest).toMatchObject({ has_more: false, next_cursor: null })
    expect((await list({}, { search: 'STRIPE' })).items).toHaveLength(2)
    expect((await list({}, { search: 'stripe-t' })).items.map(({ id }) => id)).toEqual([ids[2]])
    expect(first.items.every(({ credentials: held }) => held.length === 1)).toBe(true)
  })
})
