import { describe, expect, test } from 'vitest'
import { type AuditReadsTest, createAuditReadsTest } from './audit-reads-fixture.ts'
import { captureBody } from './stored-text.ts'

const DAY_MS = 86_400_000

const settings = (t: AuditReadsTest, values: object) =>
  t.asOwner('update apps set settings = $2 where app_id = $1', [t.app.appId, JSON.stringify(values)])

const age = (t: AuditReadsTest, days: number) => t.clock.advance(days * DAY_MS)

async function callWithBody(t: AuditReadsTest) {
  const row = t.intentRow({ event: 'proxy.executed' })
  const captured = captureBody(Buffer.from('paid'), 'text/plain')
  await t.audit.append(t.scope, {
    rows: [{ ...row, detail: { ...row.detail, requestBody: captured.digest } }],
    bodies: [{ eventId: row.eventId, side: 'request', content: captured.toSeal! }],
  })
  return row.eventId
}

describe('retention', () => {
  test('gives hashes for old runtime details; the log stays provable and searchable by what stays', async () => {
    await using t = await createAuditReadsTest()
    const { outcomeId } = await t.call()
    await t.audit.change(t.scope, async (_tx, record) =>
      record({ event: 'key.minted', outcome: 'changed', detail: { resourceType: 'key' } }),
    )
    await t.reads.sequenceDue({ all: true })
    await t.reads.sequenceDue()
    age(t, 366)
    const fresh = await t.call()
    expect(await t.reads.applyRetention(t.app.appId)).toEqual({ detailsPruned: 2, bodyBatchesErased: 0 })

    expect(await t.reads.showEvent(t.app.appId, outcomeId)).toMatchObject({
      event: 'proxy.executed',
      provider_id: 'refunds',
      detail: null,
      detail_h: expect.stringMatching(/^[0-9a-f]{64}$/),
    })
    const ids = async (query: Record<string, string>) =>
      (await t.reads.listEvents(t.app.appId, query)).items.map(({ event_id }) => event_id)
    expect(await ids({ method: 'POST' })).toEqual([fresh.outcomeId, fresh.intentId])
    expect(await ids({ provider_id: 'refunds' })).toHaveLength(4)
    expect((await t.reads.listPortalActions(t.app.appId, { resource_type: 'key' })).items).toHaveLength(1)

    const checked = await t.reads.checkIntegrity(t.app.appId, t.operator)
    expect(checked).toMatchObject({ status: 'ok', details_pruned: 2 })
    expect(await t.verifyOffline()).toMatchObject({ status: 'ok', details_pruned: 2 })
    const [row] = (await t.auditRows()).filter(({ keep }) => keep.event === 'retention.applied')
    expect(row).toMatchObject({ keep: { stream: 'system', caller_kind: 'system' } })
    expect(row!.detail.changes).toContainEqual({ field: 'details_pruned', from: null, to: '2' })
    expect(await t.reads.applyRetention(t.app.appId)).toEqual({ detailsPruned: 0, bodyBatchesErased: 0 })
  })

  test('leaves no trace of a detail in the database', async () => {
    await using t = await createAuditReadsTest()
    await t.call({ url: 'https://api.example.com/patients/4711' })
    await t.reads.sequenceDue()
    age(t, 366)
    await t.reads.applyRetention(t.app.appId)
    const [left] = await t.asOwner<{ n: number }>(
      `select (select count(*) from audit_batches where position('patients'::bytea in rows) > 0)
         + (select count(*) from audit_events e where e::text like '%patients%') as n`,
    )
    expect(Number(left!.n)).toBe(0)
  })

  test('prunes what has its place later, too', async () => {
    await using t = await createAuditReadsTest()
    const { outcomeId } = await t.call()
    age(t, 366)
    await t.reads.applyRetention(t.app.appId)
    await t.reads.sequenceDue()
    await t.reads.applyRetention(t.app.appId)
    expect(await t.reads.showEvent(t.app.appId, outcomeId)).toMatchObject({ detail: null })
    expect((await t.reads.checkIntegrity(t.app.appId, t.operator)).status).toBe('ok')
  })

  test('goes by the settings of the app: a shorter time, or for ever', async () => {
    await using t = await createAuditReadsTest()
    await t.call()
    await t.reads.sequenceDue()
    age(t, 40)
    await settings(t, { retain_runtime_days: null })
    expect((await t.reads.applyRetention(t.app.appId)).detailsPruned).toBe(0)
    await settings(t, { retain_runtime_days: 41 })
    expect((await t.reads.applyRetention(t.app.appId)).detailsPruned).toBe(0)
    await settings(t, { retain_runtime_days: 30 })
    expect((await t.reads.applyRetention(t.app.appId)).detailsPruned).toBe(2)
    await t.call()
    await t.reads.sequenceDue()
    age(t, 31)
    expect((await t.reads.applyRetention(t.app.appId)).detailsPruned).toBe(2)
  })

  test('erases bodies after 30 days and leaves their digests', async () => {
    await using t = await createAuditReadsTest()
    const eventId = await callWithBody(t)
    await t.reads.sequenceDue()
    age(t, 29)
    expect((await t.reads.applyRetention(t.app.appId)).bodyBatchesErased).toBe(0)
    expect((await t.reads.showBody(t.app.appId, eventId, t.operator)).request).toMatchObject({ text: 'paid' })
    age(t, 2)
    expect((await t.reads.applyRetention(t.app.appId)).bodyBatchesErased).toBe(1)
    expect((await t.reads.showBody(t.app.appId, eventId, t.operator)).request).toBeNull()
    expect((await t.reads.showEvent(t.app.appId, eventId)).detail).toMatchObject({ request_body: { length: 4 } })
    expect((await t.reads.checkIntegrity(t.app.appId, t.operator)).status).toBe('ok')
  })

  test('may forget a detail and keep its body, which then has nothing left to match', async () => {
    await using t = await createAuditReadsTest()
    const eventId = await callWithBody(t)
    await settings(t, { retain_runtime_days: 30, retain_body_days: 365 })
    await t.reads.sequenceDue()
    age(t, 31)
    expect(await t.reads.applyRetention(t.app.appId)).toEqual({ detailsPruned: 1, bodyBatchesErased: 0 })
    expect((await t.reads.showBody(t.app.appId, eventId, t.operator)).request).toMatchObject({
      text: 'paid',
      matches: null,
    })
  })

  test('of a damaged batch is left out, of the others not', async () => {
    await using t = await createAuditReadsTest()
    await t.call()
    await t.reads.sequenceDue()
    await t.call()
    await t.asOwner("update audit_batches set rows = '\\xff' where sequence = 1")
    await t.reads.sequenceDue()
    age(t, 366)
    expect((await t.reads.applyRetention(t.app.appId)).detailsPruned).toBe(3)
  })

  test('ends between two steps when the server stops', async () => {
    await using t = await createAuditReadsTest()
    await t.call()
    await t.reads.sequenceDue()
    age(t, 366)
    const stopped = await t.reads.applyRetention(t.app.appId, AbortSignal.abort())
    expect(stopped).toEqual({ detailsPruned: 0, bodyBatchesErased: 0 })
    expect((await t.reads.applyRetention(t.app.appId)).detailsPruned).toBe(2)
  })

  test('forgets intents that were settled apart after a month', async () => {
    await using t = await createAuditReadsTest()
    await t.call()
    const settle = (days: number) =>
      t.asOwner('insert into audit_settled values ($1, gen_random_uuid(), now() - make_interval(days => $2))', [
        t.app.appId,
        days,
      ])
    await settle(29)
    await settle(31)
    await t.reads.applyRetention(t.app.appId)
    expect(await t.asOwner('select 1 from audit_settled')).toHaveLength(1)
  })
})
