import { ApprovalPage, ApprovalResult, ApprovalState } from '@alter-vault/contracts'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { createTestDatabase, type TestDatabase } from '../testing/test-database.ts'
import { type ApprovalFixture, type ApprovalProcess, createApprovalFixture } from './approval-fixture.ts'
import type { ExecutedResult } from './record-execution.ts'

const signal = new AbortController().signal

const answer = (changes: Partial<ExecutedResult> = {}): ExecutedResult => ({
  statusCode: 200,
  headers: [
    ['content-type', 'application/json'],
    ['set-cookie', 'session=1'],
    ['connection', 'x-hop'],
    ['x-hop', '1'],
    ['x-twice', 'a'],
    ['x-twice', 'b'],
  ],
  body: Buffer.from('{"id":"re_1"}'),
  bodyTruncated: false,
  durationMs: 12.4,
  credentialHint: '••••abcd',
  ...changes,
})

async function approve(fixture: ApprovalFixture, server: ApprovalProcess, gates = [fixture.gate()]) {
  const pending = await server.approvals.requestApproval(fixture.request({ gates }))
  const id = pending.approval_group_id
  await server.approvals.decideByLink(fixture.linkOf(pending.approval_url), await fixture.decisionOf(id, 'approve'))
  return { id, approvalId: pending.approval_id, ref: { appId: fixture.ids.appId, approvalGroupId: id }, pending }
}

async function setUp(db: TestDatabase) {
  const fixture = await createApprovalFixture(db)
  return { fixture, server: fixture.startProcess(), other: fixture.startProcess() }
}

