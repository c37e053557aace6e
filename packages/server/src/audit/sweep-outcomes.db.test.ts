import { describe, expect, test } from 'vitest'
import { type AuditReadsTest, createAuditReadsTest } from './audit-reads-fixture.ts'

/** Six minutes pass for the database too: what waits in the index of due work is due. */
const passSixMinutes = async (t: AuditReadsTest) => {
  t.clock.advance(360_000)
  await t.reads.project()
  await t.asOwner("update due_work set due_at = due_at - interval '6 minutes'")
}
const waiting = (t: AuditReadsTest) => t.asOwner("select subject_id from due_work where kind = 'audit_intent'")
const unknowns = async (t: AuditReadsTest) =>
  (await t.auditRows()).map(({ keep }) => keep).filter(({ event }) => event === 'proxy.outcome_unknown')

/** A process that dies between the intent and the outcome of a call. */
async function dieAfterIntent(t: AuditReadsTest, event = 'proxy.requested') {
  const dying = t.startProcess()
  const intent = t.intentRow({ event })
  await dying.append(t.scope, { rows: [intent] })
  return { intent, dying }
}

describe('an intent without an outcome', () => {
  test.each(['proxy.requested', 'token.requested'])(
    '%s is said to be unknown once its lane has ended',
    async (event) => {
      await using t = await createAuditReadsTest()
      const { intent, dying } = await dieAfterIntent(t, event)
      await dying.close()
      await passSixMinutes(t)
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
    for (const { dying } of processes) await dying.close()
    await passSixMinutes(t)
    const sweepers = [t.reads, ...Array.from({ length: 3 }, () => t.startReads({ audit: t.startProcess() }))]
    const counts = await Promise.all(sweepers.map((reads) => reads.sweepOutcomes()))
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(8)
    const intents = (await unknowns(t)).map(({ intent_id }) => intent_id)
    expect(intents.sort()).toEqual(processes.map(({ intent }) => intent.eventId).sort())
  })

  test('is left alone before it is five minutes old', async () => {
    await using t = await createAuditReadsTest()
    const { dying } = await dieAfterIntent(t)
    await dying.close()
    await t.reads.project()
    expect(await t.reads.sweepOutcomes()).toBe(0)
    expect(await waiting(t)).toHaveLength(1)
  })

  test('is left alone while its process may still write', async () => {
    await using t = await createAuditReadsTest()
    const { intent, dying } = await dieAfterIntent(t)
    await passSixMinutes(t)
    expect(await t.reads.sweepOutcomes()).toBe(0)
    expect(await waiting(t)).toHaveLength(1)
    await dying.append(t.scope, {
      rows: [t.intentRow({ event: 'proxy.executed', intentId: intent.eventId, traceId: intent.traceId })],
    })
    await t.reads.project()
    expect(await waiting(t)).toEqual([])
  })

  test('is not unknown when the outcome came on another lane, projected before or not at all', async () => {
    await using t = await createAuditReadsTest()
    const { intent, dying } = await dieAfterIntent(t)
    await dying.close()
    await passSixMinutes(t)
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
    const { dying } = await dieAfterIntent(t, 'approval.executing')
    await dying.close()
    await passSixMinutes(t)
    expect(await waiting(t)).toEqual([])
    expect(await t.reads.sweepOutcomes()).toBe(0)
  })

  test('stays swept when the searchable rows are made anew', async () => {
    await using t = await createAuditReadsTest()
    const { dying } = await dieAfterIntent(t)
    await dying.close()
    await passSixMinutes(t)
    await t.reads.sweepOutcomes()
    await t.reads.rebuildProjection(t.app.appId)
    await passSixMinutes(t)
    expect(await t.reads.sweepOutcomes()).toBe(0)
    expect(await unknowns(t)).toHaveLength(1)
  })
})

test('a call whose outcome follows never waits', async () => {
  await using t = await createAuditReadsTest()
  await Promise.all(Array.from({ length: 20 }, () => t.call()))
  await t.reads.project()
  expect(await waiting(t)).toEqual([])
  const intent = t.intentRow()
  await t.audit.append(t.scope, { rows: [intent] })
  await t.reads.project()
  expect(await waiting(t)).toEqual([{ subject_id: intent.eventId }])
})
