import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { VaultError } from '../kernel/vault-error.ts'
import { type AuditReadsTest, createAuditReadsTest } from './audit-reads-fixture.ts'
import type { RowDraft } from './audit-row.ts'
import { captureBody } from './stored-text.ts'

const idsOf = ({ items }: { items: readonly { event_id: string }[] }) => items.map(({ event_id }) => event_id)
const textOf = async (chunks: AsyncIterable<string>) => {
  let text = ''
  for await (const chunk of chunks) text += chunk
  return text
}

/** Every page of a list, newest first. */
async function allPages(t: AuditReadsTest, query: Record<string, string>, limit: number) {
  const ids: string[] = []
  let cursor: string | undefined
  do {
    const page = await t.reads.listEvents(t.app.appId, { ...query, limit, ...(cursor === undefined ? {} : { cursor }) })
    expect(page.items.length).toBeLessThanOrEqual(limit)
    expect(page.has_more).toBe(page.next_cursor !== null)
    ids.push(...idsOf(page))
    cursor = page.next_cursor ?? undefined
  } while (cursor !== undefined)
  return ids
}

describe('searching', () => {
  test('gives whole rows, newest first', async () => {
    await using t = await createAuditReadsTest()
    const { intentId, outcomeId, traceId } = await t.call()
    const { items, has_more } = await t.reads.listEvents(t.app.appId, {})
    expect(items.map(({ event_id }) => event_id)).toEqual([outcomeId, intentId])
    expect(has_more).toBe(false)
    expect(items[0]).toMatchObject({
      v: 1,
      app_id: t.app.appId,
      scope_id: t.app.appId,
      row_no: 2,
      event: 'proxy.executed',
      intent_id: intentId,
      trace_id: traceId,
      detail: { method: 'POST', response_status: 200, context: { tool: 'refund' } },
      detail_h: null,
    })
    expect(await t.reads.showEvent(t.app.appId, intentId)).toEqual(items[1])
  })

  test('pages are stable while rows are added: no row twice, none left out', async () => {
    await using t = await createAuditReadsTest()
    // One time for all: the id breaks the tie.
    await Promise.all(Array.from({ length: 12 }, () => t.call({}, t.startProcess())))
    const before = await allPages(t, {}, 1_000)
    expect(new Set(before).size).toBe(24)
    const first = await t.reads.listEvents(t.app.appId, { limit: 7 })
    t.clock.advance(1)
    await t.call()
    const rest: string[] = []
    for (let cursor = first.next_cursor; cursor !== null; ) {
      const page = await t.reads.listEvents(t.app.appId, { limit: 7, cursor })
      rest.push(...idsOf(page))
      cursor = page.next_cursor
    }
    expect([...idsOf(first), ...rest]).toEqual(before)
    expect((await allPages(t, {}, 5)).length).toBe(26)
  })

  test.each(['x', '', 'WyJhIiwiYiJd', 'eyJhIjoxfQ', '%%%'])('refuses the cursor %j', async (cursor) => {
    await using t = await createAuditReadsTest()
    const refusal = { code: 'invalid_cursor', status: 400 }
    await expect(t.reads.listEvents(t.app.appId, { cursor })).rejects.toMatchObject(refusal)
    await expect(t.reads.listTraces(t.app.appId, { cursor })).rejects.toMatchObject(refusal)
    await expect(t.reads.listCheckpoints(t.app.appId, { cursor })).rejects.toMatchObject(refusal)
  })

  test('filters by what a row says', async () => {
    await using t = await createAuditReadsTest()
    const special: Partial<RowDraft> = {
      event: 'proxy.denied',
      outcome: 'policy_denied',
      decisionEffect: 'deny',
      primaryReason: 'outside_time_window',
      agentId: newId(),
      actorId: newId(),
      keyId: newId(),
      appUserId: newId(),
      memberId: newId(),
      grantId: newId(),
      approvalId: newId(),
      providerId: 'crm',
      runId: 'run-1',
      threadId: 'thread 1',
      reason: 'Refund 100% of order_7',
    }
    const row = t.intentRow({
      ...special,
      detail: {
        method: 'DELETE',
        url: 'https://CRM.example.org:8443/Customers/7',
        responseStatus: 404,
        context: { tool: 'crm_delete' },
        initiator: 'sdk',
        resourceType: 'customer',
      },
    })
    await t.call()
    await t.audit.append(t.scope, { rows: [row] })
    await t.call()
    const finds = async (query: Record<string, string>) => {
      const found = await t.reads.listEvents(t.app.appId, query)
      return idsOf(found).includes(row.eventId) ? (found.items.length === 1 ? 'alone' : 'among others') : 'not'
    }
    const queries: Record<string, string>[] = [
      { event: 'proxy.denied' },
      { outcome: 'policy_denied' },
      { policy_decision: 'deny' },
      { reason_code: 'outside_time_window' },
      { agent_id: row.agentId! },
      { actor_id: row.actorId! },
      { key_id: row.keyId! },
      { app_user_id: row.appUserId! },
      { member_id: row.memberId! },
      { grant_id: row.grantId! },
      { approval_id: row.approvalId! },
      { provider_id: 'crm' },
      { trace_id: row.traceId },
      { run_id: 'run-1' },
      { thread_id: 'thread 1' },
      { method: 'delete' },
      { host: 'crm.example.org' },
      { status: '404' },
      { status: '4xx' },
      { tool: 'crm_delete' },
      { initiator: 'sdk' },
      { resource_type: 'customer' },
      { q: '100% OF' },
      { q: 'order_7' },
      { q: '/customers/' },
    ]
    for (const query of queries) expect(await finds(query), JSON.stringify(query)).toBe('alone')
    for (const query of [{ q: '100_' }, { q: 'order%7' }, { status: '5xx' }, { stream: 'portal' }]) {
      expect(await finds(query), JSON.stringify(query)).toBe('not')
    }
    expect(await finds({ stream: 'runtime', method: 'DELETE', status: '4xx', q: 'order' })).toBe('alone')
  })

  test('filters by time', async () => {
    await using t = await createAuditReadsTest()
    const at = () => new Date(t.clock.now()).toISOString()
    const first = await t.call()
    t.clock.advance(3_600_000)
    const start = at()
    const second = await t.call()
    t.clock.advance(60_000)
    const end = at()
    const third = await t.call()
    const intents = async (query: Record<string, string>) =>
      idsOf(await t.reads.listEvents(t.app.appId, { event: 'proxy.requested', ...query }))
    expect(await intents({ start })).toEqual([third.intentId, second.intentId])
    expect(await intents({ start, end })).toEqual([second.intentId])
    expect(await intents({ end: start })).toEqual([first.intentId])
    expect(await intents({ since: '90s' })).toEqual([third.intentId, second.intentId])
    expect(await intents({ since: '2h' })).toEqual([third.intentId, second.intentId, first.intentId])
    expect(await intents({ since: start })).toEqual([third.intentId, second.intentId])
    for (const query of [
      { since: '1h', start },
      { since: 'yesterday' },
      { start: '2026-02-30T00:00:00Z' },
      { start: end, end: start },
    ]) {
      await expect(t.reads.listEvents(t.app.appId, query)).rejects.toMatchObject({ code: 'validation_failed' })
    }
  })

  test('portal actions and grant events are lists of their own', async () => {
    await using t = await createAuditReadsTest()
    await t.call()
    await t.audit.change(t.scope, async (_tx, record) => {
      record({ event: 'key.minted', outcome: 'changed' })
      record({ event: 'grant.created', outcome: 'changed' })
    })
    const events = ({ items }: { items: readonly { event: string }[] }) => items.map(({ event }) => event)
    expect(events(await t.reads.listPortalActions(t.app.appId, {}))).toEqual(['key.minted'])
    expect(events(await t.reads.listGrantEvents(t.app.appId, {}))).toEqual(['grant.created'])
  })
})

