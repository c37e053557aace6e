import { randomBytes } from 'node:crypto'
import { ApprovalPage, DecisionState, PendingApproval } from '@alter-vault/contracts'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { ConditionRefused } from '../audit/index.ts'
import { newId } from '../kernel/ids.ts'
import { createTestDatabase, shareTestDatabase, type TestDatabase } from '../testing/test-database.ts'
import { createApprovalFixture } from './approval-fixture.ts'
import { endWaitingApprovals } from './end-waiting-approvals.ts'

const ANN = { type: 'member' as const, id: '00000000-0000-4000-8000-00000000000a' }

async function setUp(db: TestDatabase) {
  const fixture = await createApprovalFixture(db)
  const server = fixture.startProcess()
  return { fixture, server, approvals: server.approvals }
}

describe('holding a request', () => {
  test('answers the link of each gate and writes one row per gate', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const gates = [fixture.gate(), fixture.gate({ window_seconds: 600 })]
    const pending = await approvals.requestApproval(fixture.request({ gates }))
    expect(Value.Check(PendingApproval, pending)).toBe(true)
    expect(pending.gates.map((gate) => gate.expires_in)).toEqual([3_600, 600])
    expect(pending.expires_in).toBe(600)
    expect(pending.approval_id).toBe(pending.gates[0]!.approval_id)
    expect(pending.approval_url).toBe(pending.gates[0]!.approval_url)
    const rows = await fixture.rows()
    expect(rows.map((row) => [row.event, row.approval_id, row.outcome, row.decision_effect])).toEqual(
      pending.gates.map((gate) => ['approval.requested', gate.approval_id, 'pending', 'hold']),
    )
    const due = [{ kind: 'approval_expiry', subject_id: pending.approval_group_id }]
    expect(await fixture.dueWork()).toEqual(due)
  })

  test('seals the request: neither its body nor its URL can be read from the table', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const { approval_group_id } = await approvals.requestApproval(
      fixture.request({
        frozen: { url: 'https://api.stripe.com/v1/refunds?note=marked-query', body: Buffer.from('marked-body') },
      }),
    )
    const [row] = await db.asOwner<Record<string, unknown>>(
      'select * from approval_groups where approval_group_id = $1',
      [approval_group_id],
    )
    const text = Object.values(row!)
      .map((value) => (Buffer.isBuffer(value) ? value.toString('latin1') : String(value)))
      .join('\n')
    expect(text).not.toContain('marked-body')
    expect(text).not.toContain('marked-query')
    expect(text).not.toContain(Buffer.from('marked-body').toString('base64'))
  })

  test('refuses a body over 1 MiB and a missing reason, and holds nothing', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const limit = 1_048_576
    await expect(
      approvals.requestApproval(fixture.request({ frozen: { body: Buffer.alloc(limit + 1, 'x') } })),
    ).rejects.toMatchObject({ code: 'body_too_large' })
    const gates = [fixture.gate({ require_reason: true })]
    await expect(approvals.requestApproval(fixture.request({ gates, frozen: { reason: ' ' } }))).rejects.toMatchObject({
      code: 'reason_required',
    })
    await approvals.requestApproval(fixture.request({ gates, frozen: { body: Buffer.alloc(limit, 'x') } }))
    expect(await fixture.events()).toEqual(['approval.requested'])
  })

  test('refuses on a stale fence or a nonce seen before, and holds nothing', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const nonce = { ts: Math.floor(Date.now() / 1_000), digest: randomBytes(16) }
    const stale = { fences: [{ subject: `grant:${fixture.ids.grantId}`, version: 99 }], nonce }
    await expect(approvals.requestApproval(fixture.request({ conditions: stale }))).rejects.toThrow(ConditionRefused)
    const good = { fences: [{ subject: `grant:${fixture.ids.grantId}`, version: 1 }], nonce }
    await approvals.requestApproval(fixture.request({ conditions: good }))
    await expect(approvals.requestApproval(fixture.request({ conditions: good }))).rejects.toMatchObject({
      result: { kind: 'nonce_replayed' },
    })
    expect(await fixture.events()).toEqual(['approval.requested'])
  })

  test('keeps the limits exactly under a crowd: 50 of one agent, then as many of the app as it allows', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    await db.asOwner(`update apps set settings = '{"pending_approvals_limit": 52}' where app_id = $1`, [
      fixture.ids.appId,
    ])
    const ask = (agent: { id: string; name: string; type: string } | null) =>
      approvals.requestApproval(fixture.request({ frozen: { agent } }))
    const { agentId } = fixture.ids
    const mine = { id: agentId, name: 'refunder', type: 'agent' }
    const answers = await Promise.allSettled(Array.from({ length: 60 }, () => ask(mine)))
    expect(answers.filter((answer) => answer.status === 'fulfilled')).toHaveLength(50)
    const refused = answers.find((answer) => answer.status === 'rejected')
    expect(refused?.reason).toMatchObject({ code: 'too_many_pending_approvals' })
    // What is left of the first window, whose 3,600 seconds began with the test.
    expect(refused?.reason.retryAfterSeconds).toBeGreaterThan(3_500)
    expect(refused?.reason.retryAfterSeconds).toBeLessThanOrEqual(3_600)
    await ask(null)
    await ask({ id: newId(), name: 'other', type: 'agent' })
    await expect(ask(null)).rejects.toMatchObject({ code: 'too_many_pending_approvals' })
  })

  test('answers a repeat with an idempotency header by the pending request, and charges it to no budget', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const charges = [{ counterId: 'c', slot: 1, width: 1, add: 1, max: 1 }]
    const headers = [['idempotency-key', 'refund-1']] as const
    const ask = (frozen = {}) =>
      approvals.requestApproval(fixture.request({ frozen: { headers, ...frozen }, conditions: { charges } }))
    const [first, ...others] = await Promise.all([ask(), ask(), ask(), ask()])
    for (const other of others) expect(other.approval_group_id).toBe(first!.approval_group_id)
    expect(await ask()).toMatchObject({ approval_id: first!.approval_id, approval_url: first!.approval_url })
    expect(await fixture.events()).toEqual(['approval.requested'])
    await expect(ask({ body: Buffer.from('other') })).rejects.toMatchObject({ result: { kind: 'budget_spent' } })
    await expect(ask({ agent: null })).rejects.toMatchObject({ result: { kind: 'budget_spent' } })
  })

  test('holds a repeat anew when the first was decided, or when nothing marks it as a repeat', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const headers = [['Idempotency-Key', 'refund-1']] as const
    const ask = () => approvals.requestApproval(fixture.request({ frozen: { headers } }))
    const first = await ask()
    await approvals.decideByLink(
      fixture.linkOf(first.approval_url),
      await fixture.decisionOf(first.approval_group_id, 'deny'),
    )
    expect((await ask()).approval_group_id).not.toBe(first.approval_group_id)

    const plain = await approvals.requestApproval(fixture.request())
    const again = await approvals.requestApproval(fixture.request())
    expect(again.approval_group_id).not.toBe(plain.approval_group_id)
    const { approvalId, token } = fixture.linkOf(again.approval_url)
    expect(await approvals.readApprovalPage(approvalId, token)).toMatchObject({ options: { identical_waiting: true } })
  })
})

