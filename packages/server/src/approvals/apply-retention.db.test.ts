import { EndedApprovalPage, ManagedApproval, ManagedApprovalDetail } from '@alter-vault/contracts'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts'
import { createApprovalFixture } from './approval-fixture.ts'

const TABLES = ['approval_groups', 'approval_gates', 'approval_decisions', 'approval_attempts', 'approval_routes']

async function setUp(db: TestDatabase, settings: object = {}) {
  const fixture = await createApprovalFixture(db)
  await db.asOwner('update apps set settings = $1', [JSON.stringify(settings)])
  const { approvals } = fixture.startProcess()
  const hold = async () => {
    const pending = await approvals.requestApproval(fixture.request())
    return { id: pending.approval_group_id, link: fixture.linkOf(pending.approval_url), url: pending.approval_url }
  }
  const deny = async () => {
    const held = await hold()
    await approvals.decideByLink(held.link, await fixture.decisionOf(held.id, 'deny'))
    return held
  }
  /** As if everything had happened that much earlier. */
  const age = (days: number) =>
    db.asOwner(
      `update approval_groups set requested_at = requested_at - make_interval(days => $1),
      decided_at = decided_at - make_interval(days => $1), executed_at = executed_at - make_interval(days => $1),
      result_expires_at = result_expires_at - make_interval(days => $1)`,
      [days],
    )
  const apply = () => approvals.forgetInApp(fixture.ids.appId)
  const counts = async () =>
    Promise.all(TABLES.map(async (table) => (await db.asOwner(`select 1 from ${table}`)).length))
  const retentionRows = async () => (await fixture.rows()).filter(({ event }) => event === 'retention.applied')
  return { fixture, approvals, hold, deny, age, apply, counts, retentionRows }
}

const NOTHING = { requestsErased: 0, approvalsDeleted: 0 }

describe('retention of approvals', () => {
  test('erases the frozen request of an ended approval after retain_body_days; page and lists say so', async () => {
    await using db = await createTestDatabase()
    const { fixture, approvals, deny, age, apply, retentionRows } = await setUp(db, { retain_body_days: 7 })
    const { appId } = fixture.ids
    const { id, link } = await deny()
    await age(6)
    expect(await apply()).toEqual(NOTHING)
    expect(await approvals.getApproval(appId, id)).toMatchObject({ request_erased: false, request: { method: 'POST' } })

    await age(1)
    expect(await apply()).toEqual({ requestsErased: 1, approvalsDeleted: 0 })
    expect(await db.asOwner('select sealed_request from approval_groups')).toEqual([{ sealed_request: null }])
    const shown = await approvals.getApproval(appId, id)
    expect(Value.Check(ManagedApprovalDetail, shown)).toBe(true)
    expect(shown).toMatchObject({ status: 'denied', request_erased: true, request: null })
    const { items } = await approvals.listApprovals(appId, {})
    expect(items.map((item) => [Value.Check(ManagedApproval, item), item.request_erased])).toEqual([[true, true]])
    const page = await approvals.readApprovalPage(link.approvalId, link.token)
    expect(Value.Check(EndedApprovalPage, page)).toBe(true)
    expect(page).toMatchObject({ view: 'ended', outcome: { request_erased: true } })

    expect(await apply()).toEqual(NOTHING)
    expect(await retentionRows()).toMatchObject([
      { caller_kind: 'system', detail: { changes: [{ field: 'approval_requests_erased', from: null, to: '1' }] } },
    ])
  })

  test('leaves what is still open, however old', async () => {
    await using db = await createTestDatabase()
    const { fixture, approvals, hold, age, apply } = await setUp(db, { retain_body_days: 0, retain_runtime_days: 30 })
    const pending = await hold()
    const approved = await hold()
    await approvals.decideByLink(approved.link, await fixture.decisionOf(approved.id, 'approve'))
    const executing = await hold()
    await approvals.decideByLink(executing.link, await fixture.decisionOf(executing.id, 'approve'))
    await approvals.claimApproved({ appId: fixture.ids.appId, approvalGroupId: executing.id })
    await age(400)
    expect(await apply()).toEqual(NOTHING)
    for (const { id } of [pending, approved, executing]) {
      expect(await approvals.getApproval(fixture.ids.appId, id)).toMatchObject({ request: { method: 'POST' } })
    }
  })

  test('deletes an ended approval with all that belongs to it after retain_runtime_days, once its answer has run out', async () => {
    await using db = await createTestDatabase()
    const { fixture, approvals, deny, hold, age, apply, counts } = await setUp(db)
    const denied = await deny()
    const executed = await hold()
    await approvals.decideByLink(executed.link, await fixture.decisionOf(executed.id, 'approve'))
    const server = fixture.startProcess()
    const claimed = (await server.approvals.claimDue())!
    await fixture.intend(server, claimed)
    const answer = { statusCode: 200, headers: [], body: Buffer.from('{}'), bodyTruncated: false, durationMs: 1 }
    await server.approvals.recordExecuted(claimed, { ...answer, credentialHint: null })
    await age(364)
    await db.asOwner(
      "update approval_groups set result_expires_at = now() + interval '1 hour' where status = 'executed'",
    )
    expect(await apply()).toEqual({ requestsErased: 2, approvalsDeleted: 0 })
    await db.asOwner(
      `update approval_groups set decided_at = decided_at - interval '1 day', executed_at = executed_at - interval '1 day'`,
    )
    expect(await apply()).toEqual({ requestsErased: 0, approvalsDeleted: 1 })
    expect(await counts()).toEqual([1, 1, 1, 1, 1])
    await expect(approvals.readApprovalPage(denied.link.approvalId, denied.link.token)).rejects.toMatchObject({
      code: 'approval_not_found',
    })
    await db.asOwner("update approval_groups set result_expires_at = now() - interval '1 second'")
    expect(await apply()).toEqual({ requestsErased: 0, approvalsDeleted: 1 })
    expect(await counts()).toEqual([0, 0, 0, 0, 0])
  })

  test('keeps an approval for ever when the app keeps its rows for ever', async () => {
    await using db = await createTestDatabase()
    const { deny, age, apply, counts } = await setUp(db, { retain_runtime_days: null })
    await deny()
    await age(4_000)
    expect(await apply()).toEqual({ requestsErased: 1, approvalsDeleted: 0 })
    expect(await counts()).toEqual([1, 1, 1, 0, 1])
  })
})
