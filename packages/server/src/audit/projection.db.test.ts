import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { type AuditReadsTest, createAuditReadsTest } from './audit-reads-fixture.ts'
import type { RowDraft } from './audit-row.ts'
import { decodeRows, encodeRow } from './chain.ts'

type EventRow = Record<string, unknown> & { seq: number; chain_id: string }

const projected = (t: AuditReadsTest) =>
  t.asOwner<EventRow>(
    `select e.*, e.seq::int as seq, e.block_seq::int as block_seq,
       to_char(e.occurred_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as occurred_at
     from audit_events e where e.app_id = $1 order by e.chain_id, e.seq`,
    [t.app.appId],
  )

const COPIED = [
  'event_id',
  'occurred_at',
  'stream',
  'event',
  'outcome',
  'decision_effect',
  'primary_reason',
  'key_id',
  'agent_id',
  'actor_id',
  'member_id',
  'app_user_id',
  'grant_id',
  'approval_id',
  'intent_id',
  'provider_id',
  'trace_id',
  'run_id',
  'thread_id',
  'reason',
] as const

/** PostgreSQL has no character U+0000. */
const storable = (value: unknown) => (typeof value === 'string' ? value.replaceAll('\0', '\ufffd') : (value ?? null))

function hostOf(url: unknown): string | null {
  if (typeof url !== 'string' || !url.includes('://')) return null
  return new URL(url).hostname
}

/** The projection as the blocks say it should be, read row by row. */
async function slowTwin(t: AuditReadsTest): Promise<EventRow[]> {
  const blocks = await t.asOwner<{ chain_id: string; first_seq: number; rows: Buffer }>(
    'select chain_id, first_seq::int, rows from audit_blocks where app_id = $1 order by chain_id, first_seq',
    [t.app.appId],
  )
  return blocks.flatMap(({ chain_id, first_seq, rows }) => {
    let line_at = 0
    return decodeRows(rows).map(({ keep, detail, detailHash }): EventRow => {
      const k = JSON.parse(keep)
      const d = detail === null ? {} : JSON.parse(detail)
      const url = d.url ?? d.declared_url ?? null
      const line_bytes = Buffer.byteLength(encodeRow(keep, detail, detailHash)) - 1
      const at = line_at
      line_at += line_bytes + 1
      return {
        app_id: t.app.appId,
        chain_id,
        seq: k.seq,
        block_seq: first_seq,
        line_at: at,
        line_bytes,
        ...Object.fromEntries(COPIED.map((name) => [name, storable(k[name])])),
        method: d.method ?? d.declared_method ?? null,
        host: hostOf(url),
        url: storable(url),
        status: d.response_status ?? null,
        tool: storable(d.context?.tool),
        initiator: d.initiator ?? null,
        resource_type: d.resource_type ?? null,
      }
    })
  })
}

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.constantFrom('\0', '\\u0000', '\\\0', '"\0\\', 'a\tb\nc', '"stream":"runtime"', '},{', 'ﬁ café', '\ud800x'),
)
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })
const anyId = optional(fc.uuid())
const anyRow: fc.Arbitrary<RowDraft> = fc.record({
  event: fc.constantFrom('proxy.requested', 'proxy.executed', 'key.minted', 'approval.requested'),
  stream: fc.constantFrom('runtime', 'portal', 'approvals', 'grants'),
  outcome: fc.constantFrom('allowed', 'success', 'refused', 'changed'),
  decisionEffect: fc.constantFrom('allow', 'deny', 'hold', null),
  keyId: anyId,
  agentId: anyId,
  actorId: anyId,
  memberId: anyId,
  grantId: anyId,
  approvalId: anyId,
  intentId: anyId,
  providerId: optional(anyText),
  runId: optional(anyText),
  threadId: optional(anyText),
  reason: optional(anyText),
  detail: fc.record({
    method: fc.constantFrom('GET', 'POST', null),
    declaredMethod: fc.constantFrom('PUT', null),
    url: fc.constantFrom('https://api.example.com/a?b=c', 'https://[2001:db8::1]:8443/x', 'http://h.example:80', null),
    declaredUrl: fc.constantFrom('https://user.example/', null),
    responseStatus: optional(fc.integer({ min: 100, max: 599 })),
    context: optional(fc.dictionary(fc.constantFrom('tool', 'framework', '\0', 'a"b'), anyText, { maxKeys: 3 })),
    requestHeaders: optional(fc.dictionary(fc.constantFrom('__proto__', 'accept', 'x-a'), anyText)),
    initiator: fc.constantFrom('cli', null),
    resourceType: fc.constantFrom('key', null),
  }),
}) as fc.Arbitrary<RowDraft>