describe('deciding by link', () => {
  test('the first decision approves, makes the execution due and wakes the executor', async () => {
    await using db = await shareTestDatabase()
    const { fixture, server, approvals } = await setUp(db)
    const { approval_group_id: id, approval_url } = await approvals.requestApproval(fixture.request())
    const state = await approvals.decideByLink(
      fixture.linkOf(approval_url),
      await fixture.decisionOf(id, 'approve', 'fine'),
    )
    expect(Value.Check(DecisionState, state)).toBe(true)
    expect(state).toMatchObject({ status: 'approved', gate_status: 'approved', approvals: 1, warning: null })
    expect(server.woken).toEqual([id])
    expect(await fixture.dueWork()).toEqual([{ kind: 'approval_execution', subject_id: id }])
    const rows = (await fixture.rows()).slice(1)
    expect(rows.map((row) => [row.event, row.caller_kind, row.reason])).toEqual([
      ['approval.decided', 'link', 'fine'],
      ['approval.approved', 'link', 'fine'],
    ])
    expect(rows[0]!.detail).toMatchObject({ client_ip: '198.51.100.4', user_agent: 'Browser' })
  })

  test('the same decision again is unchanged, the other one is a conflict that shows where it stands', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const { approval_group_id: id, approval_url } = await approvals.requestApproval(fixture.request())
    const link = fixture.linkOf(approval_url)
    await approvals.decideByLink(link, await fixture.decisionOf(id, 'deny', 'no'))
    const before = await fixture.events()
    expect(await approvals.decideByLink(link, await fixture.decisionOf(id, 'deny', 'again'))).toMatchObject({
      status: 'denied',
      gate_status: 'denied',
    })
    await expect(approvals.decideByLink(link, await fixture.decisionOf(id, 'approve'))).rejects.toMatchObject({
      code: 'approval_already_decided',
      fields: { details: { status: 'denied', gate_status: 'denied' } },
    })
    expect(await fixture.events()).toEqual(before)
    expect((await fixture.read(id)).decisionReason).toBe('no')
  })

  test('after the window an approval is too late, a denial meets an ended gate, and the group is expired', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const { approval_group_id: id, approval_id } = await approvals.requestApproval(fixture.request())
    await fixture.endWindow(approval_id)
    const link = await fixture.linkNow(id, approval_id)
    await expect(approvals.decideByLink(link, await fixture.decisionOf(id, 'approve'))).rejects.toMatchObject({
      code: 'approval_expired',
    })
    await expect(approvals.decideByLink(link, await fixture.decisionOf(id, 'deny'))).rejects.toMatchObject({
      code: 'approval_already_decided',
      fields: { details: { status: 'expired', gate_status: 'expired' } },
    })
    expect((await fixture.read(id)).status).toBe('expired')
    expect(await fixture.events()).toEqual(['approval.requested', 'approval.expired'])
    expect(await fixture.dueWork()).toEqual([])
  })

  test('a forged, malformed, foreign or missing token and an unknown id get one and the same answer', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const one = await approvals.requestApproval(fixture.request())
    const two = await approvals.requestApproval(fixture.request())
    const link = fixture.linkOf(one.approval_url)
    const body = await fixture.decisionOf(one.approval_group_id, 'approve')
    const flipped = link.token.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))
    const wrong = [
      { ...link, token: flipped },
      { ...link, token: '' },
      { ...link, token: `${link.token}=` },
      { ...link, token: 'x'.repeat(5_000) },
      { ...link, token: fixture.linkOf(two.approval_url).token },
      { ...link, approvalId: two.approval_id },
      { ...link, approvalId: newId() },
      { ...link, approvalId: one.approval_group_id },
      { ...link, approvalId: "' or 1=1" },
    ]
    const answers = new Set<string>()
    for (const attempt of wrong) {
      for (const use of [
        () => approvals.decideByLink(attempt, body),
        () => approvals.readApprovalPage(attempt.approvalId, attempt.token),
      ]) {
        const error = await use().catch((thrown: unknown) => thrown)
        const { code, message, fields } = error as { code: string; message: string; fields: object }
        answers.add(JSON.stringify({ code, message, fields }))
      }
    }
    expect([...answers]).toHaveLength(1)
    expect([...answers][0]).toContain('approval_not_found')
    expect((await fixture.read(one.approval_group_id)).status).toBe('pending')
  })

  test('a gate that names approvers or asks for a sign-in is not decided by its link', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    for (const configuration of [
      { approvers: [ANN], link_mode: 'sign_in' as const },
      { link_mode: 'sign_in' as const },
    ]) {
      const { approval_group_id: id, approval_url } = await approvals.requestApproval(
        fixture.request({ gates: [fixture.gate(configuration)] }),
      )
      const link = fixture.linkOf(approval_url)
      for (const decision of ['approve', 'deny'] as const) {
        await expect(approvals.decideByLink(link, await fixture.decisionOf(id, decision))).rejects.toMatchObject({
          code: 'sign_in_required',
        })
      }
      expect(await approvals.readApprovalPage(link.approvalId, link.token)).toMatchObject({
        viewer: { refusal: 'sign_in_required' },
      })
      expect((await fixture.read(id)).status).toBe('pending')
    }
  })

  test('a decision on other bytes than the page showed is refused', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const { approval_group_id: id, approval_url } = await approvals.requestApproval(fixture.request())
    const body = { ...(await fixture.decisionOf(id, 'approve')), actionHash: randomBytes(32) }
    await expect(approvals.decideByLink(fixture.linkOf(approval_url), body)).rejects.toMatchObject({
      code: 'action_changed',
    })
  })

  test('a reason is asked for where the rule says so', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const cases = [
      ['on_deny', 'deny', true],
      ['on_deny', 'approve', false],
      ['always', 'approve', true],
    ] as const
    for (const [decision_reason, decision, isNeeded] of cases) {
      const { approval_group_id: id, approval_url } = await approvals.requestApproval(
        fixture.request({ gates: [fixture.gate({ decision_reason })] }),
      )
      const link = fixture.linkOf(approval_url)
      const without = await approvals
        .decideByLink(link, await fixture.decisionOf(id, decision))
        .catch((error: unknown) => error)
      if (isNeeded) {
        expect(without).toMatchObject({ code: 'reason_required' })
        await approvals.decideByLink(link, await fixture.decisionOf(id, decision, 'because'))
      } else {
        expect(without).toMatchObject({ status: 'approved' })
      }
    }
  })

  test('warns, and stands, when current policy would refuse the execution', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const reason = { code: 'outside_time_window', message: 'Outside Mon-Fri', rule_name: 'Office hours' }
    const seen: string[] = []
    const { approvals } = fixture.startProcess({
      executions: {
        wouldBeDenied: async ({ request, satisfied }) => {
          seen.push(`${request.method} ${request.url} ${satisfied.length}`)
          return [reason]
        },
      },
    })
    const { approval_group_id: id, approval_url } = await approvals.requestApproval(fixture.request())
    const { approvalId, token, ...rest } = fixture.linkOf(approval_url)
    expect(await approvals.readApprovalPage(approvalId, token)).toMatchObject({
      would_be_denied: { reasons: [reason] },
    })
    const state = await approvals.decideByLink({ approvalId, token, ...rest }, await fixture.decisionOf(id, 'approve'))
    expect(state).toMatchObject({ status: 'approved', warning: 'would_be_denied', reasons: [reason] })
    expect(seen).toEqual(Array(2).fill('POST https://api.stripe.com/v1/refunds 1'))
  })

  test('a policy that cannot be evaluated leaves everything as it is', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const { approvals } = fixture.startProcess({
      executions: { wouldBeDenied: () => Promise.reject(new Error('evaluator away')) },
    })
    const { approval_group_id: id, approval_url } = await approvals.requestApproval(fixture.request())
    const link = fixture.linkOf(approval_url)
    await expect(approvals.decideByLink(link, await fixture.decisionOf(id, 'approve'))).rejects.toThrow(
      'evaluator away',
    )
    expect((await fixture.read(id)).status).toBe('pending')
  })
})

