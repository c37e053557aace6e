import { describe, expect, test } from 'vitest'
import { type AuditReadsTest, createAuditReadsTest } from './audit-reads-fixture.ts'
import type { RowDraft } from './audit-row.ts'

/** Eleven minutes pass for the database too: what waits in the index of due work is due. */
const passElevenMinutes = async (t: AuditReadsTest) => {
  t.clock.advance(660_000)
  await t.reads.sequenceDue()
  await t.asOwner("update due_work set due_at = due_at - interval '11 minutes'")
}
const waiting = (t: AuditReadsTest) => t.asOwner("select subject_id from due_work where kind = 'audit_intent'")
const unknowns = async (t: AuditReadsTest) =>
  (await t.auditRows()).map(({ keep }) => keep).filter(({ event }) => event === 'proxy.outcome_unknown')

/** A process that dies between the intent and the outcome of a call. Its batches are old enough to be taken up. */
async function dieAfterIntent(t: AuditReadsTest, event: RowDraft['event'] = 'proxy.requested') {
  const dying = t.startProcess()
  const intent = t.intentRow({ event })
  await dying.append(t.scope, { rows: [intent] })
  await t.asOwner("update audit_batches set committed_at = committed_at - interval '3 seconds'")
  return { intent, dying }
}

describe('an intent without an outcome', () => {
  test.each(['proxy.requested', 'token.requested'] as const)(
    '%s is said to be unknown ten minutes later',
    async (event) => {
      await using t = await createAuditReadsTest()
      const { intent } = await dieAfterIntent(t, event)
      await passElevenMinutes(t)
      expect(await t.reads.sweepOutcomes()).toBe(1)
      expect(await unknowns(t)).toMatchObject([
        {
          intent_id: intent.eventId,
          trace_id: intent.traceId,
          grant_id: intent.grantId,
          key_id: intent.keyId,
          agent_id: intent.agentId,
          provider_id: 'refunds',
          stream: 'runtime',
          outcome: 'unknown',
          caller_kind: 'system',
          app_id: t.app.appId,
          organization_id: t.app.organizationId,
        },
      ])
      expect(await waiting(t)).toEqual([])
      expect(await t.reads.explainTrace(t.app.appId, intent.traceId)).toMatchObject({
        end_state: 'outcome_unknown',
        code: 'execution_outcome_unknown',
        facts: { url: 'https://api.example.com/v1/refunds?currency=eur' },
      })
      expect(await t.reads.sweepOutcomes()).toBe(0)
    },
  )

  test('gets one row from several sweepers at a time', async () => {
    await using t = await createAuditReadsTest()
    const processes = await Promise.all(Array.from({ length: 8 }, () => dieAfterIntent(t)))
    await passElevenMinutes(t)
    const sweepers = [t.reads, ...Array.from({ length: 3 }, () => t.startReads({ audit: t.startProcess() }))]
    const counts = await Promise.all(sweepers.map((reads) => reads.sweepOutcomes()))
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(8)
    const intents = (await unknowns(t)).map(({ intent_id }) => intent_id)
    expect(intents.sort()).toEqual(processes.map(({ intent }) => intent.eventId).sort())
  })

  test('is left alone before it is ten minutes old', async () => {
    await using t = await createAuditReadsTest()
    await dieAfterIntent(t)
    await t.reads.sequenceDue()
    await t.asOwner("update due_work set due_at = due_at - interval '9 minutes'")
    expect(await t.reads.sweepOutcomes()).toBe(0)
    expect(await waiting(t)).toHaveLength(1)
  })

  test('is unknown as well when its process lives; the outcome that comes then is a late answer', async () => {
    await using t = await createAuditReadsTest()
    const { intent, dying } = await dieAfterIntent(t)
    const early = t.intentRow()
    const written = await dying.append(t.scope, { rows: [early] })
    if (written.kind !== 'stored') throw new Error(written.kind)
    await passElevenMinutes(t)
    const late = (outcome: RowDraft) =>
      dying.append(t.scope, {
        rows: [outcome],
        outcomeOf: { intentId: outcome.intentId!, window: written.window },
      })
    const outcomeOf = (of: RowDraft & { eventId: string; traceId: string }) =>
      t.intentRow({ event: 'proxy.executed', outcome: 'success', intentId: of.eventId, traceId: of.traceId })
    // Late, but first: the sweeper finds the intent settled.
    expect((await late(outcomeOf(early))).kind).toBe('stored')
    expect(await t.reads.sweepOutcomes()).toBe(1)
    expect((await unknowns(t)).map(({ intent_id }) => intent_id)).toEqual([intent.eventId])
    expect(await late(outcomeOf(intent))).toEqual({ kind: 'late_answer' })
    const ends = (await t.auditRows()).filter(({ keep }) => keep.intent_id !== null)
    expect(ends.map(({ keep }) => [keep.event, keep.intent_id])).toEqual([
      ['proxy.executed', early.eventId],
      ['proxy.outcome_unknown', intent.eventId],
      ['proxy.late_answer', intent.eventId],
    ])
  })

  test('is not unknown when the outcome came from another process, searchable before or not at all', async () => {
    await using t = await createAuditReadsTest()
    const { intent } = await dieAfterIntent(t)
    await passElevenMinutes(t)
    await t.audit.append(t.scope, {
      rows: [t.intentRow({ event: 'proxy.executed', intentId: intent.eventId, traceId: intent.traceId })],
    })
    expect(await t.reads.sweepOutcomes()).toBe(0)
    expect(await unknowns(t)).toEqual([])
    // Made anew in another order, the intent may begin to wait after its outcome came in.
    await t.asOwner('insert into due_work values ($1, $2, $3, now())', ['audit_intent', t.app.appId, intent.eventId])
    expect(await t.reads.sweepOutcomes()).toBe(0)
    expect(await waiting(t)).toEqual([])
  })

  test('of an approved request is for the approvals to settle', async () => {
    await using t = await createAuditReadsTest()
    await dieAfterIntent(t, 'approval.executing')
    await passElevenMinutes(t)
    expect(await waiting(t)).toEqual([])
    expect(await t.reads.sweepOutcomes()).toBe(0)
  })

  test('stays swept when the searchable rows are made anew', async () => {
    await using t = await createAuditReadsTest()
    await dieAfterIntent(t)
    await passElevenMinutes(t)
    await t.reads.sweepOutcomes()
    await t.reads.projectAgain(t.app.appId)
    await passElevenMinutes(t)
    expect(await t.reads.sweepOutcomes()).toBe(0)
    expect(await unknowns(t)).toHaveLength(1)
  })
})

test('a call whose outcome follows never waits', async () => {
  await using t = await createAuditReadsTest()
  await Promise.all(Array.from({ length: 20 }, () => t.call()))
  await t.reads.sequenceDue()
  expect(await waiting(t)).toEqual([])
  const intent = t.intentRow()
  await t.audit.append(t.scope, { rows: [intent] })
  await t.reads.sequenceDue()
  expect(await waiting(t)).toEqual([{ subject_id: intent.eventId }])
})