describe('the searchable rows', () => {
  test('are what a plain reading of the blocks says, whatever the rows hold', async () => {
    await using t = await createAuditReadsTest()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyRow, { minLength: 1, maxLength: 4 }), { maxLength: 6 }),
        async (members) => {
          await Promise.all(members.map((rows) => t.audit.append(t.scope, { rows })))
          await t.reads.project()
          expect(await projected(t)).toEqual(await slowTwin(t))
        },
      ),
      { numRuns: 25 },
    )
    expect((await projected(t)).length).toBeGreaterThan(20)
  })

  test('come in once when several processes project the same lanes at a time', async () => {
    await using t = await createAuditReadsTest()
    const other = t.startProcess()
    await Promise.all(Array.from({ length: 60 }, (_, i) => t.call({}, i % 2 ? t.audit : other)))
    const readers = [t.reads, t.startReads(), t.startReads()]
    const counts = await Promise.all(readers.map((reads) => reads.project()))
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(120)
    expect(await projected(t)).toEqual(await slowTwin(t))
  })

  test('can be thrown away and made anew', async () => {
    await using t = await createAuditReadsTest()
    await Promise.all(Array.from({ length: 10 }, () => t.call()))
    await t.audit.close()
    await t.reads.project()
    const before = await projected(t)
    await t.reads.rebuildProjection(t.app.appId)
    expect(await projected(t)).toEqual([])
    expect(await t.reads.project()).toBe(20)
    expect(await projected(t)).toEqual(before)
    expect(await t.reads.project()).toBe(0)
  })

  test('of a damaged block are those that can be read, and later rows come in all the same', async () => {
    await using t = await createAuditReadsTest()
    await t.audit.append(t.scope, { rows: [t.intentRow(), t.intentRow({ reason: 'broken' }), t.intentRow()] })
    await t.asOwner(
      `update audit_blocks set rows = convert_to(replace(convert_from(rows, 'UTF8'), '"reason":"broken"', '"reason":broken'), 'UTF8')
       where app_id = $1`,
      [t.app.appId],
    )
    await t.call()
    await t.reads.project()
    expect((await projected(t)).map(({ seq }) => seq)).toEqual([1, 3, 4, 5])
  })

  test('of lanes that are done cost a reader nothing', async () => {
    await using t = await createAuditReadsTest()
    await t.call()
    await t.audit.close()
    await t.reads.project()
    await t.reads.issueDueCheckpoints({ all: true })
    expect(await t.asOwner('select * from audit_lane_tails()')).toEqual([])
  })
})

describe('a query', () => {
  test('sees every row that was durable when it came', async () => {
    await using t = await createAuditReadsTest()
    for (let i = 0; i < 5; i++) {
      const { outcomeId } = await t.call()
      const { items, complete } = await t.reads.listEvents(t.app.appId, { limit: 1 })
      expect(complete).toBe(true)
      expect(items[0]!.event_id).toBe(outcomeId)
    }
  })

  test('that has no time to wait says how far it got', async () => {
    await using t = await createAuditReadsTest()
    await t.call()
    await t.reads.project()
    t.clock.advance(1_000)
    const late = await t.call()
    const hasty = t.startReads({ catchUpMs: 0 })
    const found = await hasty.listEvents(t.app.appId, {})
    expect(found.items).toHaveLength(2)
    const [intent] = (await t.reads.listEvents(t.app.appId, { trace_id: late.traceId })).items.slice(-1)
    expect(found).toMatchObject({ complete: false, projected_to: intent!.occurred_at })
    expect(await hasty.listEvents(t.app.appId, {})).toMatchObject({ complete: true, projected_to: null })
  })

  test('never sees another app', async () => {
    await using t = await createAuditReadsTest()
    const { outcomeId } = await t.call()
    expect((await t.reads.listEvents(t.otherApp.appId, {})).items).toEqual([])
    await expect(t.reads.showEvent(t.otherApp.appId, outcomeId)).rejects.toMatchObject({ code: 'not_found' })
    await expect(t.reads.showEvent(t.app.appId, newId())).rejects.toMatchObject({ code: 'not_found' })
  })
})