describe('gates, quorum and people', () => {
  test('every gate must be approved; the last approval approves the group', async () => {
    await using db = await shareTestDatabase()
    const { fixture, server, approvals } = await setUp(db)
    const pending = await approvals.requestApproval(fixture.request({ gates: [fixture.gate(), fixture.gate()] }))
    const id = pending.approval_group_id
    const [first, second] = pending.gates.map((gate) => fixture.linkOf(gate.approval_url))
    expect(await approvals.decideByLink(first!, await fixture.decisionOf(id, 'approve'))).toMatchObject({
      status: 'pending',
      gate_status: 'approved',
    })
    expect(server.woken).toEqual([])
    expect(await approvals.decideByLink(second!, await fixture.decisionOf(id, 'approve'))).toMatchObject({
      status: 'approved',
    })
    expect(server.woken).toEqual([id])
  })

  test('one denial ends the group and with it the gates that nobody decided', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const pending = await approvals.requestApproval(
      fixture.request({ gates: [fixture.gate(), fixture.gate(), fixture.gate()] }),
    )
    const id = pending.approval_group_id
    const [first, second, third] = pending.gates.map((gate) => fixture.linkOf(gate.approval_url))
    await approvals.decideByLink(first!, await fixture.decisionOf(id, 'approve'))
    await approvals.decideByLink(second!, await fixture.decisionOf(id, 'deny', 'no'))
    const group = await fixture.read(id)
    expect(group.status).toBe('denied')
    expect(group.gates.map((gate) => gate.status)).toEqual(['approved', 'denied', 'denied'])
    await expect(approvals.decideByLink(third!, await fixture.decisionOf(id, 'approve'))).rejects.toMatchObject({
      code: 'approval_already_decided',
    })
    expect(await approvals.decideByLink(first!, await fixture.decisionOf(id, 'approve'))).toMatchObject({
      status: 'denied',
    })
  })

  test('a quorum counts people, each once', async () => {
    await using db = await shareTestDatabase()
    const { fixture, server, approvals } = await setUp(db)
    const gates = [fixture.gate({ approvers: [ANN], link_mode: 'sign_in' }, { quorum: 2 })]
    const { approval_group_id: id, approval_id } = await approvals.requestApproval(fixture.request({ gates }))
    const ref = { appId: fixture.ids.appId, approvalGroupId: id }
    const approve = async (name: string) =>
      server.decide(ref, approval_id, fixture.person(name), await fixture.decisionOf(id, 'approve'))
    expect((await approve('ann')).group.status).toBe('pending')
    expect((await approve('ann')).group.status).toBe('pending')
    expect((await approve('bob')).group.status).toBe('approved')
    expect((await approve('cy')).group.status).toBe('approved')
    const decided = (await fixture.events()).filter((event) => event === 'approval.decided')
    expect(decided).toHaveLength(2)
  })

  test('an approved gate no longer expires; the group lives as long as its pending gates', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const pending = await approvals.requestApproval(fixture.request({ gates: [fixture.gate(), fixture.gate()] }))
    const id = pending.approval_group_id
    const [first, second] = pending.gates.map((gate) => gate.approval_id)
    await approvals.decideByLink(
      fixture.linkOf(pending.gates[0]!.approval_url),
      await fixture.decisionOf(id, 'approve'),
    )
    await fixture.endWindow(first!)
    await approvals.runDueWork()
    expect((await fixture.read(id)).status).toBe('pending')
    await fixture.endWindow(second!)
    await approvals.runDueWork()
    const group = await fixture.read(id)
    expect([group.status, ...group.gates.map((gate) => gate.status)]).toEqual(['expired', 'approved', 'expired'])
  })
})