describe('a captured body', () => {
  async function withBodies(t: AuditReadsTest) {
    const eventId = newId()
    const request = captureBody(Buffer.from('{"amount":"7 €"}'), 'application/json; charset=utf-8')
    const response = captureBody(Buffer.from([0xff, 0x00, 0x80]), 'text/plain')
    const row = t.intentRow({ eventId, detail: { requestBody: request.digest, responseBody: response.digest } })
    await t.audit.append(t.scope, {
      rows: [t.intentRow(), row],
      bodies: [
        { eventId, side: 'request', content: request.toSeal! },
        { eventId, side: 'response', content: response.toSeal! },
      ],
    })
    return eventId
  }

  test('is opened after it is recorded who looked', async () => {
    await using t = await createAuditReadsTest()
    const eventId = await withBodies(t)
    const body = await t.reads.showBody(t.app.appId, eventId, t.operator)
    expect(body).toMatchObject({
      event_id: eventId,
      request: {
        content_type: 'application/json',
        length: 18,
        truncated: false,
        matches: true,
        text: '{"amount":"7 €"}',
        base64: null,
      },
      response: { matches: true, text: null, base64: '/wCA' },
    })
    const [row] = (await t.auditRows()).filter(({ keep }) => keep.event === 'audit.queried_body')
    expect(row).toMatchObject({
      keep: { stream: 'portal', member_id: t.operator.memberId, caller_kind: 'pat' },
      detail: { resource_id: eventId, client_ip: '203.0.113.7' },
    })
  })

  test.each([
    ['text/plain', 'x'.repeat(10_000)],
    ['image/png', null],
  ])('of %s can be compared with a copy of the whole', async (type, text) => {
    await using t = await createAuditReadsTest()
    const copy = Buffer.from('x'.repeat(12_000))
    const { digest, toSeal } = captureBody(copy, type)
    const eventId = newId()
    await t.audit.append(t.scope, {
      rows: [t.intentRow({ eventId, detail: { requestBody: digest } })],
      bodies: [{ eventId, side: 'request', content: toSeal! }],
    })
    const { request } = await t.reads.showBody(t.app.appId, eventId, t.operator)
    const digestOf = (bytes: Buffer) =>
      createHmac('sha256', Buffer.from(request!.salt, 'hex')).update(bytes).digest('hex')
    expect(request).toMatchObject({ text, base64: null, length: 12_000, truncated: true, whole_digest: digestOf(copy) })
    expect(request!.whole_digest).not.toBe(digestOf(Buffer.from('y'.repeat(12_000))))
  })

  test('that does not fit its digest says so', async () => {
    await using t = await createAuditReadsTest()
    const eventId = await withBodies(t)
    await t.asOwner(
      `update audit_batches set rows = convert_to(regexp_replace(convert_from(rows, 'UTF8'), '"digest":"[0-9a-f]{4}', '"digest":"beef', 'g'), 'UTF8')`,
    )
    const { request } = await t.reads.showBody(t.app.appId, eventId, t.operator)
    expect(request).toMatchObject({ matches: false })
  })

  test('is null where none was kept, and not found where there is no row', async () => {
    await using t = await createAuditReadsTest()
    const { outcomeId } = await t.call()
    expect(await t.reads.showBody(t.app.appId, outcomeId, t.operator)).toEqual({
      event_id: outcomeId,
      request: null,
      response: null,
    })
    await expect(t.reads.showBody(t.app.appId, newId(), t.operator)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('is not opened when looking cannot be recorded', async () => {
    await using t = await createAuditReadsTest()
    const eventId = await withBodies(t)
    let opened = 0
    const reads = t.startReads({
      audit: { change: () => Promise.reject(new Error('store away')), recent: t.audit.recent },
      keyring: {
        openFor: async () => {
          opened += 1
          return Buffer.alloc(40)
        },
      },
    })
    await expect(reads.showBody(t.app.appId, eventId, t.operator)).rejects.toThrow('store away')
    expect(opened).toBe(0)
  })
})

describe('a trace', () => {
  test('is a tree: outcomes behind intents, what became of an approval behind its request', async () => {
    await using t = await createAuditReadsTest()
    const traceId = 'f'.repeat(32)
    const step = () => t.clock.advance(1_000)
    const { intentId, outcomeId } = await t.call({ traceId })
    step()
    const approvalId = newId()
    const record = async (draft: RowDraft) =>
      t.audit.change(t.scope, async (_tx, note) => note({ traceId, approvalId, ...draft }))
    const requested = await record({ event: 'approval.requested', outcome: 'pending' })
    step()
    const decided = await record({ event: 'approval.decided', outcome: 'allowed' })
    step()
    const executing = await record({ event: 'approval.executing', outcome: 'allowed' })
    step()
    const executed = await record({
      event: 'approval.executed',
      outcome: 'success',
      intentId: executing,
    })
    const { items } = await t.reads.showTrace(t.app.appId, traceId)
    expect(items.map((row) => [row.event_id, row.parent_event_id, row.depth])).toEqual([
      [intentId, null, 0],
      [outcomeId, intentId, 1],
      [requested, null, 0],
      [decided, requested, 1],
      [executing, requested, 1],
      [executed, executing, 2],
    ])
    expect(await t.reads.explainTrace(t.app.appId, traceId)).toMatchObject({
      end_state: 'succeeded',
      event_id: executed,
      complete: true,
    })
    await expect(t.reads.showTrace(t.app.appId, 'none')).rejects.toMatchObject({ code: 'not_found' })
    await expect(t.reads.explainTrace(t.otherApp.appId, traceId)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('is listed once, at the place of its first row, with what it holds', async () => {
    await using t = await createAuditReadsTest()
    const traces: string[] = []
    for (let i = 0; i < 5; i++) {
      traces.unshift((await t.call()).traceId)
      t.clock.advance(1_000)
    }
    const first = await t.reads.listTraces(t.app.appId, { limit: 2 })
    // A later row of an old trace moves nothing.
    await t.call({ traceId: traces[4]!, outcome: { event: 'proxy.failed', outcome: 'network_error' } })
    const second = await t.reads.listTraces(t.app.appId, { limit: 2, cursor: first.next_cursor! })
    const third = await t.reads.listTraces(t.app.appId, { limit: 2, cursor: second.next_cursor! })
    const listed = [first, second, third].flatMap(({ items }) => items)
    expect(listed.map(({ trace_id }) => trace_id)).toEqual(traces)
    expect(listed.at(-1)).toMatchObject({
      event_count: 4,
      outcomes: ['allowed', 'network_error', 'success'],
      provider_ids: ['refunds'],
    })
    expect(third.has_more).toBe(false)
  })
})

describe('checkpoints', () => {
  test('are due after 1,000 rows at once, else after 60 seconds, and never without news', async () => {
    await using t = await createAuditReadsTest()
    const issued = async () => {
      await t.reads.sequenceDue()
      return (await t.asOwner('select 1 from audit_checkpoints')).length
    }
    const wait = (seconds: number) =>
      t.asOwner(`update audit_scopes set unsigned_since = unsigned_since - make_interval(secs => ${seconds})`)
    await t.call()
    expect(await issued()).toBe(0)
    await wait(55)
    expect(await issued()).toBe(0)
    await wait(6)
    expect(await issued()).toBe(1)
    await wait(61)
    expect(await issued()).toBe(1)
    await t.audit.append(t.scope, { rows: Array.from({ length: 999 }, () => t.intentRow()) })
    expect(await issued()).toBe(1)
    await t.audit.append(t.scope, { rows: [t.intentRow()] })
    expect(await issued()).toBe(2)
  })

  test('of several processes one issues at a time, and the series has no fork', async () => {
    await using t = await createAuditReadsTest()
    const processes = [t.reads, t.startReads(), t.startReads()]
    for (let round = 0; round < 5; round++) {
      await t.call()
      await Promise.all(processes.map((reads) => reads.sequenceDue({ all: true })))
    }
    await t.reads.sequenceDue({ all: true })
    const { items } = await t.reads.listCheckpoints(t.app.appId, {})
    expect(items.map(({ checkpoint_no }) => checkpoint_no)).toEqual(items.map((_item, index) => items.length - index))
    expect((await t.reads.checkIntegrity(t.app.appId, t.operator)).status).toBe('ok')
  })

  test('name the last batch and row, and the one before', async () => {
    await using t = await createAuditReadsTest()
    for (let i = 0; i < 2; i++) {
      await t.call()
      await t.reads.sequenceDue({ all: true })
    }
    const { items } = await t.reads.listCheckpoints(t.app.appId, {})
    expect(items.map(({ checkpoint }) => [checkpoint.sequence, checkpoint.row_no])).toEqual([
      [4, 4],
      [2, 2],
    ])
    for (const { checkpoint, message_hash } of items) {
      expect(checkpoint.scope_id).toBe(t.app.appId)
      expect(message_hash).toMatch(/^[0-9a-f]{64}$/)
    }
    expect(items[0]!.checkpoint.prev_checkpoint).toBe(items[1]!.message_hash)
  })

  test('are listed in pages; keys of the past stay listed', async () => {
    await using t = await createAuditReadsTest()
    for (let i = 0; i < 3; i++) {
      await t.call()
      if (i === 1) await t.signingKeys.rotate()
      t.clock.advance(1_000)
      await t.reads.sequenceDue({ all: true })
    }
    const first = await t.reads.listCheckpoints(t.app.appId, { limit: 2 })
    const second = await t.reads.listCheckpoints(t.app.appId, { limit: 2, cursor: first.next_cursor! })
    expect([...first.items, ...second.items].map(({ checkpoint_no }) => checkpoint_no)).toEqual([3, 2, 1])
    expect(second.next_cursor).toBeNull()
    const { keys } = await t.reads.listPublicKeys()
    expect(keys.map(({ not_after }) => not_after === null)).toEqual([false, true])
    expect(new Set(keys.map(({ kid }) => kid))).toEqual(
      new Set([...first.items, ...second.items].map(({ checkpoint }) => checkpoint.key_id)),
    )
    expect(await t.reads.checkIntegrity(t.app.appId, t.operator)).toMatchObject({
      status: 'ok',
      checkpoints_checked: 3,
    })
  })
})

describe('an export', () => {
  test('as CSV holds what the filter finds, safe for a spreadsheet', async () => {
    await using t = await createAuditReadsTest()
    await t.call({ intent: { reason: '=HYPERLINK("http://evil")' } })
    await t.call({ intent: { reason: 'two\r\nlines, "quoted"' } })
    const made = await t.reads.exports.create(t.app.appId, t.operator, { format: 'csv', event: 'proxy.requested' })
    expect(made).toMatchObject({ format: 'csv', status: 'ready', row_count: 2, checkpoints_path: null })
    t.clock.advance(1)
    await t.call()
    const { chunks, contentType } = await t.reads.exports.rowsFile(t.app.appId, made.id)
    const text = await textOf(chunks)
    expect(contentType).toMatch(/^text\/csv/)
    expect(text).toMatch(/^occurred_at,event_id,stream,event,/)
    expect(text).toContain(`"'=HYPERLINK(""http://evil"")"`)
    expect(text).toContain('"two\r\nlines, ""quoted"""')
    expect(text.match(/proxy\.requested/g)).toHaveLength(2)
    await expect(t.reads.exports.checkpointsFile(t.app.appId, made.id)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('as NDJSON takes no filter but time, because what it leaves out could not be told from what was removed', async () => {
    await using t = await createAuditReadsTest()
    const create = t.reads.exports.create(t.app.appId, t.operator, { format: 'ndjson', event: 'proxy.requested' })
    await expect(create).rejects.toMatchObject({ code: 'validation_failed', errors: [{ pointer: '/event' }] })
  })

  test('is recorded, lasts a day, and five fit in an hour', async () => {
    await using t = await createAuditReadsTest()
    await t.call()
    const create = () => t.reads.exports.create(t.app.appId, t.operator, { format: 'ndjson' })
    const made = await create()
    for (let i = 0; i < 4; i++) {
      t.clock.advance(60_000)
      await create()
    }
    await expect(create()).rejects.toMatchObject({ code: 'rate_limit_exceeded', retryAfterSeconds: 56 * 60 })
    const others = { ...t.operator, memberId: newId() }
    await t.reads.exports.create(t.app.appId, others, { format: 'ndjson' })
    t.clock.advance(57 * 60_000)
    await create()
    expect((await t.events()).filter((event) => event === 'audit.exported')).toHaveLength(7)
    expect(await t.reads.exports.show(t.app.appId, made.id)).toEqual(made)
    expect(await t.reads.exports.list(t.app.appId)).toHaveLength(7)
    await expect(t.reads.exports.show(t.otherApp.appId, made.id)).rejects.toMatchObject({ code: 'not_found' })
    t.clock.advance(23 * 3_600_000)
    await expect(t.reads.exports.rowsFile(t.app.appId, made.id)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('of too many rows is refused with a split that fits', async () => {
    await using t = await createAuditReadsTest()
    const rows = Array.from({ length: 500 }, () => t.intentRow({ detail: { url: null, context: null } }))
    for (let i = 0; i < 201; i++) {
      t.clock.advance(1_000)
      await t.audit.append(t.scope, { rows })
    }
    // More than two seconds of projection: a query may say so and ask to try again.
    await t.reads.sequenceDue()
    const refusal = await t.reads.exports.create(t.app.appId, t.operator, { format: 'ndjson' }).then(
      () => new VaultError('internal_error'),
      (error: VaultError) => error,
    )
    expect(refusal).toMatchObject({ code: 'export_too_large', fields: { details: { count: '100500' } } })
    const { split } = refusal.fields.details as { split: { start: string; end: string | null }[] }
    expect(split).toHaveLength(2)
    const parts = []
    for (const { start, end } of split) {
      parts.push(
        await t.reads.exports.create(t.app.appId, t.operator, {
          format: 'ndjson',
          start,
          ...(end === null ? {} : { end }),
        }),
      )
    }
    expect(parts.reduce((sum, { row_count }) => sum + row_count, 0)).toBe(100_501)
  }, 120_000)
})
