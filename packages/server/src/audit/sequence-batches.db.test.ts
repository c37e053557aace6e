import fc from 'fast-check'
import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { newId } from '../kernel/ids.ts'
import { type AuditReadsTest, createAuditReadsTest } from './audit-reads-fixture.ts'
import type { RowDraft } from './audit-row.ts'
import { decodeRows } from './log-hashes.ts'

type EventRow = Record<string, unknown> & { row_no: number }

const projected = (t: AuditReadsTest) =>
  t.asOwner<EventRow>(
    `select e.*, e.row_no::int as row_no,
       to_char(e.occurred_at at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') as occurred_at
     from audit_events e where e.scope_id = $1 order by e.row_no`,
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

/** The searchable rows as the batches say they should be, read row by row. */
async function slowTwin(t: AuditReadsTest): Promise<EventRow[]> {
  const batches = await t.asOwner<{ batch_id: string; first_row: number; rows: Buffer }>(
    'select batch_id, first_row::int, rows from audit_batches where scope_id = $1 order by sequence',
    [t.app.appId],
  )
  return batches.flatMap(({ batch_id, first_row, rows }) => {
    let line_at = 0
    return decodeRows(rows).map((row, index): EventRow => {
      const { keep, detail } = row!
      const k = JSON.parse(keep)
      const d = JSON.parse(detail!)
      const url = d.url ?? d.declared_url ?? null
      const line_bytes = Buffer.byteLength(`${keep}\t${detail}`)
      const at = line_at
      line_at += line_bytes + 1
      return {
        scope_id: t.app.appId,
        row_no: first_row + index,
        batch_id,
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
  test('are the same from the memory of their writer as from what is stored, whatever the rows hold', async () => {
    await using t = await createAuditReadsTest()
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(anyRow, { minLength: 1, maxLength: 4 }), { maxLength: 6 }),
        async (members) => {
          await Promise.all(members.map((rows) => t.audit.append(t.scope, { rows })))
          await t.reads.sequenceDue()
          expect(t.audit.recent.scopeIds()).toEqual([])
          expect(await projected(t)).toEqual(await slowTwin(t))
        },
      ),
      { numRuns: 25 },
    )
    const fromMemory = await projected(t)
    expect(fromMemory.length).toBeGreaterThan(20)
    await t.reads.projectAgain(t.app.appId)
    expect(await projected(t)).toEqual(fromMemory)
  })

  test('wait for an outcome in the same way, from memory and from what is stored', async () => {
    await using t = await createAuditReadsTest()
    const waiting = () => t.asOwner("select subject_id, due_at from due_work where kind = 'audit_intent' order by 1")
    const intent = t.intentRow()
    await t.call()
    await t.audit.append(t.scope, { rows: [intent] })
    const other = t.startReads({ audit: t.startProcess() })
    await t.reads.sequenceDue()
    const fromMemory = await waiting()
    expect(fromMemory).toMatchObject([{ subject_id: intent.eventId }])
    await t.asOwner('delete from audit_events')
    await t.asOwner('delete from due_work')
    await t.asOwner('update audit_batches set sequence = null, first_row = null, head = null')
    await t.asOwner('delete from audit_checkpoints')
    await t.asOwner('update audit_scopes set sequence = 0, last_row = 0')
    await other.listEvents(t.app.appId, {})
    expect(await waiting()).toEqual(fromMemory)
  })

  test('come in once when several processes put them in order at a time', async () => {
    await using t = await createAuditReadsTest()
    const other = t.startProcess()
    await Promise.all(Array.from({ length: 60 }, (_, i) => t.call({}, i % 2 ? t.audit : other)))
    const readers = [t.reads, t.startReads({ audit: other }), t.startReads({ audit: t.startProcess() })]
    for (let i = 0; i < 2; i++) await Promise.all(readers.map((reads) => reads.sequenceDue({ all: true })))
    const rows = await projected(t)
    expect(rows.map(({ row_no }) => row_no)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1))
    expect(rows).toEqual(await slowTwin(t))
  })

  test('of a process that is gone are taken up by another one after three seconds', async () => {
    await using t = await createAuditReadsTest()
    await t.call({}, t.startProcess())
    expect(await t.reads.sequenceDue()).toBe(0)
    await t.asOwner("update audit_batches set committed_at = committed_at - interval '3 seconds'")
    expect(await t.reads.sequenceDue()).toBe(2)
    expect(await projected(t)).toEqual(await slowTwin(t))
  })

  test('of a process wait for nobody, however many batches another one has not put in order yet', async () => {
    await using t = await createAuditReadsTest()
    const other = t.startProcess()
    await t.call({}, other)
    await t.asOwner(`
      insert into audit_batches (scope_id, batch_id, count, digest, rows)
      select scope_id, overlay(batch_id::text placing lpad(to_hex(n), 12, '0') from 25)::uuid, count, digest, rows
      from audit_batches, generate_series(1, 600) n`)
    await t.asOwner("update audit_batches set committed_at = committed_at + interval '1 hour'")
    t.clock.advance(1)
    await t.call()
    expect(await t.reads.sequenceDue()).toBe(2)
    await t.call()
    await t.reads.sequenceRecent(t.app.appId)
    expect((await projected(t)).map(({ row_no }) => row_no)).toEqual([1, 2, 3, 4])
    expect(t.audit.recent.scopeIds()).toEqual([])
  })

  test('are forgotten here when another process has put them in order, however many they are', async () => {
    await using t = await createAuditReadsTest()
    const batch = { count: 1, written: [] }
    for (let i = 0; i < 1_200; i++) t.audit.recent.note(t.app.appId, { ...batch, batchId: newId() } as never)
    await t.call()
    expect(await t.reads.sequenceDue({ all: true })).toBe(2)
    expect(t.audit.recent.scopeIds()).toEqual([])
  })

  test('of a damaged batch are those that can be read, and later rows come in all the same', async () => {
    await using t = await createAuditReadsTest()
    const dead = t.startProcess()
    await dead.append(t.scope, { rows: [t.intentRow(), t.intentRow({ reason: 'broken' }), t.intentRow()] })
    await t.asOwner(
      `update audit_batches set rows = convert_to(replace(convert_from(rows, 'UTF8'), '"reason":"broken"', '"reason":broken'), 'UTF8')
       where scope_id = $1`,
      [t.app.appId],
    )
    t.clock.advance(1)
    await t.call()
    await t.reads.sequenceDue({ all: true })
    expect((await projected(t)).map(({ row_no }) => row_no)).toEqual([1, 3, 4, 5])
  })
})

describe('work that waits for its turn', () => {
  test('is found where there is some, and costs nothing in ten thousand apps that had some before', async () => {
    await using t = await createAuditReadsTest()
    await t.asOwner(`
      insert into audit_scopes (scope_id, app_id, sequence, last_row, signed_row, head)
      select i, i, 5, 50, 50, '' from (select gen_random_uuid() i from generate_series(1, 10000)) s`)
    await t.asOwner(`
      insert into audit_batches (scope_id, batch_id, count, digest, rows, sequence, first_row, head)
      select scope_id, gen_random_uuid(), 10, '', '', n, n * 10 - 9, '' from audit_scopes, generate_series(1, 5) n`)
    await t.asOwner('analyze audit_scopes, audit_batches')
    const dueIn = () =>
      t.db.unscoped(async (tx) => {
        const look = async () => {
          const { rows } = await sql<{ 'QUERY PLAN': { Plan: Record<string, number> }[] }>`
            explain (analyze, buffers, format json) select * from audit_due_scopes(false)`.execute(tx)
          const { Plan: plan } = rows[0]!['QUERY PLAN'][0]!
          return { scopes: plan['Actual Rows'], pages: plan['Shared Hit Blocks']! + plan['Shared Read Blocks']! }
        }
        // The first time a session reads the catalog as well.
        await look()
        return look()
      })
    const idle = await dueIn()
    expect(idle.scopes).toBe(0)
    // The tables have over a thousand pages.
    expect(idle.pages).toBeLessThan(20)
    await t.call()
    expect((await dueIn()).scopes).toBe(1)
    await t.reads.sequenceDue()
    expect((await dueIn()).scopes).toBe(0)
  })
})

describe('a database that went back in time', () => {
  test('goes on from what is there, and the log says what was lost', async () => {
    await using t = await createAuditReadsTest()
    for (let i = 0; i < 3; i++) {
      await t.call()
      await t.reads.sequenceDue()
    }
    const before = await projected(t)
    await t.asOwner('delete from audit_events where row_no > 2')
    await t.asOwner('delete from audit_batches where sequence > 2')
    await t.asOwner(
      'update audit_scopes set sequence = 2, last_row = 2, head = (select head from audit_batches where sequence = 2)',
    )
    await t.call()
    await t.reads.sequenceDue({ all: true })
    await t.reads.sequenceDue({ all: true })
    const after = await projected(t)
    expect(before.map(({ event }) => event)).toHaveLength(6)
    expect(after.map(({ event }) => event)).toEqual([
      'proxy.requested',
      'proxy.executed',
      'proxy.requested',
      'proxy.executed',
      'audit.history_lost',
    ])
    const [lost] = (await t.auditRows()).filter(({ keep }) => keep.event === 'audit.history_lost')
    expect(lost!.detail.changes).toEqual([{ field: 'sequence', from: '6', to: '2' }])
    expect((await t.reads.checkIntegrity(t.app.appId, t.operator)).status).toBe('ok')
    await t.call()
    await t.reads.sequenceDue()
    expect((await t.events()).filter((event) => event === 'audit.history_lost')).toHaveLength(1)
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
    await t.reads.sequenceDue()
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