describe('races', () => {
  const RUNS = 8

  test('two last approvals: both are told it is approved, and one row says so', async () => {
    await using db = await shareTestDatabase()
    const { fixture, server, approvals } = await setUp(db)
    const other = fixture.startProcess()
    const gates = [fixture.gate({ approvers: [ANN], link_mode: 'sign_in' })]
    for (let run = 0; run < RUNS; run++) {
      const { approval_group_id: id, approval_id } = await approvals.requestApproval(fixture.request({ gates }))
      const ref = { appId: fixture.ids.appId, approvalGroupId: id }
      const body = await fixture.decisionOf(id, 'approve')
      const answers = await Promise.all([
        server.decide(ref, approval_id, fixture.person('ann'), body),
        other.decide(ref, approval_id, fixture.person('bob'), body),
      ])
      expect(answers.map((answer) => answer.group.status)).toEqual(['approved', 'approved'])
      const claims = await Promise.all([approvals.claimApproved(ref), other.approvals.claimApproved(ref)])
      expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1)
    }
    const approved = (await fixture.events()).filter((event) => event === 'approval.approved')
    expect(approved).toHaveLength(RUNS)
  })

  test('approve against deny: the first wins, the other is a conflict', async () => {
    await using db = await shareTestDatabase()
    const { fixture, server, approvals } = await setUp(db)
    const other = fixture.startProcess()
    for (let run = 0; run < RUNS; run++) {
      const { approval_group_id: id, approval_id } = await approvals.requestApproval(fixture.request())
      const ref = { appId: fixture.ids.appId, approvalGroupId: id }
      const answers = await Promise.allSettled([
        server.decide(ref, approval_id, fixture.person('ann'), await fixture.decisionOf(id, 'approve')),
        other.decide(ref, approval_id, fixture.person('bob'), await fixture.decisionOf(id, 'deny')),
      ])
      const won = answers.filter((answer) => answer.status === 'fulfilled')
      const lost = answers.filter((answer) => answer.status === 'rejected')
      expect([won.length, lost.length]).toEqual([1, 1])
      expect(lost[0]!.reason).toMatchObject({ code: 'approval_already_decided' })
      expect((await fixture.read(id)).status).toBe(answers[0]!.status === 'fulfilled' ? 'approved' : 'denied')
    }
  })

  test('approve against the end of the window: whoever comes second sees what the first did', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const other = fixture.startProcess()
    for (let run = 0; run < RUNS; run++) {
      const { approval_group_id: id, approval_id } = await approvals.requestApproval(fixture.request())
      await fixture.endWindow(approval_id)
      const link = await fixture.linkNow(id, approval_id)
      const [decided] = await Promise.allSettled([
        approvals.decideByLink(link, await fixture.decisionOf(id, 'approve')),
        other.approvals.runDueWork(),
      ])
      expect(decided.status === 'rejected' && decided.reason).toMatchObject({ code: 'approval_expired' })
      expect((await fixture.read(id)).status).toBe('expired')
    }
    const expired = (await fixture.events()).filter((event) => event === 'approval.expired')
    expect(expired).toHaveLength(RUNS)
    expect(other.faults).toEqual([])
  })

  test('cancel against approve: a cancellation wins only over a pending request', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const other = fixture.startProcess()
    const operator = { memberId: newId(), clientIp: '198.51.100.9', userAgent: null }
    for (let run = 0; run < RUNS; run++) {
      const { approval_group_id: id, approval_url } = await approvals.requestApproval(fixture.request())
      const [decided, cancelled] = await Promise.allSettled([
        approvals.decideByLink(fixture.linkOf(approval_url), await fixture.decisionOf(id, 'approve')),
        other.approvals.cancelApproval(operator, fixture.ids.appId, id),
      ])
      const group = await fixture.read(id)
      if (decided.status === 'fulfilled') {
        expect(group.status).toBe('approved')
        expect(cancelled.status === 'rejected' && cancelled.reason).toMatchObject({ code: 'approval_not_pending' })
      } else {
        expect([group.status, group.decisionReason]).toEqual(['denied', 'cancelled'])
        expect(decided.reason).toMatchObject({ code: 'approval_already_decided' })
        expect(cancelled.status).toBe('fulfilled')
      }
    }
  })

  test('a request that is held while its grant ends does not stay pending', async () => {
    await using db = await shareTestDatabase()
    const { fixture, server, approvals } = await setUp(db)
    const { appId, grantId } = fixture.ids
    const fences = async () =>
      (
        await db.asOwner<{ version: string }>('select version from fences where app_id = $1 and subject = $2', [
          appId,
          `grant:${grantId}`,
        ])
      ).map((row) => ({ subject: `grant:${grantId}`, version: Number(row.version) }))
    for (let run = 0; run < RUNS; run++) {
      const conditions = { fences: await fences() }
      const early = await approvals.requestApproval(fixture.request({ conditions }))
      const [late, revoked] = await Promise.allSettled([
        approvals.requestApproval(fixture.request({ conditions })),
        server.audit.change(fixture.scope, async (tx, record) => {
          await tx
            .updateTable('grants')
            .set({ status: 'revoked' })
            .where('app_id', '=', appId)
            .where('grant_id', '=', grantId)
            .execute()
          return endWaitingApprovals(tx, appId, { type: 'grant', id: grantId }, record)
        }),
      ])
      expect(revoked.status === 'fulfilled' && revoked.value.ended).toContain(early.approval_group_id)
      await approvals.runDueWork()
      const ids = [early.approval_group_id]
      if (late.status === 'fulfilled') ids.push(late.value.approval_group_id)
      else expect(late.reason).toMatchObject({ result: { kind: 'stale' } })
      for (const id of ids) {
        const group = await fixture.read(id)
        expect([group.status, group.decisionReason]).toEqual(['denied', 'grant_revoked'])
      }
      await db.asOwner("update grants set status = 'active' where grant_id = $1", [grantId])
    }
    expect(server.faults).toEqual([])
    expect(await fixture.dueWork()).toEqual([])
  })
})