describe('executing once', () => {
  test('a claim hands out what was frozen, byte for byte, and whose hold it satisfies', async () => {
    await using db = await createTestDatabase()
    const { fixture, server } = await setUp(db)
    const gate = fixture.gate()
    const { ref, approvalId } = await approve(fixture, server, [gate])
    const claimed = (await server.approvals.claimDue())!
    expect(claimed).toMatchObject({
      ...ref,
      approvalId,
      owner: server.processId,
      leaseNumber: 1,
      approverIds: ['link'],
    })
    expect(claimed.request.body?.toString()).toBe('{"charge":"ch_1","amount":600}')
    expect(claimed.satisfied).toEqual([{ ruleId: gate.rules[0]!.rule_id, ruleVersion: 3 }])
    expect(claimed.approvedAt).toBeInstanceOf(Date)
    expect(await server.approvals.claimDue()).toBeUndefined()
    expect(await server.approvals.claimApproved(ref)).toBeUndefined()
  })

  test('an answer is stored with its row, and read by its requester until it is erased', async () => {
    await using db = await createTestDatabase()
    const { fixture, server } = await setUp(db)
    const { id, approvalId } = await approve(fixture, server)
    const claimed = (await server.approvals.claimDue())!
    await fixture.intend(server, claimed)
    expect(await server.approvals.recordExecuted(claimed, answer())).toBe('recorded')

    const caller = fixture.caller()
    const state = await server.approvals.readStatus(caller, approvalId, 0, signal)
    expect(Value.Check(ApprovalState, state)).toBe(true)
    expect(state).toMatchObject({ status: 'executed', has_result: true })
    const result = await server.approvals.readResult(caller, approvalId)
    expect(Value.Check(ApprovalResult, result)).toBe(true)
    expect(result).toEqual({
      approval_id: approvalId,
      status_code: 200,
      headers: { 'content-type': 'application/json', 'x-twice': 'a, b' },
      body_b64: Buffer.from('{"id":"re_1"}').toString('base64'),
      body_truncated: false,
      duration_ms: 12,
      credential_hint: '••••abcd',
    })
    await server.approvals.readResult(caller, approvalId)

    const rows = await fixture.rows()
    const executing = rows.find((row) => row.event === 'approval.executing')!
    const executed = rows.find((row) => row.event === 'approval.executed')!
    expect(executed).toMatchObject({ intent_id: executing.event_id, outcome: 'success' })
    expect(rows.filter((row) => row.event === 'approval.result_read')).toHaveLength(2)

    const [due] = await fixture.dueWork()
    expect(due).toEqual({ kind: 'approval_result_erasure', subject_id: id })
    await db.asOwner("update approval_groups set result_expires_at = now() - interval '1 second'")
    expect(await server.approvals.readStatus(caller, approvalId, 0, signal)).toMatchObject({ has_result: false })
    await expect(server.approvals.readResult(caller, approvalId)).rejects.toMatchObject({
      code: 'approval_result_expired',
    })
    await db.asOwner("update due_work set due_at = now() - interval '1 second'")
    await server.approvals.runDueWork()
    const [row] = await db.asOwner<{ sealed_result: Buffer | null }>('select sealed_result from approval_groups')
    expect(row!.sealed_result).toBeNull()
    expect(await fixture.dueWork()).toEqual([])
  })

  test('keeps as long as the app says, cuts an answer over 1 MiB and says so; an error of the provider is an answer', async () => {
    await using db = await createTestDatabase()
    const { fixture, server } = await setUp(db)
    await db.asOwner(`update apps set settings = '{"approval_result_ttl_seconds": 3600}'`)
    const { approvalId, id } = await approve(fixture, server)
    const claimed = (await server.approvals.claimDue())!
    await fixture.intend(server, claimed)
    const body = Buffer.alloc(1_048_577, 'x')
    await server.approvals.recordExecuted(claimed, answer({ body, statusCode: 503 }))
    const result = await server.approvals.readResult(fixture.caller(), approvalId)
    expect(result).toMatchObject({ status_code: 503, body_truncated: true })
    expect(Buffer.from(result.body_b64, 'base64')).toHaveLength(1_048_576)
    const group = await fixture.read(id)
    expect(group.resultExpiresAt!.getTime() - group.executedAt!.getTime()).toBe(3_600_000)
    expect((await fixture.rows()).find((row) => row.event === 'approval.executed')).toMatchObject({
      outcome: 'provider_error',
    })
  })

  test('a refusal at the last check fails the request, with no intent', async () => {
    await using db = await createTestDatabase()
    const { fixture, server } = await setUp(db)
    const { approvalId, id } = await approve(fixture, server)
    const claimed = (await server.approvals.claimDue())!
    expect(await server.approvals.recordFailed(claimed, 'grant_revoked: it was revoked after the approval')).toBe(
      'recorded',
    )
    expect(await fixture.read(id)).toMatchObject({
      status: 'failed',
      executionError: 'grant_revoked: it was revoked after the approval',
      executedAt: null,
    })
    const failed = (await fixture.rows()).find((row) => row.event === 'approval.failed')
    expect(failed).toMatchObject({ intent_id: null, primary_reason: 'grant_revoked', outcome: 'refused' })
    await expect(server.approvals.readResult(fixture.caller(), approvalId)).rejects.toMatchObject({
      code: 'approval_execution_failed',
    })
    expect(await fixture.dueWork()).toEqual([])
  })

  test('the decision page shows the answer only where every rule says so', async () => {
    await using db = await createTestDatabase()
    const { fixture, server } = await setUp(db)
    for (const show_result of [true, false]) {
      const { id, approvalId } = await approve(fixture, server, [fixture.gate({ show_result })])
      const claimed = (await server.approvals.claimDue())!
      await fixture.intend(server, claimed)
      await server.approvals.recordExecuted(claimed, answer())
      const { token } = await fixture.linkNow(id, approvalId)
      const page = await server.approvals.readApprovalPage(approvalId, token)
      expect(Value.Check(ApprovalPage, page)).toBe(true)
      const expected = show_result ? { content: '{"id":"re_1"}' } : null
      expect(page).toMatchObject({ view: 'ended', outcome: { status_code: 200, answer_body: expected } })
    }
  })
})

