import { ApprovalPage, ManagedApproval, ManagedApprovalDetail } from '@alter-vault/contracts'
import { Value } from 'typebox/value'
import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { createTestDatabase, shareTestDatabase } from '../testing/test-database.ts'
import { createApprovalFixture } from './approval-fixture.ts'

const never = new AbortController().signal

/** A timer that is fired by hand. */
function handTimer() {
  const set: { delayMs: number; fire: () => void }[] = []
  const started: Promise<void>[] = []
  const after = (delayMs: number, fire: () => void) => {
    const entry = { delayMs, fire }
    set.push(entry)
    return () => {
      set.splice(set.indexOf(entry), 1)
    }
  }
  return { set, started, after }
}

/** Waits, in turns of the event loop, until something is so. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

describe('reading the state', () => {
  test('any gate id answers for the group; another caller, another app and no id are not found', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const { approvals } = fixture.startProcess()
    const pending = await approvals.requestApproval(fixture.request({ gates: [fixture.gate(), fixture.gate()] }))
    const caller = fixture.caller()
    const [first, second] = await Promise.all(
      pending.gates.map((gate) => approvals.readStatus(caller, gate.approval_id, 0, never)),
    )
    expect(first).toEqual(second)
    expect(first).toMatchObject({ approval_id: pending.approval_id, status: 'pending', has_result: false })
    const app = fixture.caller({ agentId: null })
    expect(await approvals.readStatus(app, pending.approval_id, 0, never)).toEqual(first)

    const strangers = [
      [fixture.caller({ agentId: newId() }), pending.approval_id],
      [fixture.caller({ appId: newId() }), pending.approval_id],
      [caller, newId()],
      [caller, 'not-an-id'],
    ] as const
    for (const [stranger, id] of strangers) {
      await expect(approvals.readStatus(stranger, id, 0, never)).rejects.toMatchObject({ code: 'approval_not_found' })
      await expect(approvals.readResult(stranger, id)).rejects.toMatchObject({ code: 'approval_not_found' })
    }
  })

  test('an agent does not see what the app itself held', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const { approvals } = fixture.startProcess()
    const { approval_id } = await approvals.requestApproval(fixture.request({ frozen: { agent: null } }))
    await expect(approvals.readStatus(fixture.caller(), approval_id, 0, never)).rejects.toMatchObject({
      code: 'approval_not_found',
    })
  })

  test('the result of a request that has none says how it stands', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const { approvals } = fixture.startProcess()
    const caller = fixture.caller()
    const ask = async () => {
      const pending = await approvals.requestApproval(fixture.request())
      return { ...pending, link: fixture.linkOf(pending.approval_url) }
    }
    const waiting = await ask()
    const denied = await ask()
    const expired = await ask()
    await approvals.decideByLink(denied.link, await fixture.decisionOf(denied.approval_group_id, 'deny', 'too much'))
    await fixture.endWindow(expired.approval_id)
    const expected = [
      [waiting, 'approval_not_executed'],
      [denied, 'approval_denied'],
      [expired, 'approval_expired'],
    ] as const
    for (const [{ approval_id }, code] of expected) {
      await expect(approvals.readResult(caller, approval_id)).rejects.toMatchObject({ code })
    }
    expect(await approvals.readStatus(caller, denied.approval_id, 0, never)).toMatchObject({
      decision_reason: 'too much',
    })
  })
})

describe('waiting', () => {
  test('a decision in this process answers at once', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const timer = handTimer()
    const { approvals } = fixture.startProcess({ after: timer.after, repeat: () => () => undefined })
    const pending = await approvals.requestApproval(fixture.request())
    const waiting = approvals.readStatus(fixture.caller(), pending.approval_id, 25, never)
    await until(() => timer.set.length === 1)
    expect(timer.set[0]!.delayMs).toBeLessThanOrEqual(25_000)
    await approvals.decideByLink(
      fixture.linkOf(pending.approval_url),
      await fixture.decisionOf(pending.approval_group_id, 'deny'),
    )
    expect(await waiting).toMatchObject({ status: 'denied' })
    expect(timer.set).toEqual([])
  })

  test('a decision in another process is seen by asking the database', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const timer = handTimer()
    let tick = () => {}
    let stopped = 0
    const here = fixture.startProcess({
      after: timer.after,
      repeat: (_everyMs, fn) => {
        tick = fn
        return () => {
          stopped++
        }
      },
    })
    const there = fixture.startProcess()
    const pending = await there.approvals.requestApproval(fixture.request())
    const waiting = here.approvals.readStatus(fixture.caller(), pending.approval_id, 25, never)
    await until(() => timer.set.length === 1)
    const link = fixture.linkOf(pending.approval_url)
    await there.approvals.decideByLink(link, await fixture.decisionOf(pending.approval_group_id, 'deny'))
    expect(timer.set).toHaveLength(1)
    tick()
    expect(await waiting).toMatchObject({ status: 'denied' })
    expect(stopped).toBe(1)
  })

  test('an approval alone does not end the wait: the end of the request does', async () => {
    await using db = await createTestDatabase()
    const fixture = await createApprovalFixture(db)
    const timer = handTimer()
    const { approvals } = fixture.startProcess({ after: timer.after, repeat: () => () => undefined })
    const pending = await approvals.requestApproval(fixture.request())
    const waiting = approvals.readStatus(fixture.caller(), pending.approval_id, 25, never)
    await until(() => timer.set.length === 1)
    const [first] = timer.set
    const link = fixture.linkOf(pending.approval_url)
    await approvals.decideByLink(link, await fixture.decisionOf(pending.approval_group_id, 'approve'))
    // It looks at the request and waits again.
    await until(() => timer.set.length === 1 && timer.set[0] !== first)
    const claimed = (await approvals.claimDue())!
    await approvals.recordFailed(claimed, 'provider_unreachable')
    expect(await waiting).toMatchObject({ status: 'failed', execution_error: 'provider_unreachable' })
  })

  test('the time of the wait, a caller that goes away and a server that stops end it', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const timer = handTimer()
    let nowMs = 0
    const clock = { now: () => Date.now(), monotonic: () => nowMs }
    const { approvals } = fixture.startProcess({ after: timer.after, repeat: () => () => undefined, clock })
    const pending = await approvals.requestApproval(fixture.request())
    const caller = fixture.caller()
    const gone = new AbortController()

    const inTime = approvals.readStatus(caller, pending.approval_id, 5, never)
    await until(() => timer.set.length === 1)
    expect(timer.set[0]!.delayMs).toBe(5_000)
    nowMs = 5_000
    timer.set[0]!.fire()
    expect(await inTime).toMatchObject({ status: 'pending' })

    const left = approvals.readStatus(caller, pending.approval_id, 5, gone.signal)
    await until(() => timer.set.length === 1)
    gone.abort()
    expect(await left).toMatchObject({ status: 'pending' })

    const stopping = approvals.readStatus(caller, pending.approval_id, 5, never)
    await until(() => timer.set.length === 1)
    approvals.drain()
    expect(await stopping).toMatchObject({ status: 'pending' })
    expect(timer.set).toEqual([])
  })

  test('the end of the window ends the wait and the request', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const timer = handTimer()
    const { approvals } = fixture.startProcess({ after: timer.after, repeat: () => () => undefined })
    const pending = await approvals.requestApproval(fixture.request({ gates: [fixture.gate({ window_seconds: 60 })] }))
    await db.asOwner("update approval_gates set expires_at = clock_timestamp() + interval '9 seconds'")
    const waiting = approvals.readStatus(fixture.caller(), pending.approval_id, 25, never)
    await until(() => timer.set.length === 1)
    expect(timer.set[0]!.delayMs).toBeLessThanOrEqual(9_001)
    await fixture.endWindow(pending.approval_id)
    timer.set[0]!.fire()
    expect(await waiting).toMatchObject({ status: 'expired' })
  })
})

describe('what people see', () => {
  test('the page shows the frozen bytes and names what the vault adds', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    await db.asOwner(
      `update apps set branding = '{"display_name": "Acme Shop", "primary_color": "#336699", "background_color": "url(x)"}'`,
    )
    const { approvals } = fixture.startProcess()
    const earlier = await approvals.requestApproval(fixture.request())
    await approvals.decideByLink(
      fixture.linkOf(earlier.approval_url),
      await fixture.decisionOf(earlier.approval_group_id, 'deny'),
    )
    await approvals.requestApproval(fixture.request({ frozen: { url: 'https://api.stripe.com/v1/charges' } }))
    const { approval_url, approval_group_id } = await approvals.requestApproval(
      fixture.request({ frozen: { url: 'https://api.stripe.com/v1/refunds?expand=charge&expand=a%20b' } }),
    )
    const { approvalId, token } = fixture.linkOf(approval_url)
    const page = await approvals.readApprovalPage(approvalId, token)
    expect(Value.Check(ApprovalPage, page)).toBe(true)
    expect(page).toMatchObject({
      view: 'open',
      approval_group_id,
      branding: { display_name: 'Acme Shop', primary_color: '#336699', background_color: null },
      request: {
        url: 'https://api.stripe.com/v1/refunds?expand=charge&expand=a%20b',
        query: [
          { name: 'expand', value: 'charge' },
          { name: 'expand', value: 'a b' },
        ],
        headers: [{ name: 'content-type', value: 'application/json' }],
        added_by_vault: [{ place: 'header', name: 'authorization' }],
        body: { kind: 'json', content: '{"charge":"ch_1","amount":600}' },
      },
      held_by: [{ name: 'Refunds', source: 'grant' }],
      history: [{ status: 'denied', action: 'POST api.stripe.com/v1/refunds', decided_by: null }],
      options: { identical_waiting: false, link_mode: 'bearer' },
      viewer: { decision: null, refusal: null, sign_in_path: null },
    })
  })

  test('a rule may hide the body: its size and hash stay', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const { approvals } = fixture.startProcess()
    const { approval_url } = await approvals.requestApproval(
      fixture.request({ gates: [fixture.gate({ show_body: false })] }),
    )
    const { approvalId, token } = fixture.linkOf(approval_url)
    for (const wholeBody of [false, true]) {
      const page = await approvals.readApprovalPage(approvalId, token, { wholeBody })
      expect(page).toMatchObject({ request: { body: { kind: 'hidden', size_bytes: 30, content: null } } })
    }
  })

  test('operators see names and sizes of the request, no value of it', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const { approvals } = fixture.startProcess()
    const { approval_id, approval_group_id } = await approvals.requestApproval(
      fixture.request({
        frozen: {
          url: 'https://api.stripe.com/v1/refunds?note=private-query',
          headers: [['x-note', 'private-header']],
          body: Buffer.from('private-body'),
        },
      }),
    )
    const shown = await approvals.getApproval(fixture.ids.appId, approval_id)
    expect(Value.Check(ManagedApprovalDetail, shown)).toBe(true)
    expect(shown.request).toMatchObject({
      url: 'https://api.stripe.com/v1/refunds',
      query_names: ['note'],
      header_names: ['x-note'],
      body: { size_bytes: 12 },
    })
    expect(JSON.stringify(shown)).not.toContain('private-')
    expect(await approvals.getApproval(fixture.ids.appId, approval_group_id)).toEqual(shown)
    await expect(approvals.getApproval(newId(), approval_id)).rejects.toMatchObject({ code: 'approval_not_found' })
  })

  test('the list goes from new to old in pages, by state, agent and grant', async () => {
    await using db = await shareTestDatabase()
    const fixture = await createApprovalFixture(db)
    const { approvals } = fixture.startProcess()
    const { appId, agentId, grantId } = fixture.ids
    const made: string[] = []
    for (let i = 0; i < 5; i++) {
      const frozen = i === 0 ? { agent: null } : {}
      made.unshift((await approvals.requestApproval(fixture.request({ frozen }))).approval_group_id)
    }
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await approvals.listApprovals(appId, { limit: 2, cursor })
      for (const item of page.items) expect(Value.Check(ManagedApproval, item)).toBe(true)
      seen.push(...page.items.map((item) => item.approval_group_id))
      cursor = page.next_cursor ?? undefined
    } while (cursor !== undefined)
    expect(seen).toEqual(made)
    expect((await approvals.listApprovals(appId, { agent_id: agentId })).items).toHaveLength(4)
    expect((await approvals.listApprovals(appId, { grant_id: grantId, status: 'pending' })).items).toHaveLength(5)
    expect((await approvals.listApprovals(appId, { status: 'denied' })).items).toEqual([])
    await expect(approvals.listApprovals(appId, { cursor: 'x' })).rejects.toMatchObject({ code: 'invalid_cursor' })
  })
})
