import { describe, expect, it } from 'vitest'
import { openSendWindow } from '../egress/send-window.ts'
import { newId } from '../kernel/ids.ts'
import { silentLog } from '../kernel/log.ts'
import type { AppendAnswer, AppendInput } from './append-store.ts'
import type { RowDraft } from './audit-row.ts'
import { type AppendMember, type AppendResult, createBatchWriter } from './batch-writer.ts'
import { decodeRows } from './log-hashes.ts'
import { createRowBatches, type RowBatch } from './row-batch.ts'

const row: RowDraft = { event: 'proxy.requested', outcome: 'allowed' }
const nonce = { ts: 1_700_000_000, digest: Buffer.alloc(16) }
const stored: AppendAnswer = { kind: 'stored', mark: null }
const unknown: AppendAnswer = { kind: 'unknown', cause: new Error('connection lost') }
const refused: AppendAnswer = { kind: 'refused', cause: new Error('no connection') }

/** A writer over a database that gives each call the next of `answers`, or that all is stored. A call takes one second. */
function writerOver(answers: AppendAnswer[], { failSeal = false } = {}) {
  let passedMs = 0
  const clock = { now: () => 1_700_000_000_000 + passedMs, monotonic: () => passedMs }
  const sent: AppendInput[] = []
  const batches: RowBatch[] = []
  const writer = createBatchWriter({
    scopeId: newId(),
    clock,
    log: silentLog,
    encode: createRowBatches(clock),
    seal: async () => {
      if (failSeal) throw new Error('no key')
      return Buffer.from('sealed')
    },
    send: async (input) => {
      sent.push(input)
      passedMs += 1_000
      return answers.shift() ?? stored
    },
    onStored: (batch) => batches.push(batch),
    maxInFlight: 1,
    retryWithinMs: 3_500,
  })
  const append = (member: AppendMember) =>
    new Promise<AppendResult>((resolve, reject) => writer.append({ member, resolve, reject }))
  const outcomeOf = (ageMs: number) => {
    const intentId = newId()
    const member: AppendMember = {
      rows: [{ event: 'proxy.executed', outcome: 'success', intentId }],
      outcomeOf: { intentId, window: { ...openSendWindow(clock), ageMs: () => ageMs } },
    }
    return { intentId, member }
  }
  const eventsOf = (input: AppendInput) =>
    decodeRows(input.batch!.rows).map((line) => JSON.parse(line!.keep).event as string)
  return { writer, append, sent, batches, clock, outcomeOf, eventsOf }
}

describe('a commit that is unknown', () => {
  it('is tried again as the same batch, under the same conditions', async () => {
    const { append, sent, batches } = writerOver([unknown, { kind: 'try_again', cause: undefined }, refused])
    const result = await append({ rows: [row, row], nonce })
    expect(result.kind).toBe('stored')
    expect(new Set(sent.map((input) => input.batch?.batchId)).size).toBe(1)
    expect(sent).toHaveLength(4)
    for (const input of sent) expect(input.nonces).toEqual([nonce])
    expect(batches.map(({ count }) => count)).toEqual([2])
  })

  it('does not move the window: sending has to begin within two seconds of the first try', async () => {
    const { append } = writerOver([unknown, unknown])
    const result = await append({ rows: [row] })
    expect(result.kind === 'stored' && result.window.isOpen()).toBe(false)
    const prompt = await writerOver([]).append({ rows: [row] })
    expect(prompt.kind === 'stored' && prompt.window.isOpen()).toBe(true)
  })

  it('is refused at the deadline', async () => {
    const { append, sent, writer } = writerOver([unknown, unknown, unknown, unknown])
    await expect(append({ rows: [row] })).rejects.toMatchObject({ code: 'audit_unavailable' })
    await writer.retry()
    expect(sent).toHaveLength(4)
  })

  it('of conditions without rows is refused at once: to settle a nonce again would call it replayed', async () => {
    const { append, sent } = writerOver([unknown])
    await expect(append({ rows: [], nonce })).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect(sent).toHaveLength(1)
    expect((await append({ rows: [row] })).kind).toBe('stored')
  })
})

describe('an outcome that could not be stored', () => {
  it('is kept and tried again until it is stored, without the intents that came with it', async () => {
    const { append, writer, sent, outcomeOf, eventsOf, batches } = writerOver([refused, refused])
    const both = [append({ rows: [row], nonce }), append(outcomeOf(0).member)]
    for (const each of both) await expect(each).rejects.toMatchObject({ code: 'audit_unavailable' })
    expect(writer.isIdle()).toBe(false)
    await writer.retry()
    expect(batches).toEqual([])
    await writer.retry()
    expect(eventsOf(sent[2]!)).toEqual(['proxy.executed'])
    expect(sent[2]).toMatchObject({ nonces: [] })
    expect(batches).toHaveLength(1)
    expect(writer.isIdle()).toBe(true)
    await writer.retry()
    expect(sent).toHaveLength(3)
  })

  it('is the same batch when it may be stored already, so that it cannot be there twice', async () => {
    const { append, writer, sent, outcomeOf } = writerOver([unknown, unknown, unknown, unknown])
    await expect(append(outcomeOf(0).member)).rejects.toMatchObject({ code: 'audit_unavailable' })
    await writer.retry()
    expect(sent).toHaveLength(5)
    expect(new Set(sent.map((input) => input.batch?.batchId)).size).toBe(1)
    expect(writer.isIdle()).toBe(true)
  })

  it('is not kept beyond a thousand', async () => {
    const { append, writer, outcomeOf, sent, eventsOf } = writerOver([refused, refused, refused])
    const all = Array.from({ length: 512 + 512 + 176 }, () => append(outcomeOf(0).member).catch(() => undefined))
    await Promise.all(all)
    const before = sent.length
    await writer.retry()
    expect(sent.slice(before).flatMap(eventsOf)).toHaveLength(512 + 176)
  })
})

describe('an outcome that comes late', () => {
  it('settles its intent, and one that comes in time does not', async () => {
    const { append, sent, outcomeOf } = writerOver([])
    const late = outcomeOf(60_001)
    await append(outcomeOf(60_000).member)
    expect((await append(late.member)).kind).toBe('stored')
    expect(sent.map(({ settled }) => settled)).toEqual([[], [late.intentId]])
  })

  it('is recorded as a late answer when the intent was settled before, and says so', async () => {
    const late = writerOver([])
    const { intentId, member } = late.outcomeOf(700_000)
    const { append, sent, eventsOf } = writerOver([{ kind: 'settled_before', intentIds: [intentId] }])
    const [answer, other] = await Promise.all([append(member), append({ rows: [row] })])
    expect(answer).toEqual({ kind: 'late_answer' })
    expect(other.kind).toBe('stored')
    expect(sent.map(eventsOf)).toEqual([
      ['proxy.executed', 'proxy.requested'],
      ['proxy.late_answer', 'proxy.requested'],
    ])
    expect(sent[1]!.settled).toEqual([])
  })
})

it('refuses what it cannot seal, and stores nothing of it', async () => {
  const { append, sent } = writerOver([], { failSeal: true })
  const bodies = [{ eventId: newId(), side: 'request' as const, content: Buffer.alloc(40) }]
  await expect(append({ rows: [row], bodies })).rejects.toMatchObject({ code: 'audit_unavailable' })
  expect(sent).toEqual([])
})