describe('a process that dies', () => {
  test('before the claim: another claims', async () => {
    await using db = await createTestDatabase()
    const { fixture, server, other } = await setUp(db)
    const { id } = await approve(fixture, server)
    expect((await other.approvals.claimDue())?.approvalGroupId).toBe(id)
  })

  test('after it took the due work and before the claim: the work is offered again', async () => {
    await using db = await createTestDatabase()
    const fixture = await createApprovalFixture(db)
    const server = fixture.startProcess()
    const { id } = await approve(fixture, server)
    const keyring = { ...fixture.keyring, openFor: () => Promise.reject(new Error('root key away')) }
    const broken = fixture.startProcess({ keyring })
    await expect(broken.approvals.claimDue()).rejects.toThrow('root key away')
    await fixture.endLease(id)
    expect(await server.approvals.claimDue()).toMatchObject({ approvalGroupId: id, leaseNumber: 2 })
  })

  test('after the claim, nothing sent: closed as not sent, claimed again under a new attempt', async () => {
    await using db = await createTestDatabase()
    const { fixture, server, other } = await setUp(db)
    const { id } = await approve(fixture, server)
    const first = (await server.approvals.claimDue())!
    expect(await other.approvals.claimDue()).toBeUndefined()
    await fixture.endLease(id)
    const second = (await other.approvals.claimDue())!
    expect(second).toMatchObject({ approvalGroupId: id, leaseNumber: 2, owner: other.processId })
    expect(second.intentEventId).not.toBe(first.intentEventId)

    expect(await fixture.intend(server, first)).toEqual({ kind: 'claim_lost' })
    expect(await server.approvals.renewLease(first)).toBe(false)
    expect(await server.approvals.recordExecuted(first, answer())).toBe('stale')
    expect(await server.approvals.recordFailed(first, 'provider_timeout')).toBe('stale')

    expect((await fixture.intend(other, second)).kind).toBe('stored')
    expect(await other.approvals.recordExecuted(second, answer())).toBe('recorded')
    expect((await fixture.attempts(id)).map((attempt) => [attempt.outcome, attempt.sent_at !== null])).toEqual([
      ['not_sent', false],
      ['executed', true],
    ])
    const executed = (await fixture.events()).filter((event) => event === 'approval.executed')
    expect(executed).toHaveLength(1)
  })

  test('after sending: the outcome is unknown for ever, and nothing is sent again', async () => {
    await using db = await createTestDatabase()
    const { fixture, server, other } = await setUp(db)
    const { id, approvalId } = await approve(fixture, server)
    const claimed = (await server.approvals.claimDue())!
    expect((await fixture.intend(server, claimed)).kind).toBe('stored')
    await fixture.endLease(id)
    expect(await other.approvals.claimDue()).toBeUndefined()
    expect(await fixture.read(id)).toMatchObject({ status: 'failed', executionError: 'execution_outcome_unknown' })
    const unknown = (await fixture.rows()).find((row) => row.event === 'approval.outcome_unknown')
    expect(unknown).toMatchObject({ intent_id: claimed.intentEventId, outcome: 'unknown' })
    expect(await server.approvals.recordExecuted(claimed, answer())).toBe('stale')
    expect(await server.approvals.readStatus(fixture.caller(), approvalId, 0, signal)).toMatchObject({
      status: 'failed',
      execution_error: 'execution_outcome_unknown',
      has_result: false,
    })
    expect((await fixture.attempts(id)).map((attempt) => attempt.outcome)).toEqual(['unknown'])
    expect(await fixture.dueWork()).toEqual([])
  })

  test('an attempt is sent at most once, even by its own owner', async () => {
    await using db = await createTestDatabase()
    const { fixture, server } = await setUp(db)
    await approve(fixture, server)
    const claimed = (await server.approvals.claimDue())!
    expect((await fixture.intend(server, claimed)).kind).toBe('stored')
    expect(await fixture.intend(server, { ...claimed, intentEventId: newId() })).toEqual({ kind: 'claim_lost' })
  })

  test('a lease that ran out sends nothing; one that was renewed does', async () => {
    await using db = await createTestDatabase()
    const { fixture, server, other } = await setUp(db)
    const { id } = await approve(fixture, server)
    const claimed = (await server.approvals.claimDue())!
    await fixture.endLease(id)
    expect(await fixture.intend(server, claimed)).toEqual({ kind: 'claim_lost' })
    expect(await server.approvals.renewLease(claimed)).toBe(true)
    expect(await other.approvals.claimDue()).toBeUndefined()
    expect((await fixture.intend(server, claimed)).kind).toBe('stored')
  })

  test('more than 15 minutes after the approval nothing is begun', async () => {
    await using db = await createTestDatabase()
    const { fixture, server, other } = await setUp(db)
    const untouched = await approve(fixture, server)
    await fixture.approvedLongAgo(untouched.id)
    expect(await other.approvals.claimDue()).toBeUndefined()
    expect(await fixture.read(untouched.id)).toMatchObject({
      status: 'failed',
      executionError: 'execution_window_ended',
    })

    const claimed = await approve(fixture, server)
    await server.approvals.claimDue()
    await fixture.approvedLongAgo(claimed.id)
    await fixture.endLease(claimed.id)
    expect(await other.approvals.claimDue()).toBeUndefined()
    expect(await fixture.read(claimed.id)).toMatchObject({ status: 'failed', executionError: 'execution_window_ended' })
    expect((await fixture.attempts(claimed.id)).map((attempt) => attempt.outcome)).toEqual(['not_sent'])
    const failed = (await fixture.rows()).filter((row) => row.event === 'approval.failed')
    expect(failed.map((row) => row.primary_reason)).toEqual(['execution_window_ended', 'execution_window_ended'])
  })

  test('two that recover at once: one attempt, one end', async () => {
    await using db = await createTestDatabase()
    const { fixture, server, other } = await setUp(db)
    for (let run = 0; run < 6; run++) {
      const { id, ref } = await approve(fixture, server)
      const first = (await server.approvals.claimApproved(ref))!
      await fixture.endLease(id)
      const claims = await Promise.all([server.approvals.claimApproved(ref), other.approvals.claimApproved(ref)])
      const [winner, ...more] = claims.filter((claim) => claim !== undefined)
      expect(more).toEqual([])
      expect(winner!.leaseNumber).toBe(first.leaseNumber + 1)
      await fixture.intend(server, winner!)
      await fixture.endLease(id)
      const after = await Promise.all([server.approvals.claimApproved(ref), other.approvals.claimApproved(ref)])
      expect(after).toEqual([undefined, undefined])
    }
    const unknown = (await fixture.events()).filter((event) => event === 'approval.outcome_unknown')
    expect(unknown).toHaveLength(6)
  })

  test('recording against recovery: one of them ends the request, the other sees it', async () => {
    await using db = await createTestDatabase()
    const { fixture, server, other } = await setUp(db)
    for (let run = 0; run < 6; run++) {
      const { id, ref } = await approve(fixture, server)
      const claimed = (await server.approvals.claimApproved(ref))!
      await fixture.intend(server, claimed)
      await fixture.endLease(id)
      const [recorded] = await Promise.all([
        server.approvals.recordExecuted(claimed, answer()),
        other.approvals.claimApproved(ref),
      ])
      const { status } = await fixture.read(id)
      expect(status).toBe(recorded === 'recorded' ? 'executed' : 'failed')
    }
    const ends = (await fixture.events()).filter((event) => /executed|outcome_unknown/.test(event))
    expect(ends).toHaveLength(6)
  })
})

test('a frozen request that was changed in the table is neither shown nor sent', async () => {
  await using db = await createTestDatabase()
  const { fixture, server } = await setUp(db)
  const one = await approve(fixture, server)
  const two = await server.approvals.requestApproval(fixture.request({ frozen: { body: Buffer.from('{"amount":1}') } }))
  // A ciphertext of another row does not open here.
  await db.asOwner(
    'update approval_groups set sealed_request = (select sealed_request from approval_groups where approval_group_id = $1) where approval_group_id = $2',
    [two.approval_group_id, one.id],
  )
  await expect(server.approvals.claimApproved(one.ref)).rejects.toThrow('was changed, or belongs to another place')
  // One that opens but is not what was approved is refused by its hash.
  await db.asOwner('update approval_groups set action_hash = $1 where approval_group_id = $2', [
    Buffer.alloc(32),
    two.approval_group_id,
  ])
  const { approvalId, token } = fixture.linkOf(two.approval_url)
  await expect(server.approvals.readApprovalPage(approvalId, token)).rejects.toThrow('must not be shown or sent')
})