describe('ending what waits', () => {
  test('archiving denies every pending request, revoking an agent only its own', async () => {
    await using db = await shareTestDatabase()
    const { fixture, server, approvals } = await setUp(db)
    const { appId, agentId } = fixture.ids
    const mine = await approvals.requestApproval(fixture.request())
    const ours = await approvals.requestApproval(fixture.request({ frozen: { agent: null } }))
    const approved = await approvals.requestApproval(fixture.request())
    await approvals.decideByLink(
      fixture.linkOf(approved.approval_url),
      await fixture.decisionOf(approved.approval_group_id, 'approve'),
    )
    const ofAgent = await server.audit.change(fixture.scope, (tx, record) =>
      endWaitingApprovals(tx, appId, { type: 'agent', id: agentId }, record),
    )
    expect(ofAgent).toEqual({ ended: [mine.approval_group_id], inFlight: [] })
    const ofApp = await server.audit.change(fixture.scope, (tx, record) =>
      endWaitingApprovals(tx, appId, { type: 'app', id: appId }, record),
    )
    expect(ofApp.ended).toEqual([ours.approval_group_id])
    expect((await fixture.read(approved.approval_group_id)).status).toBe('approved')
    const { approvalId, token } = fixture.linkOf(ours.approval_url)
    const page = await approvals.readApprovalPage(approvalId, token)
    expect(Value.Check(ApprovalPage, page)).toBe(true)
    expect(page).toMatchObject({
      view: 'ended',
      outcome: { withdrawn_reason: 'app_archived', decision_reason: null },
    })
    expect(JSON.stringify(page)).not.toContain('ch_1')
  })

  test('names what had been sent already', async () => {
    await using db = await createTestDatabase()
    const { fixture, server, approvals } = await setUp(db)
    const { approval_group_id: id, approval_url } = await approvals.requestApproval(fixture.request())
    await approvals.decideByLink(fixture.linkOf(approval_url), await fixture.decisionOf(id, 'approve'))
    const claimed = (await approvals.claimDue())!
    await fixture.intend(server, claimed)
    const { grantId, appId } = fixture.ids
    const ended = await server.audit.change(fixture.scope, (tx, record) =>
      endWaitingApprovals(tx, appId, { type: 'grant', id: grantId }, record),
    )
    expect(ended).toEqual({ ended: [], inFlight: [claimed.attemptId] })
  })

  test('canceling twice changes nothing more', async () => {
    await using db = await shareTestDatabase()
    const { fixture, approvals } = await setUp(db)
    const operator = { memberId: newId(), clientIp: '198.51.100.9', userAgent: null }
    const { approval_group_id: id, approval_id } = await approvals.requestApproval(fixture.request())
    await approvals.cancelApproval(operator, fixture.ids.appId, approval_id)
    await approvals.cancelApproval(operator, fixture.ids.appId, id)
    expect(await fixture.events()).toEqual(['approval.requested', 'approval.cancelled'])
    await expect(approvals.cancelApproval(operator, fixture.ids.appId, newId())).rejects.toMatchObject({
      code: 'approval_not_found',
    })
  })
})
